"""Published numbers: read from the data files beside this one, checked, and turned to percent."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from harness.errors import HarnessError
from harness.store.record import ResultRecord
from harness_leaderboard.rows import Row

FOLDER = Path(__file__).parent / "published"

Text = Annotated[str, Field(min_length=1)]
# Plain digits only, so that what is kept is what was printed.
Printed = Annotated[str, Field(pattern=r"^\d{1,3}(\.\d+)?$")]


class PublishedRow(BaseModel):
    """One line of a published table, as printed, with where it stands and which knobs it means.

    ``printed_as`` says what the printed numbers are; ``top1_percent`` and ``top5_percent`` are the
    accuracies, exact. ``plugin`` and ``knobs`` ("model=D backbone=inception_v3") name the run that
    reproduces the row, empty where there is none. ``run`` counts a challenge's entries from 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    team: Text
    label: str = ""
    table: Text
    edition: Text
    split: Literal["val", "test"]
    protocol: Text
    run: Annotated[int, Field(ge=1)] | None = None
    printed_top1: Printed | None = None
    printed_top5: Printed | None = None
    printed_as: Literal["error %", "accuracy %", "accuracy share"]
    plugin: str = ""
    knobs: dict[str, str] = {}
    source: Text
    runs: tuple[Decimal, ...] = ()

    @field_validator("knobs", mode="before")
    @classmethod
    def _split_knobs(cls, value: Any) -> Any:
        """Turn ``name=value name=value`` into a dictionary."""
        if not isinstance(value, str):
            return value
        pairs = [word.partition("=") for word in value.split()]
        if any(not (name and equals and setting) for name, equals, setting in pairs):
            raise ValueError(f"expected name=value name=value, found {value!r}")
        return {name: setting for name, _, setting in pairs}

    @model_validator(mode="after")
    def _check(self) -> PublishedRow:
        """Refuse numbers that cannot be what they say."""
        known = [value for value in (self.top1_percent, self.top5_percent) if value is not None]
        if not known:
            raise ValueError("expected printed_top1 or printed_top5, found neither")
        if not all(0 <= value <= 100 for value in known):
            raise ValueError(f"an accuracy must lie within 0 and 100 %, found {known}")
        if known != sorted(known):
            raise ValueError(f"top-5 must not be below top-1, found {known[1]} below {known[0]}")
        if self.knobs and not self.plugin:
            raise ValueError("knobs without the plugin that they belong to")
        return self

    @property
    def top1_percent(self) -> Decimal | None:
        """Top-1 accuracy in percent, exact; None where only top-5 was published."""
        return self._percent(self.printed_top1)

    @property
    def top5_percent(self) -> Decimal | None:
        """Top-5 accuracy in percent, exact; None where only top-1 was published."""
        return self._percent(self.printed_top5)

    @property
    def terms(self) -> tuple[str, str, str]:
        """Edition, split and protocol; the entries of a challenge have a protocol each."""
        run = "" if self.run is None else f", run {self.run}"
        return self.edition, self.split, self.protocol + run

    def _percent(self, printed: str | None) -> Decimal | None:
        """Turn a printed number into an accuracy in percent."""
        if printed is None:
            return None
        value = Decimal(printed)
        if self.printed_as == "error %":
            return 100 - value
        return value if self.printed_as == "accuracy %" else value.scaleb(2)


def load_published(folder: Path = FOLDER) -> tuple[PublishedRow, ...]:
    """Read every data file of ``folder``; add the best of each team's several entries.

    Raises HarnessError naming the file and the line that is not as it must be.
    """
    rows: list[PublishedRow] = []
    for path in sorted(folder.glob("*.csv")):
        seen: dict[tuple[object, ...], int] = {}
        for line, row in _read(path):
            name = (row.team, row.label, row.table, *row.terms)
            if name in seen:
                raise HarnessError(f"{path}, line {line}: says again what line {seen[name]} says")
            seen[name] = line
            rows.append(row)
    return (*rows, *_best_of_runs(rows))


def _read(path: Path) -> Iterator[tuple[int, PublishedRow]]:
    """Yield the checked rows of one data file with their line numbers."""
    line = 1
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            for cells in reader:
                line = reader.line_num
                if None in cells or None in cells.values():
                    raise HarnessError(
                        f"{path}, line {line}: expected {len(reader.fieldnames or ())} cells, "
                        "as the first line has; find the missing or superfluous comma"
                    )
                filled = {name: cell for name, cell in cells.items() if cell}
                yield line, PublishedRow.model_validate(filled)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        where = f" column {place}:" if place else ""
        raise HarnessError(f"{path}, line {line}:{where} {first['msg']}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise HarnessError(f"{path}, after line {line}: not a UTF-8 CSV file: {error}") from error


def _best_of_runs(rows: Iterable[PublishedRow]) -> Iterator[PublishedRow]:
    """Yield one row per team with several entries: its best by top-5, as a challenge ranks.

    **Source:** the challenge's rule of 2017, five runs a team, ranked by top-5.
    """
    entries: dict[tuple[str, ...], list[PublishedRow]] = {}
    for row in rows:
        if row.run is not None:
            name = (row.team, row.label, row.table, row.edition, row.split, row.protocol)
            entries.setdefault(name, []).append(row)
    for runs in entries.values():
        best = max(runs, key=lambda row: row.top5_percent or Decimal(0))
        yield best.model_copy(
            update={
                "protocol": f"{best.protocol}, best of {len(runs)} runs",
                "run": None,
                "runs": tuple(row.top5_percent or Decimal(0) for row in runs),
            }
        )


def corresponding(record: ResultRecord, rows: Iterable[PublishedRow]) -> list[PublishedRow]:
    """Return the published rows that this run's method and knobs reproduce, on whatever edition.

    Every knob of the row must have the row's value, the user must have set no other knob, have
    left out no trick and have added no plugin ("+name" in the label).
    """
    if record.without or any(word.startswith("+") for word in record.label.split()):
        return []
    chosen = {name for name, knob in record.knobs.items() if knob.origin == "command line"}
    return [
        row
        for row in rows
        if row.plugin == record.plugin
        and row.run is None
        and chosen <= row.knobs.keys() <= record.knobs.keys()
        and all(_same(record.knobs[name].value, value) for name, value in row.knobs.items())
    ]


def _same(found: str, asked: str) -> bool:
    """Compare two knob values: as numbers where both are, as text (quoted or not) otherwise."""
    try:
        return Decimal(found) == Decimal(asked)
    except InvalidOperation:
        return found.strip("'\"") == asked.strip("'\"")


def published_row(row: PublishedRow) -> Row:
    """Return the line of the board for a published row."""
    edition, split, protocol = row.terms
    return Row(
        edition=edition,
        split=split,
        protocol=protocol,
        kind="published",
        method=" ".join(part for part in (row.team, row.label) if part),
        top1_percent=None if row.top1_percent is None else float(row.top1_percent),
        top5_percent=None if row.top5_percent is None else float(row.top5_percent),
        plugin=row.plugin,
        knobs=" ".join(f"{name}={value}" for name, value in row.knobs.items()),
        table=row.table,
        run=row.run,
        runs=" ".join(f"{value:.2f}" for value in row.runs),
        printed_top1=row.printed_top1 or "",
        printed_top5=row.printed_top5 or "",
        printed_as=row.printed_as,
        source=row.source,
    )
