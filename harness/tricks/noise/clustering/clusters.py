"""K-means clusters of features: scikit-learn's, in one place."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Clusters(NamedTuple):
    """C clusters of N samples: ``of_sample`` ``(N,)``, from 0, and ``centres`` ``(C, D)``."""

    of_sample: NDArray[np.int32]
    centres: NDArray[np.float32]


def fit_kmeans(features_ND: NDArray[np.float32], *, count: int, seed: int) -> Clusters:
    """Cluster features ``(N, D)`` by scikit-learn's K-means, k-means++ and one start.

    There are at most as many clusters as samples; where fewer different features exist, some of
    them are empty. One thread does it: several add up their sums in the order in which they happen
    to finish, so the clusters would differ from run to run, and on cores that are busy they wait
    for one another most of the time.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    means = KMeans(min(count, len(features_ND)), n_init="auto", random_state=seed)
    with threadpool_limits(1), warnings.catch_warnings():
        # Said where fewer different features than clusters exist, which is no fault here.
        warnings.simplefilter("ignore", ConvergenceWarning)
        means.fit(features_ND)
    return Clusters(means.labels_, means.cluster_centers_)
