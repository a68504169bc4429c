from __future__ import annotations

import numpy as np
import pytest

from harness.tricks.noise.clustering.cluster_uses import by_closeness, by_size, in_compact, in_large


def test_large_clusters_hold_the_mean_number_at_least():
    # 5, 3, 1 and no samples: 3 a cluster that has any.
    cluster = np.array([0] * 5 + [1] * 3 + [3])
    assert in_large(cluster).tolist() == [True] * 8 + [False]
    assert in_large(np.array([2, 2, 5, 5])).all()
    assert in_large(np.array([7])).all()


def test_compact_clusters_vary_no_more_than_the_mean_one():
    # Variability 1, 2 and 6: 3 in the mean.
    cluster, squares = np.array([4, 4, 0, 9, 9]), np.array([0.5, 1.5, 2, 0, 12])
    assert in_compact(cluster, squares).tolist() == [True, True, True, False, False]
    for value in (0, 0.1, 1 / 3):  # sums of these are rounded
        assert in_compact(np.arange(11), np.full(11, value)).all()


def test_weights_by_size_are_in_proportion_to_it():
    # Sizes 3, 3, 3, 1: 2.5 in the mean.
    factors = by_size(np.array([1, 1, 1, 6]))
    np.testing.assert_allclose(factors, [1.2, 1.2, 1.2, 0.4], rtol=1e-6)
    assert factors.dtype == np.float32


def test_weights_by_closeness_fall_with_the_distance():
    # Mean distance 2: e^-1/2, e^-1/2 and e^-2 before they are brought to the mean 1.
    factors = by_closeness(np.array([1.0, 1.0, 4.0]))
    assert factors.mean() == pytest.approx(1)
    np.testing.assert_allclose(factors / factors[0], [1, 1, np.exp(-1.5)], rtol=1e-6)
    np.testing.assert_allclose(
        by_closeness(np.array([5.0, 10, 20])), by_closeness(np.array([1.0, 2, 4]))
    )
    assert by_closeness(np.zeros(3)).tolist() == [1, 1, 1]
