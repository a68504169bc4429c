"""Verdicts on both sides of every line that divides them."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from harness.errors import HarnessError
from harness.statistics.intervals import Interval, mean_accuracy, paired_difference
from harness.statistics.verdicts import (
    ENOUGH_SEEDS,
    OUTCOMES,
    Verdict,
    holm,
    judge_difference,
    judge_equality,
    judge_level,
    not_tested,
)


def interval(low: float, high: float, *, seeds: int = 5) -> Interval:
    """Bounds in points; half of the variance is the seeds'."""
    unit = Interval.of(0.0, seed_terms=((seeds, seeds),), image_variance=1_000, images=1_000)
    part = ((high - low) / 200 / unit.high) ** 2
    return Interval.of(
        (low + high) / 200,
        seed_terms=((part * seeds, seeds),),
        image_variance=part * 1_000,
        images=1_000,
    )


def one_seed(estimate: float) -> Interval:
    return Interval.of(estimate, seed_terms=(), image_variance=1e-9, images=1_000)


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (3, 5, "reproduced"),
        (0.1, 4.1, "reproduced"),
        (3.9, 9, "reproduced"),
        (4.1, 9, "direction only"),
        (0.1, 3.9, "direction only"),
        (-0.1, 9, "inconclusive"),
        (-9, 0.1, "inconclusive"),
        (-9, -0.1, "contradicted"),
    ],
)
def test_a_difference_of_four_points(low: float, high: float, outcome: str) -> None:
    verdict = judge_difference(interval(low, high), published=0.04)
    assert verdict.outcome == outcome
    assert (verdict.seeds_needed is not None) == (outcome == "inconclusive")


def test_a_direction_without_a_size_is_never_reproduced() -> None:
    verdict = judge_difference(interval(1, 5), published=None)
    assert verdict.outcome == "direction only"
    assert "no size was published" in verdict.reason


def test_a_margin_widens_what_counts_as_the_published_size() -> None:
    near = interval(1, 3.9)
    assert judge_difference(near, published=0.04).outcome == "direction only"
    assert judge_difference(near, published=0.04, margin=0.002).outcome == "reproduced"


def test_reproduced_means_that_more_than_half_was_measured() -> None:
    for low in np.linspace(-3, 9, 60):
        for high in np.linspace(low + 0.1, 12, 40):
            found = interval(float(low), float(high))
            if judge_difference(found, published=0.04).outcome == "reproduced":
                assert found.estimate > 0.02


@pytest.mark.parametrize("seeds", range(1, ENOUGH_SEEDS))
def test_too_few_seeds_are_inconclusive_whatever_they_show(seeds: int) -> None:
    clear = one_seed(0.04) if seeds == 1 else interval(3, 5, seeds=seeds)
    for verdict in (
        judge_difference(clear, published=0.04),
        judge_equality(clear, margin=0.5),
        judge_level(clear, published=0.04, margin=0.5, full_size=True, published_data=True),
    ):
        assert verdict.outcome == "inconclusive"
        assert verdict.seeds_needed == ENOUGH_SEEDS
        assert f"run {ENOUGH_SEEDS - seeds} more" in verdict.reason


def test_seeds_needed_are_the_fewest_that_keep_clear_of_zero() -> None:
    # Only seeds vary: se = 0.03 / sqrt(S), and 0.03 t_{S-1} / sqrt(S) < 0.02 from S = 12 on.
    found = Interval.of(0.02, seed_terms=((9e-4, 4),), image_variance=0.0, images=1_000)
    fewest = next(s for s in range(2, 99) if 0.03 * stats.t.ppf(0.975, s - 1) < 0.02 * math.sqrt(s))
    verdict = judge_difference(found, published=0.04)
    assert (verdict.outcome, verdict.seeds_needed, fewest) == ("inconclusive", 12, 12)
    assert verdict.reason == (
        "measured +2.00 [-2.77, +6.77]: contains 0; "
        "8 more seeds would decide at the present variance"
    )


def test_if_images_are_too_few_it_says_so() -> None:
    few = Interval.of(0.02, seed_terms=((1e-6, 5),), image_variance=0.2, images=1_000)
    verdict = judge_difference(few, published=0.04)
    assert verdict.seeds_needed is None
    assert "no number of seeds would decide: use more test images" in verdict.reason


def test_if_a_thousand_seeds_are_too_few_it_says_so() -> None:
    noisy = Interval.of(1e-4, seed_terms=((1e-4, 5),), image_variance=0.0, images=1_000)
    verdict = judge_difference(noisy, published=0.04)
    assert verdict.seeds_needed is None
    assert "more than 1,000 seeds would be needed" in verdict.reason


