"""The page of one board: the headline's rows, drawn, and accuracy against cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.pages import plots
from harness.pages.render import points
from harness.store.record import ResultRecord
from harness.studies.again import command
from harness_leaderboard.headline import HeadlineBoard, HeadlineRow, told_apart_in_words

if TYPE_CHECKING:
    from markupsafe import Markup

CELL = (8.0, 128.0)  # pixels from the left and the right end of an interval's axis


class DrawnRow(NamedTuple):
    """A row of the headline with its interval drawn, and the run that stands for each seed."""

    row: HeadlineRow
    picture: Markup | None
    outcome: str  # "better", "worse" or "" if it is not told apart from the baseline
    runs: tuple[tuple[int, str], ...]
    baseline_run: str


def board_values(board: HeadlineBoard, records: Mapping[str, ResultRecord]) -> dict[str, Any]:
    """Return what the template of a board shows; ``records`` are all by id."""
    best = board.rows[0]
    above = [row for row in board.rows if outcome_of(board, row) == "better"]
    alike = [row for row in board.rows[1:] if 0 not in row.told_apart_from]
    return {
        "board": board,
        "rows": _drawn(board),
        "words": told_apart_in_words(board),
        "best": best,
        "above": above,
        "alike": alike,
        "lead": lead(board, above, alike),
        "command": command(records[best.records[0]]),
        "cost": cost_plot(board),
        "groups": sorted({letter for row in board.rows for letter in row.group}),
        "external": sorted({name for row in board.rows for name in row.external}),
        "has_auc": any(row.noise_auc is not None for row in board.rows),
        "sizes": sorted({row.size for row in board.rows}),
    }


def outcome_of(board: HeadlineBoard, row: HeadlineRow) -> str:
    """Return whether tests tell a row from its baseline: "better", "worse" or ""."""
    baseline = _baseline_of(board, row)
    place = None if baseline is None else board.rows.index(baseline)
    if place is None or place not in row.told_apart_from:
        return ""
    return "better" if board.rows.index(row) < place else "worse"


def _baseline_of(board: HeadlineBoard, row: HeadlineRow) -> HeadlineRow | None:
    """Return the row that a row's difference is taken from."""
    if not row.baseline:
        return None
    named = [one for one in board.rows if one.method == row.baseline]
    return next((one for one in named if one.is_baseline), named[0])


def lead(board: HeadlineBoard, above: Sequence[HeadlineRow], alike: Sequence[HeadlineRow]) -> str:
    """Return in a sentence or two which methods beat the baseline and which are alike."""
    others = sum(bool(row.baseline) for row in board.rows)
    if not board.baseline:
        first = "No run of the plain baseline is on this data, so no gain over it is known."
    elif not others:
        first = "Only the baseline was run on this data."
    elif not above:
        first = f"No method of {others} is shown to beat the baseline."
    else:
        verb = "beats" if len(above) == 1 else "beat"
        first = f"{len(above)} of {others} methods {verb} the baseline."
    if not alike:
        return first
    rows = "row" if len(alike) == 1 else "rows"
    return f"{first} {len(alike)} {rows} cannot be told apart from the first."


def _drawn(board: HeadlineBoard) -> list[DrawnRow]:
    spans = [row.over_baseline for row in board.rows if row.over_baseline]
    low, high = min((s.low for s in spans), default=0.0), max((s.high for s in spans), default=0.0)
    axis = plots.Axis(min(0.0, low), max(0.0, high) or 1.0, *CELL)
    found = []
    for row in board.rows:
        baseline = _baseline_of(board, row)
        span, outcome, picture = row.over_baseline, outcome_of(board, row), None
        if span is not None:
            label = f"{points(span.estimate)}, from {points(span.low)} to {points(span.high)}"
            drawn = (span.estimate, span.low, span.high)
            picture = plots.interval(drawn, axis, zero=True, outcome=outcome, label=label)
        runs = tuple(zip(row.seeds, row.records, strict=True))
        other = _same_seed(row, baseline) if baseline else ""
        found.append(DrawnRow(row, picture, outcome, runs, other))
    return found


def _same_seed(row: HeadlineRow, baseline: HeadlineRow) -> str:
    """Return the baseline's run with the seed of the row's first run, else its first run."""
    by_seed = dict(zip(baseline.seeds, baseline.records, strict=True))
    return by_seed.get(row.seeds[0], baseline.records[0])


def cost_plot(board: HeadlineBoard) -> Markup | None:
    """Draw accuracy over device time with the Pareto front; None without two rows that cost."""
    rows = [row for row in board.rows if row.seconds > 0]
    if len(rows) < 2:
        return None
    dots = [
        plots.Dot(
            row.method,
            row.seconds,
            row.top1_percent,
            row.top1.low if row.top1 else None,
            row.top1.high if row.top1 else None,
            is_marked=row.is_baseline,
        )
        for row in rows
    ]
    best = front([(row.seconds, row.top1_percent) for row in rows])
    label = f"Top-1 over device seconds of {len(rows)} methods; {len(best)} are on the Pareto front"
    return plots.scatter(
        dots, best, x="device seconds of one training", y=f"top-1 on {board.split}, %", label=label
    )


def front(found: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the (cost, accuracy) pairs that no other beats in one without losing in the other."""
    best: list[tuple[float, float]] = []
    for cost, accuracy in sorted(found, key=lambda one: (one[0], -one[1])):
        if not best or accuracy > best[-1][1]:
            best.append((cost, accuracy))
    return best
