"""The Python face: what notebooks, scripts and the command line call."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.errors import HarnessError
from harness.knobs import spelled
from harness.machine.cores import cores
from harness.spec import DataSpec, EngineName, Override, RunSpec, check_engine, default_home
from harness.terminal import visible

if TYPE_CHECKING:
    import pandas as pd

    from harness.planning.plan import PlannedRun
    from harness.scores import Metric
    from harness.store.record import ResultRecord
    from harness.studies.run_comparison import RunComparison

MOST_THREADS = 8


def run(plugin: str, *, checkpoint_seconds: float = 5.0, **asked: Any) -> ResultRecord:
    """Train, test and record one method on this process's device, or read its record.

    Takes what ``spec_of`` takes: data, seed, knobs of the method by name, and more. After a kill or
    stop, the same call resumes. ``checkpoint_seconds`` is the shortest time between checkpoints at
    the ends of epochs.

    >>> record = run("malong_curriculum", data="synthweb:tiny", seed=1, model="B")  # doctest: +SKIP

    Raises:
        HarnessError: The run is not possible; one line gives the reason and the fix.
        Interrupted: A signal came; the place is kept.
    """
    from harness.machine.launch import keep_freed_memory, share_cores

    share_cores()
    keep_freed_memory()
    from harness.assembly.knob_effects import check_knobs
    from harness.runner import run as run_spec

    spec = replace(spec_of(plugin, **asked), checkpoint_seconds=checkpoint_seconds)
    check_knobs(spec)
    return run_spec(spec)


def plan(
    plugin: str, *, ranks: int = 1, checkpoint_seconds: float = 5.0, **asked: Any
) -> PlannedRun:
    """Return the stages of a run, every value with its origin, and what is cached.

    Takes what ``run`` takes and raises what it would raise at its start. ``ranks`` is the number of
    processes that would train together; checkpoints change nothing in a plan.
    """
    from harness.assembly.knob_effects import check_knobs
    from harness.planning.plan import plan_run

    if isinstance(ranks, bool) or not isinstance(ranks, int) or ranks < 1:
        raise HarnessError(f"ranks must be an int from 1, got {ranks!r}")
    spec = replace(spec_of(plugin, **asked), checkpoint_seconds=checkpoint_seconds)
    check_knobs(spec)
    return plan_run(spec, ranks)


def compare(  # noqa: PLR0913 - one parameter per choice
    before: str,
    after: str,
    *,
    data: str | None = None,
    split: str | None = None,
    protocol: str = "1 view",
    metric: Metric = "top1",
    home: Path | str | None = None,
) -> RunComparison:
    """Compare two methods or two runs on the same test images, category by category.

    A side is a method as the board names it, or a record's id, its beginning or its path. ``data``
    says on which data set, if both ran on several; its form is as in ``run``. With its folder,
    categories are also named.

    Raises:
        HarnessError: A side names nothing, or the two have nothing to compare.
    """
    from harness.studies.class_names import class_names, names_of
    from harness.studies.comparison import compare_runs
    from harness.studies.sides import on_data, two_sides

    folder = _home(home)
    sides = two_sides(folder, (before, after), on_data(folder, data) if data else None)
    first = sides[0].runs[0]
    names = class_names(first.record.data, first.home)
    if data and not names:
        names = names_of(folder, data)
    return compare_runs(*sides, split=split, protocol=protocol, metric=metric, names=names)


def leaderboard(  # noqa: PLR0913 - one parameter per choice
    *,
    data: str | Sequence[str] = (),
    split: str | Sequence[str] = (),
    methods: str | Sequence[str] = (),
    seeds: int | Sequence[int] = (),
    epoch: Literal["last", "best", "averaged", "all"] | None = None,
    kind: Literal["headline", "noise", "published", "all"] = "headline",
    home: Path | str | None = None,
) -> pd.DataFrame:
    """Return the board as a table, best first; a notebook shows it as the command line does.

    By default it is the data set of the newest run, its test split, each method under its own
    views. Accuracies are in percent, differences from the baseline in points; ``rank_best`` to
    ``rank_worst`` is what paired tests leave. ``data`` is spelled as in ``run``. ``kind``
    "published" gives published numbers, "noise" how well labels were judged, "all" every row.
    Records are verified as by ``harness leaderboard``; a warning names each that is left out.

    Raises:
        HarnessError: A choice names nothing that was measured.
    """
    from harness.assembly.data_sets import spelled_as_recorded
    from harness.studies.standing import verified_records
    from harness_leaderboard.notebook import board_frame
    from harness_leaderboard.show import Filters, show

    folder = _home(home)
    found = verified_records(folder, [seeds] if isinstance(seeds, int) else seeds, warnings.warn)
    for problem in found.problems:
        warnings.warn(f"left out: {visible(problem)}", stacklevel=2)
    asked = Filters(
        data=tuple(spelled_as_recorded(text, folder) for text in _several(data)),
        splits=_several(split),
        methods=_several(methods),
        epoch=epoch,
    )
    return board_frame(show(kind, found.records, folder, asked, found.unverified, found.origins))


def records(*, home: Path | str | None = None) -> list[ResultRecord]:
    """Return every readable record, oldest first."""
    from harness.store.record_files import read_records

    return read_records(_home(home) / "records")[0]


def spec_of(  # noqa: PLR0913 - one parameter per choice
    plugin: str,
    *,
    data: str = "",
    seed: int = 0,
    extra: Sequence[str] = (),
    without: Sequence[str] = (),
    stage: Mapping[str, object] | None = None,
    full_size: bool = False,
    engine: EngineName = "deepspeed",
    deepspeed: Mapping[str, Any] | None = None,
    home: Path | str | None = None,
    knobs: Mapping[str, object] | None = None,
    **more_knobs: object,
) -> RunSpec:
    """Return the specification of a run.

    ``data`` is "NAME[:PATH][?KEY=VALUE]", ``extra`` are further plugins, ``without`` the tricks to
    leave out, ``stage`` maps "FIELD" or "STAGE.FIELD" to a value. Further keywords are knobs of the
    method; one that is called like another parameter goes into ``knobs``.

    Raises HarnessError if a value has the wrong type, or if something is given twice.
    """
    check_engine(engine, deepspeed)
    if deepspeed:
        from harness.training.deepspeed_file import check_user_config

        check_user_config(deepspeed)
    if not isinstance(data, str):
        raise HarnessError(f'data must be a text such as "synthweb:tiny", got {data!r}')
    given = (*(knobs or {}).items(), *more_knobs.items())
    asked = _once("knob", ((name.removeprefix(f"{plugin}."), value) for name, value in given))
    fields = _once(
        "stage field", ((path.removeprefix("."), value) for path, value in (stage or {}).items())
    )
    overrides = [(*path.rpartition("."), value) for path, value in fields.items()]
    return RunSpec(
        plugin=plugin,
        knobs={name: spelled(value) for name, value in asked.items()},
        data=DataSpec.parse(data) if data else DataSpec(),
        extra=tuple(dict.fromkeys(_several(extra))),
        without=tuple(sorted(set(_several(without)))),  # their order changes nothing
        seed=_whole(seed),
        overrides=tuple(
            Override(name, field, spelled(value)) for name, _, field, value in overrides
        ),
        full_size=full_size,
        engine=engine,
        deepspeed=deepspeed or {},
        loader_threads=min(MOST_THREADS, cores()),
        home=_home(home),
    )


def _home(home: Path | str | None) -> Path:
    if home == "":  # which Path would take for the working folder
        raise HarnessError("home='' names no folder; leave it out to use HARNESS_HOME")
    return default_home() if home is None else Path(home).expanduser()


def _several(texts: str | Sequence[str]) -> tuple[str, ...]:
    return (texts,) if isinstance(texts, str) else tuple(texts)


def _once(what: str, given: Iterable[tuple[str, object]]) -> dict[str, object]:
    """Return the values by name; raises HarnessError if two spellings mean one name."""
    found: dict[str, object] = {}
    for name, value in given:
        if name in found:
            raise HarnessError(f"{what} {name!r} is given twice; give it once")
        found[name] = value
    return found


def _whole(value: object) -> Any:
    """A whole number of any kind, such as numpy's, as an int; anything else unchanged."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        return value
    return operator.index(value)
