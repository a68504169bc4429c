from __future__ import annotations

import numpy as np
import pytest

from harness.errors import PluginError
from harness.tricks.noise.subsets import KeepSubsets, WeighSubsets


def of_subsets(make_samples, *subset, **columns):
    return make_samples(np.zeros(len(subset)), subset=np.array(subset, np.int8), **columns)


def test_weights_are_multiplied_by_the_subsets(make_samples):
    samples = of_subsets(
        make_samples, 0, 1, 2, -1, 0, weight=np.array([1, 1, 4, 3, 0.5], np.float32)
    )
    weighed = WeighSubsets()(samples)
    assert weighed.weight.tolist() == [1, 0.5, 2, 3, 0.5]
    assert weighed.weight.dtype == np.float32
    assert samples.weight.tolist() == [1, 1, 4, 3, 0.5]


def test_a_subset_without_a_weight_is_an_error(make_samples):
    with pytest.raises(PluginError, match="2 weights, but there is a subset 2"):
        WeighSubsets(weights=(1.0, 0.5))(of_subsets(make_samples, 0, 2))


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
def test_weights_that_are_none_are_refused(weight):
    with pytest.raises(PluginError, match="WeighSubsets: weights must be >= 0, got"):
        WeighSubsets(weights=(1.0, weight))


@pytest.mark.parametrize(
    ("count", "expected"), [(1, [0, -1, -1, -1, 0]), (2, [0, 1, -1, -1, 0]), (3, [0, 1, 2, -1, 0])]
)
def test_the_first_subsets_are_kept(make_samples, count, expected):
    samples = of_subsets(make_samples, 0, 1, 2, -1, 0)
    kept = KeepSubsets(count=count)(samples)
    assert kept.subset.tolist() == expected
    assert kept.weight is samples.weight
    assert samples.subset.tolist() == [0, 1, 2, -1, 0]


def test_a_share_of_the_last_subset_is_kept(make_samples):
    samples = of_subsets(make_samples, *[0] * 10, *[1] * 10, *[2] * 20)
    before: set[int] = set()
    for share, size in [(0, 0), (0.25, 5), (0.5, 10), (0.75, 15), (1, 20)]:
        subset = KeepSubsets(count=3, highly_noisy_share=share)(samples).subset
        assert subset[:20].tolist() == [0] * 10 + [1] * 10
        kept = set(np.flatnonzero(subset == 2).tolist())
        assert len(kept) == size
        assert before <= kept
        assert np.count_nonzero(subset == -1) == 20 - size
        before = kept


def test_the_seed_decides_which_share(make_samples):
    samples = of_subsets(make_samples, *[2] * 100)
    half = [KeepSubsets(count=3, highly_noisy_share=0.5, seed=s)(samples).subset for s in (0, 0, 1)]
    np.testing.assert_array_equal(half[0], half[1])
    assert (half[0] != half[2]).any()


@pytest.mark.parametrize("settings", [{"count": 0}, {"count": 1, "highly_noisy_share": 1.5}])
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(PluginError, match=r"KeepSubsets: .* must be"):
        KeepSubsets(**settings)
