"""The page of one board: the headline's rows, drawn, and accuracy against cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.pages import plots
from harness.pages.render import points
from harness.statistics.verdicts import ENOUGH_SEEDS
from harness.store.record import ResultRecord
from harness.studies.again import command
from harness_leaderboard.headline_board import (
    HeadlineBoard,
    HeadlineRow,
    Span,
    outcomes_in_words,
    told_apart_in_words,
)
from harness_leaderboard.separation import Outcome

if TYPE_CHECKING:
    from markupsafe import Markup

NAMED = 3  # methods in a sentence
CELL = (8.0, 128.0)  # pixels from the left and the right end of an interval's axis


class DrawnRow(NamedTuple):
    """A row of the headline with its interval drawn, and the run that stands for each seed."""

    row: HeadlineRow
    picture: Markup | None
    outcome: Outcome
    runs: tuple[tuple[int, str], ...]
    baseline_run: str


def board_values(board: HeadlineBoard, records: Mapping[str, ResultRecord]) -> dict[str, Any]:
    """Return what the template of a board shows; ``records`` are all by id."""
    above = [row for row in board.rows if row.outcome == "better"]
    best = (above or board.rows)[0]
    place = board.rows.index(best)
    alike = [r for r in board.rows if r is not best and place not in r.told_apart_from]
    return {
        "board": board,
        "rows": _drawn(board),
        "words": told_apart_in_words(board),
        "outcomes": outcomes_in_words(board).replace("better", "Better", 1),
        "best": best,
        "above": above,
        "alike": alike,
        "lead": lead(board, above),
        "command": command(records[best.records[0]]),
        "cost": cost_plot(board),
        "groups": sorted({letter for row in board.rows for letter in row.group}),
        "external": sorted({name for row in board.rows for name in row.external}),
        "has_auc": any(row.noise_auc is not None for row in board.rows),
        "sizes": sorted({row.size for row in board.rows}),
    }


def _baseline_of(board: HeadlineBoard, row: HeadlineRow) -> HeadlineRow | None:
    """Return the row that a row's difference is taken from."""
    if not row.baseline:
        return None
    named = [one for one in board.rows if one.method == row.baseline]
    return next((one for one in named if one.is_baseline), named[0])


def lead(board: HeadlineBoard, above: Sequence[HeadlineRow]) -> str:
    """Return which methods beat the baseline and by how much, and what is not decided.

    ``above`` are the rows that tests tell from their baseline and that are better, best first.
    """
    others = [row for row in board.rows if row.baseline]
    if not board.baseline:
        return "No run of the plain baseline is on this data, so no gain over it is known."
    if not others:
        return "Only the baseline was run on this data."
    if above:
        first = f"{above[0].method} beats the baseline by {_gain(above[0])}"
        if len(above) > 1:
            first += f", and so {'does' if len(above) == 2 else 'do'} {_names(above[1:])}"
    else:
        first = f"No method of {len(others)} is shown to beat the baseline"
        if others[0].over_baseline and others[0].over_baseline.estimate > 0:
            first += f"; {others[0].method}, with {_gain(others[0])}, is not told apart from it"
    best = (above or board.rows)[0]
    higher = board.rows[: board.rows.index(best)]
    said = [f"{first}."]
    few = [row for row in others if len(row.seeds) < ENOUGH_SEEDS]
    if higher:
        verb = "scores higher, but is" if len(higher) == 1 else "score higher, but are"
        why = f" (fewer than {ENOUGH_SEEDS} seeds)" if all(row in few for row in higher) else ""
        said.append(f"{_names(higher)} {verb} not told apart from the baseline{why}.")
    place = board.rows.index(best)
    alike = [row for row in above[1:] if place not in row.told_apart_from]
    if alike:
        said.append(f"{_names(alike)} cannot be told apart from {best.method}.")
    said.append(f"To run {best.method}:")
    return " ".join(said)


def _gain(row: HeadlineRow) -> str:
    span = row.over_baseline
    if span is None:
        return "a gain that is not known"
    return f"{span.estimate:.1f} points of top-1 (95 % interval {_ends(span)})"


def _ends(span: Span) -> str:
    minus = "\N{MINUS SIGN}"
    return f"{span.low:.1f} to {span.high:.1f}".replace("-", minus)


def _names(rows: Sequence[HeadlineRow]) -> str:
    names = [row.method for row in rows[:NAMED]]
    more = len(rows) - len(names)
    names += [f"{more} more"] if more else []
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _drawn(board: HeadlineBoard) -> list[DrawnRow]:
    spans = [row.over_baseline for row in board.rows if row.over_baseline]
    low, high = min((s.low for s in spans), default=0.0), max((s.high for s in spans), default=0.0)
    axis = plots.Axis(min(0.0, low), max(0.0, high) or 1.0, *CELL)
    found = []
    for row in board.rows:
        baseline = _baseline_of(board, row)
        span, outcome, picture = row.over_baseline, row.outcome, None
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


def cost_plot(board: HeadlineBoard) -> tuple[Markup, Markup] | None:
    """Draw accuracy over device time with the Pareto front, for a desk and for a phone.

    None without two rows that cost.
    """
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
    across, up = "device seconds of one training", f"top-1 on {board.split}, %"
    wide, narrow = (
        plots.scatter(dots, best, x=across, y=up, label=label, narrow=small)
        for small in (False, True)
    )
    return wide, narrow


def front(found: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the (cost, accuracy) pairs that no other beats in one without losing in the other."""
    best: list[tuple[float, float]] = []
    for cost, accuracy in sorted(found, key=lambda one: (one[0], -one[1])):
        if not best or accuracy > best[-1][1]:
            best.append((cost, accuracy))
    return best
