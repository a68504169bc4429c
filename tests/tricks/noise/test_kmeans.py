from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans

from harness.errors import PluginError
from harness.tricks.noise.kmeans import KMeansSubsets, split_by_kmeans
from harness.values import Stage

INITIAL = Stage(name="initial")


def three_heaps(random, sizes):
    centres = np.repeat([[0, 0], [20, 0], [0, 20]], sizes, axis=0)
    return (centres + random.standard_normal(centres.shape)).astype(np.float32)


def test_the_largest_cluster_is_subset_0():
    x = three_heaps(np.random.default_rng(0), (5, 30, 12))
    expected = np.repeat([2, 0, 1], (5, 30, 12))
    np.testing.assert_array_equal(split_by_kmeans(x), expected)


def test_the_clusters_are_scikit_learns():
    x = np.random.default_rng(0).standard_normal((80, 5)).astype(np.float32)
    oracle = KMeans(3, n_init="auto", random_state=4).fit_predict(x)
    ours = split_by_kmeans(x, seed=4)
    assert len(set(zip(oracle.tolist(), ours.tolist(), strict=True))) == 3
    sizes = np.bincount(ours)
    assert sizes.tolist() == sorted(sizes, reverse=True)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_fewer_different_features_than_subsets(size):
    assert split_by_kmeans(np.ones((size, 3), np.float32)).tolist() == [0] * size


def test_two_samples_are_two_clusters_in_their_order():
    assert split_by_kmeans(np.array([[0.0], [1.0]], np.float32)).tolist() == [0, 1]


def test_every_category_is_split_by_itself(make_samples):
    random = np.random.default_rng(0)
    x = np.concatenate([three_heaps(random, (20, 10, 5)), three_heaps(random, (5, 10, 20)) + 50])
    samples = make_samples(np.repeat([0, 2], 35), x, num_classes=3)
    subset = KMeansSubsets(sees=INITIAL)(samples).subset
    expected = np.repeat([0, 1, 2, 2, 1, 0], (20, 10, 5, 5, 10, 20))
    np.testing.assert_array_equal(subset, expected)
    assert not samples.subset.any()


def test_a_number_of_subsets_below_one_is_refused():
    with pytest.raises(PluginError, match="num_subsets"):
        KMeansSubsets(sees=INITIAL, num_subsets=0)
