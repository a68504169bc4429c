"""Two runs image by image, against counts by hand and scipy's own tests."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from harness.errors import HarnessError
from harness.statistics.paired import bootstrap_mean, compare, mcnemar

LABELS = np.repeat([7, 2, 4], [4, 4, 2])
BEFORE = np.array([1, 0, 0, 0, 1, 1, 1, 0, 1, 0])
AFTER = np.array([1, 1, 1, 1, 0, 0, 1, 1, 0, 1])


def test_categories_by_hand() -> None:
    found = compare(BEFORE, AFTER, LABELS)
    assert [(c.label, c.images, c.gained, c.lost) for c in found.categories] == [
        (2, 4, 1, 2),
        (4, 2, 1, 1),
        (7, 4, 3, 0),
    ]
    assert [c.difference for c in found.categories] == [-0.25, 0, 0.75]
    assert [(c.before, c.after) for c in found.categories] == [(0.75, 0.5), (0.5, 0.5), (0.25, 1)]
    assert [c.p_value for c in found.categories] == [1, 1, 0.25]
    assert [c.q_value for c in found.categories] == [1, 1, 0.75]
    assert (found.improved, found.reduced, found.unchanged) == (1, 1, 1)
    assert (found.overall.gained, found.overall.lost) == (5, 3)
    assert found.overall.difference == pytest.approx(0.2)
    assert (found.overall.before, found.overall.after) == (0.5, 0.7)


def test_top_categories_are_those_that_moved_most() -> None:
    found = compare(BEFORE, AFTER, LABELS)
    assert [c.label for c in found.top_positive(5)] == [7]
    assert [c.label for c in found.top_negative(5)] == [2]
    turned = compare(AFTER, BEFORE, LABELS)
    assert [c.label for c in turned.top_positive(1)] == [2]
    assert [c.label for c in turned.top_negative(1)] == [7]
    assert found.top_positive(0) == ()


def test_among_equal_shares_the_surer_comes_first() -> None:
    labels = np.repeat([0, 1], [2, 8])
    before, after = np.zeros(10, bool), np.ones(10, bool)
    assert [c.label for c in compare(before, after, labels).top_positive(2)] == [1, 0]


def test_mcnemar_is_a_binomial_test_on_the_changes() -> None:
    for gained, lost in [(0, 0), (3, 0), (0, 9), (5, 5), (12, 4), (668, 195)]:
        oracle = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1
        assert mcnemar(gained, lost) == pytest.approx(oracle)


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
    overall = compare(before, after, np.zeros(400, int)).overall
    assert (overall.low, overall.high) == pytest.approx((oracle.low, oracle.high), abs=0.006)


def test_the_bootstrap_takes_any_values() -> None:
    values = np.random.default_rng(0).normal(0.3, 1, 500)
    low, high = bootstrap_mean(values, resamples=4_000)
    reach = 1.96 * values.std() / np.sqrt(500)
    assert (low, high) == pytest.approx((values.mean() - reach, values.mean() + reach), abs=0.01)
    assert bootstrap_mean(np.zeros(9)) == (0, 0)


def test_a_comparison_depends_on_its_seed_alone() -> None:
    first = compare(BEFORE, AFTER, LABELS, seed=3)
    assert compare(BEFORE.astype(bool), AFTER.tolist(), LABELS, seed=3) == first
    assert first.categories[0].low < first.categories[0].high


def test_refusals() -> None:
    with pytest.raises(HarnessError, match=r"before has \(10,\), after \(9,\)"):
        compare(BEFORE, AFTER[:9], LABELS)
    with pytest.raises(HarnessError, match="image by image"):
        compare([], [], [])
    with pytest.raises(HarnessError, match="image by image"):
        compare(BEFORE[None], AFTER[None], LABELS[None])
    with pytest.raises(HarnessError, match="rightness is 1 or 0"):
        compare(BEFORE / 2, AFTER, LABELS)
