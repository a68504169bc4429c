"""Two runs image by image, against counts by hand and scipy's own tests."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from harness.statistics.paired import bootstrap_mean, false_discovery_rates, mcnemar


def test_mcnemar_is_a_binomial_test_on_the_changes() -> None:
    for gained, lost in [(0, 0), (3, 0), (0, 9), (5, 5), (12, 4), (668, 195)]:
        oracle = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1
        assert mcnemar(gained, lost) == pytest.approx(oracle)


def test_false_discovery_rates_are_scipys() -> None:
    random = np.random.default_rng(0)
    for size in (1, 2, 5, 1_000):
        p_values = random.random(size) ** 3
        p_values[: size // 3] = p_values[-1]  # equal ones, too
        oracle = stats.false_discovery_control(p_values)
        assert false_discovery_rates(p_values) == pytest.approx(oracle)


def test_the_bootstrap_is_scipys_paired_one() -> None:
    random = np.random.default_rng(0)
    before = random.random(400) < 0.5
    after = before ^ (random.random(400) < 0.2)
    oracle = stats.bootstrap(
        (after, before),
        lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
        paired=True,
        method="percentile",
        n_resamples=4_000,
        rng=np.random.default_rng(1),
    ).confidence_interval
    interval = bootstrap_mean(after.astype(int) - before.astype(int), resamples=4_000)
    assert interval == pytest.approx((oracle.low, oracle.high), abs=0.006)


def test_the_bootstrap_takes_any_values() -> None:
    values = np.random.default_rng(0).normal(0.3, 1, 500)
    low, high = bootstrap_mean(values, resamples=4_000)
    reach = 1.96 * values.std() / np.sqrt(500)
    assert (low, high) == pytest.approx((values.mean() - reach, values.mean() + reach), abs=0.01)
    assert bootstrap_mean(np.zeros(9)) == (0, 0)
    assert bootstrap_mean(values, seed=3) == bootstrap_mean(values, seed=3)
