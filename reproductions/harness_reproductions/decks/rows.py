"""What a published table is made of: rows with their numbers, and the recipe that makes each again.

All numbers are accuracies in percent. What a deck prints otherwise is written as printed and turned
by ``errors`` or ``shares``, once, where it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from typing import Literal, TypeAlias

from harness.errors import HarnessError, unknown
from harness.knobs import knobs_of

Metric: TypeAlias = Literal["top1", "top5"]
Edition: TypeAlias = Literal["webvision1", "webvision2"]
Split: TypeAlias = Literal["val", "test"]
Protocol: TypeAlias = Literal["1 view", "10 views", "unstated", "challenge entry"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table or a list, named as it is printed.

    ``recipe`` is a plugin's value, None where the deck's line is no recipe of ours: an official
    model, another team. ``published`` holds accuracies in percent, empty where the deck has words
    only; ``runs`` the top-5 of a challenge's several entries, of which ``published`` is the best.
    ``source`` names deck and slide; ``doubt`` says what of the line is uncertain.
    """

    name: str
    recipe: object | None
    published: Mapping[Metric, float] = field(default_factory=dict)
    source: str
    runs: tuple[float, ...] = ()
    doubt: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """The rows of one table or list, all tested on one split of one edition under one protocol.

    ``name`` is "team/subject". Where the deck leaves the protocol "unstated", our runs are compared
    under the plain centre view, as all methods are.
    """

    name: str
    title: str
    edition: Edition
    split: Split = "val"
    protocol: Protocol = "unstated"
    rows: tuple[Row, ...]
    doubt: str = ""

    @property
    def source(self) -> str:
        """Where the rows stand, each place once."""
        return "; ".join(dict.fromkeys(row.source for row in self.rows))

    def __getitem__(self, name: str) -> Row:
        """Return the row of this name; raises HarnessError naming the nearest."""
        rows = {row.name: row for row in self.rows}
        if name not in rows:
            raise HarnessError(unknown(f"row of {self.name}", name, rows, listing="rows"))
        return rows[name]


@dataclass(frozen=True, kw_only=True)
class NetworkCost:
    """What a network is worth on ImageNet and what it would cost on WebVision 2.0.

    ``imagenet_top1`` is in percent; ``recipe`` takes ``days`` of ``gpus`` devices, it is estimated.
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
    """How many categories ``better`` improves, reduces and leaves unchanged against ``worse``."""

    better: Row
    worse: Row
    improved: int
    reduced: int
    unchanged: int
    source: str
    doubt: str = ""


def percent(top1: float, top5: float) -> dict[Metric, float]:
    """Accuracies that are printed in percent."""
    return {"top1": top1, "top5": top5}


def top5(percent: float) -> dict[Metric, float]:
    """The one accuracy of a table that prints no top-1, in percent."""
    return {"top5": percent}


def errors(top1: float, top5: float) -> dict[Metric, float]:
    """Accuracies that are printed as errors in percent: 100 - error."""
    return {"top1": round(100 - top1, 2), "top5": round(100 - top5, 2)}


def shares(*printed: float) -> tuple[float, ...]:
    """Accuracies that are printed as shares of 1, in percent."""
    return tuple(round(100 * share, 2) for share in printed)


def asked(recipe: object) -> tuple[str, dict[str, str]]:
    """Return the name under which a recipe's plugin is installed, and its knobs as texts.

    The knobs are those that differ from the plugin's defaults, as ``RunSpec.knobs`` and ``--set``
    take them. Raises HarnessError where no installed plugin is of the recipe's class.
    """
    kind = type(recipe)
    place = f"{kind.__module__}:{kind.__qualname__}"
    if place not in _names():
        raise HarnessError(f"no installed plugin is {place}; install this project again")
    knobs = {name: (getattr(recipe, name), knob.default) for name, knob in knobs_of(kind).items()}
    return _names()[place], {
        name: _text(value) for name, (value, default) in knobs.items() if value != default
    }


@cache
def _names() -> dict[str, str]:
    """Every installed plugin's name by the class that it stands for."""
    return {point.value: point.name for point in entry_points(group="harness.plugins")}


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