def test_two_recipes_that_are_one_are_inconclusive() -> None:
    right = np.random.default_rng(0).random((3, 50)) < 0.5
    verdict = judge_difference(paired_difference(right, right), published=0.04)
    assert (verdict.outcome, verdict.seeds_needed) == ("inconclusive", None)
    assert "is exactly at 0" in verdict.reason
    assert judge_equality(paired_difference(right, right), margin=0.01).outcome == "reproduced"


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (-0.9, 0.9, "reproduced"),
        (0.1, 0.9, "reproduced"),
        (-0.9, 1.1, "inconclusive"),
        (0.9, 3, "inconclusive"),
        (-3, 3, "inconclusive"),
        (1.1, 3, "contradicted"),
        (-3, -1.1, "contradicted"),
    ],
)
def test_equal_to_within_a_point(low: float, high: float, outcome: str) -> None:
    assert judge_equality(interval(low, high), margin=0.01).outcome == outcome
    around = judge_level(
        interval(70 + low, 70 + high),
        published=0.7,
        margin=0.01,
        full_size=True,
        published_data=True,
    )
    assert around.outcome == outcome


def test_equality_is_two_one_sided_t_tests() -> None:
    random = np.random.default_rng(0)
    outcomes = set()
    for level in np.linspace(0.46, 0.54, 9):
        by_seed = random.normal(level, 0.01, 6)
        found = mean_accuracy(np.repeat(by_seed[:, None], 30, axis=1))
        above = stats.ttest_1samp(by_seed, 0.48, alternative="greater").pvalue
        below = stats.ttest_1samp(by_seed, 0.52, alternative="less").pvalue
        verdict = judge_level(
            found, published=0.5, margin=0.02, full_size=True, published_data=True
        )
        assert (verdict.outcome == "reproduced") == (max(above, below) < 0.025)
        outcomes.add(verdict.outcome)
    assert outcomes == {"reproduced", "inconclusive", "contradicted"}


def test_a_level_needs_the_published_size_and_data() -> None:
    for full_size, published_data, why in ((False, True, "shrunk"), (True, False, "data")):
        verdict = judge_level(
            interval(69, 71),
            published=0.7,
            margin=0.02,
            full_size=full_size,
            published_data=published_data,
        )
        assert verdict.outcome == "not tested at this scale"
        assert why in verdict.reason
        assert verdict.interval is None


def test_seeds_needed_for_a_level_keep_clear_of_the_edge() -> None:
    found = interval(69.2, 71.2)
    verdict = judge_level(found, published=0.7, margin=0.01, full_size=True, published_data=True)
    assert verdict.outcome == "inconclusive"
    assert verdict.seeds_needed is not None
    assert found.half_width(verdict.seeds_needed) < 0.008
    assert found.half_width(verdict.seeds_needed - 1) >= 0.008
    assert verdict.reason.startswith("measured 70.20 [69.20, 71.20]: contains an edge of 70 +/- 1;")


def test_not_tested_says_why() -> None:
    assert not_tested("no run yet") == Verdict(outcome=OUTCOMES[-1], reason="no run yet")


def test_holm_by_hand() -> None:
    # In order: 4 x 0.005, 3 x 0.01, 2 x 0.03, 1 x 0.04, which may not fall below the one before.
    adjusted = holm([0.01, 0.04, 0.03, 0.005])
    np.testing.assert_allclose(adjusted, [0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]).tolist() == [1, 1]
    assert holm([]).tolist() == []


def test_refusals() -> None:
    found = interval(1, 2)
    for published in (0.0, -0.04, 4.0, math.nan):
        with pytest.raises(HarnessError, match="give a share"):
            judge_difference(found, published=published)
    with pytest.raises(HarnessError, match=r"margin must be in .0, 1., got -0\.1; give a share"):
        judge_difference(found, published=0.04, margin=-0.1)
    for margin in (0.0, 1.0, math.nan):
        with pytest.raises(HarnessError, match="margin must be in"):
            judge_equality(found, margin=margin)
    with pytest.raises(HarnessError, match=r"published accuracy must be in .0, 1., got 70"):
        judge_level(found, published=70, margin=0.01, full_size=True, published_data=True)
    for wrong in ([0.1, 1.1], [math.nan], [[0.1]]):
        with pytest.raises(HarnessError, match="numbers from 0 to 1"):
            holm(wrong)


def test_the_example_of_the_docs_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs/statistics.md").read_text()
    code, output = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", page, re.DOTALL).groups()
    exec(code, {})
    assert capsys.readouterr().out == output
