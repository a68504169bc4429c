"""Whether a method's gain holds on several data sets: its gain over the baseline on each board."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from harness_leaderboard.headline_board import HeadlineBoard, Span
from harness_leaderboard.separation import Outcome


class Column(NamedTuple):
    """One board."""

    name: str


class Cell(NamedTuple):
    """The gain on one board, and whether tests tell it from nothing: "better", "worse" or ""."""

    span: Span
    outcome: Outcome


class Line(NamedTuple):
    """One method on all boards; ``range`` is its largest gain less its smallest, in points."""

    method: str
    cells: tuple[Cell | None, ...]
    range: float


def worlds_values(boards: Sequence[tuple[str, HeadlineBoard]]) -> dict[str, Any]:
    """Return a table of methods by data sets; empty if no method has a gain on two of them.

    Of the splits of a data set only the first counts: another split is not another world.
    """
    first: dict[str, tuple[str, HeadlineBoard]] = {}
    for name, board in boards:
        first.setdefault(board.data.asked, (name, board))
    found: dict[str, dict[str, Cell]] = {}
    for name, board in first.values():
        for row in board.rows:
            if row.over_baseline:
                cell = Cell(row.over_baseline, row.outcome)
                found.setdefault(row.method, {})[name] = cell
    columns = [name for name, _ in first.values()]
    lines = []
    for method, by_board in found.items():
        if len(by_board) > 1:
            gains = [cell.span.estimate for cell in by_board.values()]
            cells = tuple(by_board.get(name) for name in columns)
            lines.append(Line(method, cells, max(gains) - min(gains)))
    if not lines:
        return {}
    return {"columns": [Column(name) for name in columns], "lines": lines}
