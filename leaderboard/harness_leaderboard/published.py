"""Published rows, in percent: of the decks, from a generated file, and of others, from a list.

``field.csv`` is written by hand: a number, where it was read, and whether that is the publication
that measured it. A number that is only remembered is not written there.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from harness.errors import HarnessError
from harness.store.record import ResultRecord
from harness_leaderboard.rows import BoardRow

FILE = Path(__file__).with_name("published.json")
FIELD = Path(__file__).with_name("field.csv")

Text = Annotated[str, Field(min_length=1)]
# Plain digits only, so that the text is stored as printed.
Printed = Annotated[str, Field(pattern=r"^(\d{1,3}(\.\d+)?)?$")]


class PublishedRow(BaseModel):
    """One line of a published table, as printed, with its source and the run that reproduces it.

    ``printed_as`` says what the printed numbers are; ``top1_percent`` and ``top5_percent`` are the
    accuracies, exact. ``printed_runs`` are the top-5 of a challenge's several entries, of which
    ``printed_top5`` is the best. ``plugin`` with ``options`` is the run that reproduces the row,
    ``knobs`` all its knobs; empty if there is none.

    ``read`` is "confirmed" if the number was read where it was first published, "copied" if in
    another publication; a number from memory is never a row. Rows of different ``regime`` (the
    training, or the publication that printed them together) may not share a table. ``spread`` is
    the printed standard deviation of top-1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    team: str  # of the deck; empty if the label names the method
    label: str
    table: Text
    edition: Text
    split: Literal["val", "test", "ilsvrc"]
    protocol: Text
    printed_top1: Printed
    printed_top5: Printed
    printed_runs: tuple[Printed, ...]
    printed_as: Literal["error %", "accuracy %", "accuracy share"]
    plugin: str
    options: dict[str, str]
    knobs: dict[str, str]
    source: Text
    regime: str = ""
    backbone: str = ""
    spread: Printed = ""
    read: Literal["confirmed", "copied"] = "confirmed"

    @model_validator(mode="after")
    def _check(self) -> PublishedRow:
        """Refuse impossible accuracies."""
        known = [value for value in (self.top1_percent, self.top5_percent) if value is not None]
        if not known:
            raise ValueError("expected printed_top1 or printed_top5, found neither")
        if not all(0 <= value <= 100 for value in known):
            raise ValueError(f"an accuracy must be in [0, 100] %, found {known}")
        if known != sorted(known):
            raise ValueError(f"top-5 must not be below top-1, found {known[1]} below {known[0]}")
        return self

    @property
    def top1_percent(self) -> Decimal | None:
        """Top-1 accuracy in percent, exact; None if only top-5 was published."""
        return self._percent(self.printed_top1)

    @property
    def top5_percent(self) -> Decimal | None:
        """Top-5 accuracy in percent, exact; None if only top-1 was published."""
        return self._percent(self.printed_top5)

    @property
    def runs_percent(self) -> tuple[Decimal, ...]:
        """Top-5 accuracy of each of several entries in percent."""
        found = (self._percent(run) for run in self.printed_runs)
        return tuple(value for value in found if value is not None)

    @property
    def terms(self) -> tuple[str, str, str]:
        """Edition, split and protocol."""
        several = f", best of {len(self.printed_runs)} runs" if self.printed_runs else ""
        return self.edition, self.split, self.protocol + several

    def _percent(self, printed: str) -> Decimal | None:
        if not printed:
            return None
        value = Decimal(printed)
        if self.printed_as == "error %":
            return 100 - value
        return value if self.printed_as == "accuracy %" else value.scaleb(2)


def load_published(path: Path = FILE) -> tuple[PublishedRow, ...]:
    """Read the published rows; raises HarnessError naming the file and what is wrong in it."""
    try:
        return TypeAdapter(tuple[PublishedRow, ...]).validate_json(path.read_bytes())
    except ValidationError as error:
        raise HarnessError(_wrong(str(path), error)) from error


def load_field(path: Path = FIELD) -> tuple[PublishedRow, ...]:
    """Read the rows of challenges and of other methods; raises HarnessError as above."""
    nothing: dict[str, object] = {"team": "", "plugin": "", "options": {}, "knobs": {}}
    found = []
    with path.open(encoding="utf-8", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines), 2):
            values: dict[str, object] = {
                **nothing,
                "label": row.pop("method"),
                "table": row["source"],
                "printed_top1": row.pop("top1"),
                "printed_top5": row.pop("top5"),
                "printed_runs": (),
                "printed_as": "accuracy %",
                **row,
            }
            try:
                found.append(PublishedRow.model_validate(values))
            except ValidationError as error:
                raise HarnessError(_wrong(f"{path}, line {number}", error)) from error
    return tuple(found)


def _wrong(where: str, error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "the file"
    return f"{where}: {place}: {first['msg']}; install the package again"


def corresponding(record: ResultRecord, rows: Iterable[PublishedRow]) -> list[PublishedRow]:
    """Return the published rows with the recipe of this run, on any edition.

    Every knob must have the row's value, without a trick left out or a plugin added ("+name" in the
    label).
    """
    if record.without or any(word.startswith("+") for word in record.label.split()):
        return []
    knobs = {name: knob.value for name, knob in record.knobs.items()}
    return [row for row in rows if row.plugin == record.plugin and row.knobs == knobs]


def published_row(row: PublishedRow) -> BoardRow:
    """Return the board row of a published row."""
    edition, split, protocol = row.terms
    return BoardRow(
        edition=edition,
        split=split,
        protocol=protocol,
        kind="published",
        method=" ".join(part for part in (row.team, row.label) if part),
        top1_percent=None if row.top1_percent is None else float(row.top1_percent),
        top5_percent=None if row.top5_percent is None else float(row.top5_percent),
        plugin=row.plugin,
        knobs=" ".join(f"{name}={value}" for name, value in row.options.items()),
        table=row.table,
        regime=row.regime,
        backbone=row.backbone,
        read=row.read,
        top1_sd=float(row.spread) if row.spread else None,
        runs=tuple(map(float, row.runs_percent)),
        printed_top1=row.printed_top1,
        printed_top5=row.printed_top5,
        printed_as=row.printed_as,
        source=row.source,
    )
