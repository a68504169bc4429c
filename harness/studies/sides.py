"""Find runs by name: a record's id, prefix or path, or a row of the board."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import HarnessError, unknown
from harness.store.record import ResultRecord
from harness.store.record_files import known_records, read_record

if TYPE_CHECKING:
    from harness.store.groups import Group
    from harness.studies.comparison import Side


def two_sides(
    home: Path,
    texts: Sequence[str],
    on: Callable[[Sequence[ResultRecord]], Collection[str]] | None = None,
) -> tuple[Side, Side]:
    """Return the runs that two texts name.

    ``on`` returns, of all records, the fingerprints of the data that may be compared on.

    If a text names runs on several data sets, the data set that both have is used. Raises
    HarnessError if a text names nothing, or more than one row.
    """
    from harness.store.groups import group_runs

    records = known_records(home / "records")
    groups, _ = group_runs(records)
    found = [_find(text, home, records, groups) for text in texts]
    wanted = on(records) if on else None
    pairs = [
        (before, after)
        for before in found[0]
        for after in found[1]
        if _fingerprint(before) == _fingerprint(after)
        if wanted is None or _fingerprint(before) in wanted
    ]
    if len(pairs) == 1:
        return pairs[0]
    if not pairs and wanted is None and len(found[0]) == len(found[1]) == 1:
        return found[0][0], found[1][0]  # the comparison raises the error that explains why
    raise HarnessError(_ambiguity(texts, found, pairs, asked=wanted is not None))


def on_data(home: Path, text: str) -> Callable[[Sequence[ResultRecord]], Collection[str]]:
    """Return what chooses the data set that --data TEXT names, by its fingerprint.

    Records say how their data is spelled. Only if that does not decide, the data set is read.
    """
    from harness.assembly.data_sets import load_splits, spelled_as_recorded
    from harness.store.data_names import of_data

    def choose(records: Sequence[ResultRecord]) -> Collection[str]:
        found: set[str] = set()
        with suppress(HarnessError):
            named = of_data(records, spelled_as_recorded(text, home))
            found = {record.data.fingerprint for record in named}
        if len(found) == 1:
            return found
        return {load_splits(home, text, ("train",))["train"].fingerprint}

    return choose


def _ambiguity(
    texts: Sequence[str],
    found: Sequence[Sequence[Side]],
    pairs: Sequence[tuple[Side, Side]],
    *,
    asked: bool,
) -> str:
    if not pairs:
        where = " and ".join(
            f"{text!r} ran on {', '.join(sorted({_edition(side) for side in sides}))}"
            for text, sides in zip(texts, found, strict=True)
        )
        data = "the data given" if asked else "the same data"
        return f"nothing to compare on {data}: {where}"
    if len({_fingerprint(before) for before, _ in pairs}) > 1:
        editions = dict.fromkeys(_edition(before) for before, _ in pairs)
        return f"both ran on {', '.join(editions)}; choose one with --data"
    sides = [sorted({pair[place].name for pair in pairs}) for place in (0, 1)]
    text, names = max(zip(texts, sides, strict=True), key=lambda one: len(one[1]))
    return f"{text!r} names several rows: {'; '.join(names)}; write one of these in full"


def _find(
    text: str, home: Path, records: Sequence[ResultRecord], groups: Sequence[Group]
) -> list[Side]:
    from harness.studies.comparison import Side
    from harness.studies.pairs import Run

    if text.endswith(".json"):
        path = Path(text).expanduser().absolute()
        record = read_record(path)
        if (path.parent.name, path.stem) != ("records", record.id):
            raise HarnessError(
                f"{text} is not at its original place, HOME/records/{record.id}.json, so its "
                "predictions cannot be found; move it back"
            )
        return [Side(_with_seed(record), (Run(record, path.parent.parent),))]
    whole = [record for record in records if record.id == text]
    if not whole:
        kinds: tuple[Callable[[Group], Collection[str]], ...] = (
            lambda group: (group.name,),
            lambda group: [record.label for record in group.records],
            lambda group: (group.newest.plugin,),
        )
        for kind in kinds:
            rows = [group for group in groups if text in kind(group)]
            if rows:
                return [
                    Side(group.name, tuple(Run(record, home) for record in group.records))
                    for group in rows
                ]
        whole = [record for record in records if text and record.id.startswith(text)]
    if len(whole) > 1:
        ids = ", ".join(record.id for record in whole)
        raise HarnessError(
            f"{text!r} is a prefix of {len(whole)} records: {ids}; write more of the id"
        )
    if not whole:
        names = {group.name for group in groups}
        raise HarnessError(unknown("run", text, names, listing="on the board"))
    return [Side(_with_seed(record), (Run(record, home),)) for record in whole]


def _with_seed(record: ResultRecord) -> str:
    return f"{record.label}, seed {record.seed}"


def _fingerprint(side: Side) -> str:
    return side.runs[0].record.data.fingerprint


def _edition(side: Side) -> str:
    return side.runs[0].record.data.edition
