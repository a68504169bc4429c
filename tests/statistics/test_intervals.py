"""Intervals against cases worked by hand, scipy's t-tests, and integration over all samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from harness.errors import HarnessError
from harness.statistics.intervals import (
    MOST_SEEDS,
    Interval,
    mean_accuracy,
    paired_difference,
    unpaired_difference,
)


def table(seeds: int, images: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((seeds, images)) < 0.6


def standard_error(interval: Interval) -> float:
    terms = [*interval.seed_terms, (interval.image_variance, interval.images)]
    return math.sqrt(sum(variance / count for variance, count in terms))


def test_two_seeds_and_three_images_by_hand() -> None:
    # d: means of the seeds 2/3, 1/3, of the images 1/2, 0, 1; residuals +-1/3, -+1/6, -+1/6.
    # v = 1/18, MS_e = (1/3) / 2 = 1/6, image variance 1/4 - 1/12; se^2 = 1/36 + 1/18 = 1/12,
    # of which the seeds have 1/3 (1 degree of freedom), the images 2/3 (2): 1/df = 1/3 + 1/3.
    interval = paired_difference([[1, 1, 1], [0, 1, 1]], [[0, 1, 0], [0, 1, 0]])
    assert interval.estimate == pytest.approx(1 / 2)
    assert (interval.seeds, interval.images) == (2, 3)
    assert interval.seed_terms[0] == (pytest.approx(1 / 18), 2)
    assert interval.image_variance == pytest.approx(1 / 6)
    half = stats.t.ppf(0.975, 1.5) * math.sqrt(1 / 12)
    assert (interval.low, interval.high) == pytest.approx((1 / 2 - half, 1 / 2 + half))
    assert interval.p_value() == pytest.approx(2 * stats.t.sf(math.sqrt(3), 1.5))


def test_one_seed_is_a_paired_t_test_over_images() -> None:
    better, worse = table(1, 200), table(1, 200, seed=1)
    interval = paired_difference(better, worse)
    oracle = stats.ttest_rel(better[0].astype(float), worse[0].astype(float))
    bounds = oracle.confidence_interval(0.95)
    assert (interval.seeds, interval.seed_terms) == (1, ())
    assert (interval.low, interval.high) == pytest.approx((bounds.low, bounds.high))
    assert interval.p_value() == pytest.approx(oracle.pvalue)
    assert mean_accuracy(better[0]) == mean_accuracy(better)


def test_if_all_images_are_equal_it_is_a_t_test_over_seeds() -> None:
    by_seed = np.array([0.5, 0.1, 0.4, 0.3])
    interval = mean_accuracy(np.repeat(by_seed[:, None], 50, axis=1))
    oracle = stats.ttest_1samp(by_seed, 0.0)
    bounds = oracle.confidence_interval(0.95)
    assert (interval.low, interval.high) == pytest.approx((bounds.low, bounds.high))
    assert interval.p_value() == pytest.approx(oracle.pvalue)


def test_the_variance_is_that_of_the_analysis_of_variance() -> None:
    seeds, images = 4, 30
    better, worse = table(seeds, images), table(seeds, images, seed=1)
    worse[:, :12] = False  # so that images differ and nothing is cut off at 0
    d = better.astype(float) - worse
    of_seed, of_image = d.mean(axis=1), d.mean(axis=0)
    square_seed = images * ((of_seed - d.mean()) ** 2).sum()
    square_image = seeds * ((of_image - d.mean()) ** 2).sum()
    square_rest = ((d - d.mean()) ** 2).sum() - square_seed - square_image
    mean_squares = square_seed / (seeds - 1) + square_image / (images - 1)
    mean_squares -= square_rest / ((seeds - 1) * (images - 1))
    interval = paired_difference(better, worse)
    assert standard_error(interval) ** 2 == pytest.approx(mean_squares / (seeds * images))


def test_no_variance_is_negative() -> None:
    opposed = np.array([[1.0, 0.0] * 10, [0.0, 1.0] * 10])  # images balance out over the seeds
    interval = mean_accuracy(opposed)
    assert interval.image_variance == 0
    assert interval.low == interval.estimate == interval.high == 0.5


def test_unpaired_seeds_have_a_term_for_each_method() -> None:
    better, worse = table(3, 80), table(5, 80, seed=1)
    interval = unpaired_difference(better, worse)
    assert interval.estimate == pytest.approx(better.mean() - worse.mean())
    assert interval.seeds == 3
    assert interval.seed_terms == (
        (pytest.approx(better.mean(axis=1).var(ddof=1)), 3),
        (pytest.approx(worse.mean(axis=1).var(ddof=1)), 5),
    )
    turned = unpaired_difference(worse, better)
    assert (turned.low, turned.high) == pytest.approx((-interval.high, -interval.low))


def test_against_a_method_that_is_never_right_unpaired_is_the_level() -> None:
    right = table(4, 60)
    level, difference = mean_accuracy(right), unpaired_difference(right, np.zeros((3, 60)))
    assert (difference.low, difference.high) == pytest.approx((level.low, level.high))


def test_one_method_with_one_seed_leaves_images_only() -> None:
    interval = unpaired_difference(table(3, 80), table(1, 80, seed=1))
    assert (interval.seeds, interval.seed_terms) == (1, ())
    assert interval.seeds_for(0.5) is None


def test_shared_images_make_a_narrower_interval_than_different_ones() -> None:
    hard = np.random.default_rng(2).random(500) < 0.5
    better, worse = table(9, 500) & hard, table(9, 500, seed=1) & hard
    shuffled = worse[:, np.random.default_rng(3).permutation(500)]
    paired, apart = paired_difference(better, worse), paired_difference(better, shuffled)
    assert paired.estimate == pytest.approx(apart.estimate)
    assert paired.high - paired.low < 0.8 * (apart.high - apart.low)


def test_p_value_and_bounds_say_the_same() -> None:
    interval = paired_difference(table(4, 90), table(4, 90, seed=1), confidence=0.9)
    assert interval.p_value(interval.low) == pytest.approx(0.1)
    assert interval.p_value(interval.high) == pytest.approx(0.1)
    assert interval.p_value(interval.estimate) == 1
    same = paired_difference(table(3, 9), table(3, 9))
    assert (same.low, same.high, same.p_value(), same.p_value(0.1)) == (0, 0, 1, 0)


def test_half_width_looks_ahead_from_the_variances_of_now() -> None:
    interval = Interval.of(0.02, seed_terms=((4e-4, 4),), image_variance=0.09, images=1_000)
    assert interval.half_width(4) == pytest.approx(interval.high - interval.estimate)
    for_ever = stats.t.ppf(0.975, 999) * math.sqrt(0.09 / 1_000)
    assert interval.half_width(math.inf) == pytest.approx(for_ever)
    needed = interval.seeds_for(0.02)
    assert needed is not None
    assert interval.half_width(needed) < 0.02 <= interval.half_width(needed - 1)
    assert interval.seeds_for(1.0) == 2
    assert interval.seeds_for(for_ever) is None
    just_above = interval.half_width(MOST_SEEDS) + 1e-9
    assert interval.seeds_for(just_above) == MOST_SEEDS


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("share", [0.001, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 0.999])
def test_coverage_by_integration(seeds: int, share: float) -> None:
    """The estimate is normal, the seeds' variance chi-squared, the images' as good as known."""
    quantiles = (np.arange(300) + 0.5) / 300
    found = share * stats.chi2.ppf(quantiles, seeds - 1) / (seeds - 1)
    images = 10_000
    half = [
        Interval.of(
            0.0,
            seed_terms=((seeds * v, seeds),),
            image_variance=(1 - share) * images,
            images=images,
        ).high
        for v in found
    ]
    coverage = float(np.mean(2 * stats.norm.cdf(half) - 1))
    least, most = {3: (0.941, 0.964), 5: (0.949, 0.961), 10: (0.949, 0.957)}[seeds]
    assert least < coverage < most


def test_refusals() -> None:
    with pytest.raises(HarnessError, match=r"same seeds and images: better has \(2, 9\), worse"):
        paired_difference(table(2, 9), table(3, 9))
    with pytest.raises(HarnessError, match="same test images: better has 9, worse 8"):
        unpaired_difference(table(2, 9), table(2, 8))
    with pytest.raises(HarnessError, match=r"correct has the shape \(2, 1\)"):
        mean_accuracy([[1], [0]])
    with pytest.raises(HarnessError, match="correct has the shape"):
        mean_accuracy(np.zeros((1, 2, 3)))
    with pytest.raises(HarnessError, match="not finite"):
        mean_accuracy([[1, math.nan]])
    with pytest.raises(HarnessError, match=r"confidence must be in \(0, 1\), got 95"):
        mean_accuracy([[1, 0]], confidence=95)
