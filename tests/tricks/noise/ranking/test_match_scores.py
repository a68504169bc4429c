from __future__ import annotations

import numpy as np
import pytest

from harness.errors import PluginError
from harness.tricks.noise.ranking.match_scores import best_of, rank_weights, use_scores

NAN = np.nan


def scores(*values):
    return np.array(values, np.float32)


def used(make_samples, use, values, share=0.5, floor=0.5, label=None, **columns):
    label = [0] * len(values) if label is None else label
    samples = make_samples(label, **columns)
    return use_scores(samples, scores(*values), use, share=share, floor=floor)


def test_weights_by_hand():
    # Ranks 2, 4, 1, 3 of 4: (r - 1/2) / 4 is 3/8, 7/8, 1/8, 5/8.
    assert rank_weights(scores(0.2, 0.9, 0.1, 0.3), floor=0).tolist() == [0.75, 1.75, 0.25, 1.25]
    halves = [0.875, 1.375, 0.625, 1.125]
    assert rank_weights(scores(0.2, 0.9, 0.1, 0.3), floor=0.5).tolist() == halves
    assert rank_weights(scores(0.2, 0.9, 0.1, 0.3), floor=1).tolist() == [1] * 4
    # Ranks 1, 2.5, 2.5, 4.
    assert rank_weights(scores(0, 0.5, 0.5, 1), floor=0).tolist() == [0.25, 1, 1, 1.75]
    assert rank_weights(scores(-0.3), floor=0).tolist() == [1]


@pytest.mark.parametrize("floor", [0, 0.3, 1])
@pytest.mark.parametrize("size", [1, 2, 7, 1_000])
def test_weights_have_mean_1_and_rise_with_the_score(size, floor):
    random = np.random.default_rng(size)
    values = random.integers(0, 50, size).astype(np.float32)
    weights = rank_weights(values, floor=floor)
    assert weights.mean() == pytest.approx(1, abs=1e-6)
    assert weights.min() >= floor - 1e-6
    assert weights.max() <= 2 - floor + 1e-6
    assert (np.diff(weights[np.argsort(values)]) >= 0).all()
    order = random.permutation(size)
    np.testing.assert_array_equal(rank_weights(values[order], floor=floor), weights[order])
    np.testing.assert_array_equal(rank_weights(values * 3 - 5, floor=floor), weights)


def test_the_best_by_hand():
    assert best_of(scores(0.1, 0.9, 0.5, 0.3), share=0.5).tolist() == [1, 2]
    assert best_of(scores(0.5, 0.5, 0.5, 0.5), share=0.5).tolist() == [0, 1]
    assert best_of(scores(0.1, 0.9, 0.5), share=0.01).tolist() == [1]
    assert best_of(scores(0.1, 0.9, 0.5), share=1).tolist() == [0, 1, 2]


def test_every_class_keeps_its_best(make_samples):
    kept = used(
        make_samples,
        "select",
        [0.1, 0.9, 0.2, NAN, 0.01, 0.02, 0.9],
        label=[0, 0, 0, 0, 1, 1, 2],
        subset=np.array([0, 2, 1, 0, 0, 0, -1], np.int8),
    )
    # round(0.5 * 3) is 2 of class 0, round(0.5 * 2) 1 of class 1.
    assert kept.subset.tolist() == [-1, 2, 1, -1, -1, 0, -1]
    assert kept.weight.tolist() == [1] * 7


def test_a_class_that_says_nothing_stays_whole(make_samples):
    kept = used(make_samples, "select", [NAN, NAN, 0.1, 0.2], label=[0, 0, 1, 1])
    assert kept.subset.tolist() == [0, 0, -1, 0]


def test_what_says_nothing_keeps_its_weight(make_samples):
    weighed = used(
        make_samples,
        "weigh",
        [0.1, 0.9, NAN, 0.5, 0.7],
        floor=0,
        label=[0, 0, 0, 1, 0],
        weight=np.array([2, 1, 3, 4, 5], np.float32),
        subset=np.array([0, 1, 0, 0, -1], np.int8),
    )
    assert weighed.weight.tolist() == [2 * 0.5, 1.5, 3, 4, 5]
    assert weighed.weight.dtype == np.float32
    assert weighed.subset.tolist() == [0, 1, 0, 0, -1]


@pytest.mark.parametrize("use", ["select", "weigh"])
def test_if_nothing_can_be_compared_it_says_so(make_samples, use):
    with pytest.raises(PluginError, match="no texts, or no glosses; leave the trick out"):
        used(make_samples, use, [NAN, 0.5], subset=np.array([0, -1], np.int8))
