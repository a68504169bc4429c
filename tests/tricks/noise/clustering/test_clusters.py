from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans

from harness.tricks.noise.clustering.clusters import fit_kmeans


def test_centres_are_the_means_of_their_samples():
    x = np.array([[0, 0], [0, 2], [9, 9], [9, 9]], np.float32)
    clusters = fit_kmeans(x, count=2, seed=0)
    assert clusters.of_sample[0] == clusters.of_sample[1] != clusters.of_sample[2]
    np.testing.assert_allclose(clusters.centres[clusters.of_sample], [[0, 1]] * 2 + [[9, 9]] * 2)


def test_they_are_scikit_learns():
    x = np.random.default_rng(0).standard_normal((60, 3)).astype(np.float32)
    oracle = KMeans(4, n_init=1, random_state=7).fit(x)
    ours = fit_kmeans(x, count=4, seed=7)
    np.testing.assert_array_equal(ours.of_sample, oracle.labels_)
    np.testing.assert_array_equal(ours.centres, oracle.cluster_centers_)


def test_there_are_no_more_clusters_than_samples():
    assert len(fit_kmeans(np.ones((2, 3), np.float32), count=5, seed=0).centres) == 2
