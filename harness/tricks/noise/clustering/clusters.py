"""K-means clusters of features, by scikit-learn."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.tricks.noise.clustering.one_thread import one_thread


class Clusters(NamedTuple):
    """C clusters of N samples: ``of_sample`` ``(N,)``, from 0, and ``centres`` ``(C, D)``."""

    of_sample: NDArray[np.int32]
    centres: NDArray[np.float32]


def fit_kmeans(features_ND: NDArray[np.float32], *, count: int, seed: int) -> Clusters:
    """Cluster features ``(N, D)`` by scikit-learn's K-means, k-means++ and one start.

    There are at most as many clusters as samples; if there are fewer different features, some
    clusters are empty. One thread computes them: with several, the order of the sums would differ
    from run to run, and on busy cores threads mostly wait for one another.

    **Source:** our choice; scikit-learn's defaults.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    means = KMeans(min(count, len(features_ND)), n_init="auto", random_state=seed)
    with one_thread(), warnings.catch_warnings():
        # Raised if there are fewer different features than clusters, which is fine here.
        warnings.simplefilter("ignore", ConvergenceWarning)
        means.fit(features_ND)
    return Clusters(means.labels_, means.cluster_centers_)
