"""The parts of a published table: rows with their numbers, and the recipe that reproduces each.

Each number is written once, as it is printed, with its unit. Claims compute their differences from
it, and the board's file is generated from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.metadata import entry_points
from typing import Literal, TypeAlias

from harness.errors import HarnessError, unknown
from harness.knobs import knobs_of, spelled
from harness.scores import Metric

Edition: TypeAlias = Literal["webvision1", "webvision2"]
Split: TypeAlias = Literal["val", "test"]
Protocol: TypeAlias = Literal["1 view", "10 views", "unstated", "challenge entry"]


@dataclass(frozen=True)
class Printed:
    """The numbers of a row as a deck prints them; ``top5`` is the best of several ``runs``."""

    unit: Literal["accuracy %", "error %", "accuracy share"]
    top1: str
    top5: str
    runs: tuple[str, ...] = ()

    @property
    def percent(self) -> dict[Metric, float]:
        """The accuracies in percent."""
        numbers: tuple[tuple[Metric, str], ...] = (("top1", self.top1), ("top5", self.top5))
        return {metric: self._accuracy(text) for metric, text in numbers if text}

    def _accuracy(self, text: str) -> float:
        value = Decimal(text)
        if self.unit == "error %":
            return float(100 - value)
        return float(value if self.unit == "accuracy %" else 100 * value)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table or a list, named as it is printed.

    ``recipe`` is a plugin's value; None if we have no recipe for the line (an official model,
    another team). ``printed`` is None if the deck gives no number. ``source`` names deck and slide;
    ``doubt`` is what is uncertain. ``team`` is given if it is not the table's.
    """

    name: str
    recipe: object | None
    printed: Printed | None = None
    source: str
    doubt: str = ""
    team: str = ""

    @property
    def published(self) -> dict[Metric, float]:
        """The accuracies in percent; empty if the deck has words only."""
        return self.printed.percent if self.printed else {}


@dataclass(frozen=True, kw_only=True)
class Table:
    """The rows of one table or list, all tested on one split of one edition under one protocol.

    ``name`` is "team/subject"; ``team`` and ``label`` say how the board names a row ("{}" stands
    for the row's name). If the deck leaves the protocol "unstated", our runs are compared under the
    plain centre view, as all methods are.
    """

    name: str
    title: str
    team: str
    label: str = "{}"
    edition: Edition
    split: Split = "val"
    protocol: Protocol = "unstated"
    rows: tuple[Row, ...]
    doubt: str = ""

    @property
    def source(self) -> str:
        """The sources of the rows, each once."""
        return "; ".join(dict.fromkeys(row.source for row in self.rows))

    def __getitem__(self, name: str) -> Row:
        """Return the row of this name; raises HarnessError naming the nearest."""
        rows = {row.name: row for row in self.rows}
        if name not in rows:
            raise HarnessError(unknown(f"row of {self.name}", name, rows, listing="rows"))
        return rows[name]


@dataclass(frozen=True, kw_only=True)
class NetworkCost:
    """The accuracy of a network on ImageNet and its estimated cost on WebVision 2.0.

    ``imagenet_top1`` is in percent; the deck estimates ``days`` on ``gpus`` devices for ``recipe``.
    """

    name: str
    recipe: object
    imagenet_top1: float
    days: float
    gpus: int
    device: str
    source: str
    doubt: str = ""


@dataclass(frozen=True, kw_only=True)
class CategoryComparison:
    """The number of categories that ``better`` improves, reduces and leaves unchanged."""

    better: Row
    worse: Row
    improved: int
    reduced: int
    unchanged: int
    source: str
    doubt: str = ""


def percent(top1: str, top5: str) -> Printed:
    """Accuracies that are printed in percent."""
    return Printed("accuracy %", top1, top5)


def top5(percent: str) -> Printed:
    """The one accuracy of a table that prints no top-1, in percent."""
    return Printed("accuracy %", "", percent)


def errors(top1: str, top5: str) -> Printed:
    """Errors in percent."""
    return Printed("error %", top1, top5)


def shares(*top5: str) -> Printed:
    """The top-5 accuracies of a challenge's several entries, printed as shares of 1."""
    return Printed("accuracy share", "", max(top5, key=Decimal), top5)


def cli_options(recipe: object) -> tuple[str, dict[str, str]]:
    """Return the name under which a recipe's plugin is installed, and its knobs as texts.

    The knobs are those that differ from the plugin's defaults, as ``RunSpec.knobs`` and ``--set``
    take them. Raises HarnessError if no installed plugin has the recipe's class.
    """
    kind = type(recipe)
    place = f"{kind.__module__}:{kind.__qualname__}"
    if place not in _names():
        raise HarnessError(f"no installed plugin is {place}; install this project again")
    knobs = {name: (getattr(recipe, name), knob.default) for name, knob in knobs_of(kind).items()}
    return _names()[place], {
        name: spelled(value) for name, (value, default) in knobs.items() if value != default
    }


@cache
def _names() -> dict[str, str]:
    """Return the name of every installed plugin, by its class."""
    return {point.value: point.name for point in entry_points(group="harness.plugins")}
