"""Many runs in sequence: finished runs are read, missing runs are made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from harness.assembly.prepare import prepare
from harness.errors import HarnessError
from harness.machine.place import world_size
from harness.runner import run
from harness.spec import RunSpec
from harness.store.reading import is_there
from harness.store.record import ResultRecord, read_record


class Outcome(NamedTuple):
    """One run of a sweep: its record, or the reason why there is none."""

    spec: RunSpec
    record: ResultRecord | None
    reason: str = ""


def sweep(specs: Iterable[RunSpec], tell: Callable[[str], None]) -> Iterator[Outcome]:
    """Make the runs in order; stages that several of them share are trained once.

    A run that fails is reported and does not stop the others. A signal raises Interrupted; the same
    sweep later continues from there.
    """
    asked = list(specs)
    for number, spec in enumerate(asked, 1):
        tell(f"run {number} of {len(asked)}: {spec.label}, seed {spec.seed}")
        try:
            yield Outcome(spec, run(spec))
        except HarnessError as error:
            reason = " ".join(str(error).split())
            tell(f"run {number} of {len(asked)} failed: {reason}")
            yield Outcome(spec, None, reason)


def finished(specs: Iterable[RunSpec]) -> Iterator[Outcome]:
    """Return the finished runs; make none."""
    for spec in specs:
        try:
            path = prepare(spec, world_size()).record
            record = read_record(path) if is_there(path) else None
        except HarnessError as error:
            yield Outcome(spec, None, " ".join(str(error).split()))
        else:
            yield Outcome(spec, record, "" if record else "not run yet")
