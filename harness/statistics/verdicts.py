"""Verdicts on claims, from an interval: six outcomes, and how many seeds would decide.

A verdict depends only on the interval that is printed beside it. docs/statistics.md explains the
verdicts, with measured error rates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.errors import HarnessError
from harness.statistics.intervals import MOST_SEEDS, Interval

Outcome: TypeAlias = Literal[
    "reproduced",
    "direction only",
    "contradicted",
    "inconclusive",
    "not run yet",
    "not tested at this scale",
]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

ENOUGH_SEEDS = 3  # with two, a 95 % interval may cover as little as 90 % (docs/statistics.md)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The outcome of a claim, and the reason in one line.

    ``seeds_needed`` belongs to an inconclusive verdict: the total number of seeds of each method
    that would decide at the present estimate and variances. It is None for other verdicts, and if
    no number of seeds would decide.
    """

    outcome: Outcome
    reason: str
    interval: Interval | None = None
    seeds_needed: int | None = None


def not_tested(reason: str) -> Verdict:
    """Return the verdict of a claim that cannot be tested here, whatever is run."""
    return Verdict(outcome="not tested at this scale", reason=reason)


def not_run(reason: str) -> Verdict:
    """Return the verdict of a claim whose runs are missing here."""
    return Verdict(outcome="not run yet", reason=reason)


def judge_difference(
    interval: Interval, *, published: float | None, margin: float = 0.0
) -> Verdict:
    """Judge "better beats worse by ``published``", in shares; None if no size is stated.

    - contradicted: the interval is below 0;
    - reproduced: it is above 0 and within ``margin`` of the published size;
    - direction only: it is above 0, but the size was not stated or does not match;
    - inconclusive: it contains 0, or there are fewer than ``ENOUGH_SEEDS`` seeds.

    Without a margin, a claim is reproduced only if more than half its size was measured: the
    estimate is farther from 0 than from the published size. To judge "it hurts", swap better and
    worse.

    Raises:
        HarnessError: ``published`` is not in (0, 1], or ``margin`` is negative.

    **Source:** our choice.
    """
    if published is not None and not 0 < published <= 1:
        raise HarnessError(
            f"published difference must be in (0, 1], got {published}; give a share (0.04 for 4 "
            "points), and swap better and worse if it is negative"
        )
    if not 0 <= margin < 1:
        raise HarnessError(
            f"margin must be in [0, 1), got {margin}; give a share (0.01 for 1 point)"
        )
    if interval.low <= 0 <= interval.high or interval.seeds < ENOUGH_SEEDS:
        return _inconclusive(interval, "0", abs(interval.estimate), str(interval))
    outcome: Outcome = "direction only"
    if interval.high < 0:
        outcome, reason = "contradicted", f"measured {interval}: below 0"
    elif published is None:
        reason = f"measured {interval}: above 0; no size was published"
    elif published < interval.low - margin or published > interval.high + margin:
        size = "more" if published < interval.low else "less"
        reason = f"measured {interval}: above 0 but {size} than the {100 * published:.4g} published"
    else:
        outcome = "reproduced"
        reason = f"measured {interval}: above 0 and fits the {100 * published:.4g} published"
    return Verdict(outcome=outcome, reason=reason, interval=interval)


def judge_equality(interval: Interval, *, margin: float) -> Verdict:
    """Judge "the two are comparable": they differ by less than ``margin``, in shares.

    - reproduced: the interval is inside -margin to margin, which is two one-sided tests, each
      at half of 1 - confidence;
    - contradicted: it is outside;
    - inconclusive: it contains -margin or margin, or there are fewer than ``ENOUGH_SEEDS`` seeds.

    Raises HarnessError if the margin is not in (0, 1). **Source:** our choice.
    """
    return _within(interval, 0.0, margin)


def judge_level(
    interval: Interval,
    *,
    published: float,
    margin: float,
    full_size: bool,
    published_data: bool,
) -> Verdict:
    """Judge "the accuracy is ``published``", in shares, to within ``margin``.

    The rules are those of ``judge_equality``, around the published number. If the recipe is shrunk,
    or edition, split or protocol are not the published ones, the level cannot be compared: "not
    tested at this scale".

    Raises HarnessError if the margin is not in (0, 1) or the level is not in [0, 1].
    **Source:** our choice.
    """
    if not 0 <= published <= 1:
        raise HarnessError(f"published accuracy must be in [0, 1], got {published}; give a share")
    if not full_size:
        return not_tested("the recipe is shrunk: compare differences, not accuracies")
    if not published_data:
        return not_tested("this is not the published data: compare differences, not accuracies")
    return _within(interval, published, margin)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return Holm's adjusted p-values: those below 0.05 hold together at 5 %.

    With p_(1) <= ... <= p_(m), the k-th is max over j <= k of min(1, (m - j + 1) p_(j)). Raises
    HarnessError for a value outside [0, 1].

    **Source:** S. Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979.
    """
    p = np.asarray(p_values, np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise HarnessError("p-values must be a list of numbers from 0 to 1")
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    raised = np.arange(len(p), 0, -1) * p[order]
    adjusted[order] = np.minimum(1, np.maximum.accumulate(raised))
    return adjusted


def _within(interval: Interval, target: float, margin: float) -> Verdict:
    if not 0 < margin < 1:
        raise HarnessError(
            f"margin must be in (0, 1), got {margin}; give a share (0.01 for 1 point)"
        )
    off = abs(interval.estimate - target)
    half = interval.high - interval.estimate
    band = f"{100 * target:.4g} +/- {100 * margin:.4g}"
    measured = interval.in_points(sign="" if target else "+")
    if abs(margin - off) <= half or interval.seeds < ENOUGH_SEEDS:
        edge = f"an edge of {band}"
        return _inconclusive(interval, edge, abs(margin - off), measured)
    if off < margin:
        reason = f"measured {measured}: inside {band}"
        return Verdict(outcome="reproduced", reason=reason, interval=interval)
    reason = f"measured {measured}: outside {band}"
    return Verdict(outcome="contradicted", reason=reason, interval=interval)


def _inconclusive(interval: Interval, held: str, distance: float, measured: str) -> Verdict:
    """Return the verdict with the number of seeds that would exclude a value ``distance`` away."""
    needed = None
    if interval.seeds < ENOUGH_SEEDS:
        needed = ENOUGH_SEEDS
        count = "one seed is" if interval.seeds == 1 else f"{interval.seeds} seeds are"
        more = needed - interval.seeds
        advice = f"{count} too few to estimate the variance between seeds: run {more} more"
    elif (found := interval.seeds_for(distance)) is not None:
        needed = max(found, interval.seeds + 1)
        more = needed - interval.seeds
        seeds = "seed" if more == 1 else "seeds"
        advice = f"contains {held}; {more} more {seeds} would decide at the present variance"
    elif distance == 0:
        advice = f"is exactly at {held}; no number of seeds would decide at this estimate"
    elif interval.half_width(math.inf) >= distance:
        advice = f"contains {held}; no number of seeds would decide: use more test images"
    else:
        advice = f"contains {held}; more than {MOST_SEEDS:,} seeds would be needed"
    return Verdict(
        outcome="inconclusive",
        reason=f"measured {measured}: {advice}",
        interval=interval,
        seeds_needed=needed,
    )
