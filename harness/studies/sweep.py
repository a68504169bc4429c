"""Many runs in sequence: finished runs are read, missing runs are made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from harness.assembly.data_sets import SharedSplits
from harness.assembly.prepare import prepare
from harness.errors import HarnessError
from harness.machine.place import world_size
from harness.runner import run
from harness.spec import RunSpec
from harness.store.reading import is_there
from harness.store.record import ResultRecord, record_id
from harness.store.record_files import read_record


class Outcome(NamedTuple):
    """One run of a sweep: its record, or the reason why there is none."""

    spec: RunSpec
    record: ResultRecord | None
    reason: str = ""


def sweep(specs: Iterable[RunSpec], tell: Callable[[str], None]) -> Iterator[Outcome]:
    """Make the runs in order; stages that several of them share are trained once.

    A run that fails is reported and does not stop the others. A signal raises Interrupted; the same
    sweep later continues from there. Raises HarnessError if one of several ranks failed alone.
    """
    asked, shared = list(specs), SharedSplits()
    agree = _agreement()
    for number, spec in enumerate(asked, 1):
        tell(f"run {number} of {len(asked)}: {spec.label}, seed {spec.seed}")
        record, reason = None, ""
        try:
            record = run(spec, shared)
        except HarnessError as error:
            reason = " ".join(str(error).split())
        agree(reason)
        if reason:
            tell(f"run {number} of {len(asked)} failed: {reason}")
        yield Outcome(spec, record, reason)


def find_finished(specs: Iterable[RunSpec], ranks: int | None = None) -> Iterator[Outcome]:
    """Return the finished runs; make none.

    ``ranks`` is the number of processes that would train them; as many as run now if None.
    """
    ranks = ranks or world_size()
    shared, begun = SharedSplits(), _Recorded()
    for spec in specs:
        try:
            record = _finished(spec, ranks, shared) if spec in begun else None
        except HarnessError as error:
            yield Outcome(spec, None, " ".join(str(error).split()))
        else:
            yield Outcome(spec, record, "" if record else "not run yet")


def _agreement() -> Callable[[str], None]:
    """Return the function that all ranks call with a run's reason to fail, or ""."""
    if world_size() == 1:
        return lambda _: None  # finished runs are read without torch
    from harness.training.agreement import Outcomes
    from harness.training.ranks import join_ranks

    return Outcomes(join_ranks()).agree


class _Recorded:
    """The methods and seeds that have a record of any kind; no data is read to know them."""

    def __init__(self) -> None:
        self._names: dict[Path, set[str]] = {}

    def __contains__(self, spec: RunSpec) -> bool:
        if spec.home not in self._names:
            paths = (spec.home / "records").glob("*.json")
            self._names[spec.home] = {path.stem.rpartition("-")[0] for path in paths}
        return record_id(spec.plugin, spec.seed, {}).rpartition("-")[0] in self._names[spec.home]


def _finished(spec: RunSpec, ranks: int, shared: SharedSplits) -> ResultRecord | None:
    path = prepare(spec, ranks, shared).record
    if is_there(path):
        return read_record(path)
    from harness.training.engines import usable_engine

    usable = usable_engine(spec)  # imports DeepSpeed: only if no record was found
    return None if usable == spec else _finished(usable, ranks, shared)
