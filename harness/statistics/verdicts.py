"""What an interval says of a claim: five verdicts, and how many seeds would decide.

A verdict rests on the one interval that is printed beside it. docs/statistics.md says the same to
a reader, with measured error rates.
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
    "not tested at this scale",
]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

ENOUGH_SEEDS = 3  # with two, a 95 % interval may cover as little as 90 % (docs/statistics.md)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of a claim, and why, in one line.

    ``seeds_needed`` stands on an inconclusive verdict: the seeds of each method, in all, with which
    the present estimate and variances would decide. None elsewhere, and where no number does it.
    """

    outcome: Outcome
    reason: str
    interval: Interval | None = None
    seeds_needed: int | None = None


def not_tested(reason: str) -> Verdict:
    """Return the verdict of a claim that was not, or could not be, tested here."""
    return Verdict(outcome="not tested at this scale", reason=reason)


def judge_difference(
    interval: Interval, *, published: float | None, margin: float = 0.0
) -> Verdict:
    """Judge "better beats worse by ``published``", in shares; None where no size is stated.

    - contradicted: the interval lies below 0;
    - reproduced: it lies above 0 and comes within ``margin`` of the published size;
    - direction only: it lies above 0, but the size was not stated or is another;
    - inconclusive: it holds 0, or there are fewer than ``ENOUGH_SEEDS`` seeds.

    With no margin a claim is reproduced only where more than half its size was measured: the
    estimate is farther from 0 than from the size. "It hurts" is judged with better and worse
    swapped.

    Raises:
        HarnessError: ``published`` is not in (0, 1], or ``margin`` is negative.

    **Source:** our choice.
    """
    if published is not None and not 0 < published <= 1:
        raise HarnessError(
            f"a published difference of {published} is not in (0, 1]; give shares (0.04 for 4 "
            "points), and swap better and worse where it is negative"
        )
    if not 0 <= margin < 1:
        raise HarnessError(f"a margin of {margin} is not in [0, 1); give shares (0.01: 1 point)")
    measured = _points(interval)
    if interval.low <= 0 <= interval.high or interval.seeds < ENOUGH_SEEDS:
        return _inconclusive(interval, f"measured {measured}", "0", abs(interval.estimate))
    outcome: Outcome = "direction only"
    if interval.high < 0:
        outcome, reason = "contradicted", f"measured {measured}: below 0"
    elif published is None:
        reason = f"measured {measured}: above 0; no size was published"
    elif published < interval.low - margin or published > interval.high + margin:
        size = "more" if published < interval.low else "less"
        reason = f"measured {measured}: above 0 but {size} than the {100 * published:.4g} published"
    else:
        outcome = "reproduced"
        reason = f"measured {measured}: above 0 and fits the {100 * published:.4g} published"
    return Verdict(outcome=outcome, reason=reason, interval=interval)


def judge_equality(interval: Interval, *, margin: float) -> Verdict:
    """Judge "the two are comparable": they differ by less than ``margin``, in shares.

    - reproduced: the interval lies inside -margin to margin, which is two one-sided tests, each
      at half of 1 - confidence;
    - contradicted: it lies outside;
    - inconclusive: it holds -margin or margin, or there are fewer than ``ENOUGH_SEEDS`` seeds.

    Raises HarnessError for a margin that is not in (0, 1). **Source:** our choice.
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

    As ``judge_equality``, around the published number. A shrunk recipe, or data other than the
    published edition, split and protocol, has no level to compare: "not tested at this scale".

    Raises HarnessError for a margin that is not in (0, 1) and a level that is not in [0, 1].
    **Source:** our choice.
    """
    if not 0 <= published <= 1:
        raise HarnessError(f"a published accuracy of {published} is not in [0, 1]; give a share")
    if not full_size:
        return not_tested("the recipe is shrunk: its level says nothing of the published one")
    if not published_data:
        return not_tested("these are not the published data: compare differences, not levels")
    return _within(interval, published, margin)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return Holm's adjusted p-values: below 0.05, all hold together at 5 %.

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
        raise HarnessError(f"a margin of {margin} is not in (0, 1); give shares (0.01: 1 point)")
    off = abs(interval.estimate - target)
    half = interval.high - interval.estimate
    band = f"{100 * target:.4g} +/- {100 * margin:.4g}"
    measured = _points(interval, sign="" if target else "+")
    if abs(margin - off) <= half or interval.seeds < ENOUGH_SEEDS:
        edge = f"an edge of {band}"
        return _inconclusive(interval, f"measured {measured}", edge, abs(margin - off))
    if off < margin:
        reason = f"measured {measured}: inside {band}"
        return Verdict(outcome="reproduced", reason=reason, interval=interval)
    reason = f"measured {measured}: outside {band}"
    return Verdict(outcome="contradicted", reason=reason, interval=interval)


def _inconclusive(interval: Interval, measured: str, held: str, distance: float) -> Verdict:
    """Say how many seeds would keep the interval clear of what is ``distance`` away."""
    needed = None
    if interval.seeds < ENOUGH_SEEDS:
        needed = ENOUGH_SEEDS
        count = "one seed tells" if interval.seeds == 1 else f"{interval.seeds} seeds tell"
        advice = f"{count} too little of the seeds' variance: run {needed - interval.seeds} more"
    elif (found := interval.seeds_for(distance)) is not None:
        needed = max(found, interval.seeds + 1)
        more = needed - interval.seeds
        seeds = "seed" if more == 1 else "seeds"
        advice = f"holds {held}; {more} more {seeds} would decide at the present variance"
    elif distance == 0:
        advice = f"lies exactly on {held}; no number of seeds would decide at this estimate"
    elif interval.half_width(math.inf) >= distance:
        advice = f"holds {held}; no number of seeds would decide: more test images"
    else:
        advice = f"holds {held}; more than {MOST_SEEDS:,} seeds would be needed"
    return Verdict(
        outcome="inconclusive",
        reason=f"{measured}: {advice}",
        interval=interval,
        seeds_needed=needed,
    )


def _points(interval: Interval, sign: str = "+") -> str:
    """Write an interval in points: "+2.35 [+0.41, +4.29]"."""
    estimate, low, high = (
        f"{100 * x:{sign}.2f}" for x in (interval.estimate, interval.low, interval.high)
    )
    return f"{estimate} [{low}, {high}]"
