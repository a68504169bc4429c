"""Select or weigh the samples of a class by their clusters.

Every function takes the n samples of one class; ``cluster_n`` is the cluster of each.

**Source:** Huawei deck, "How to use the cluster result?" of K-means: choose the cluster with more
images, or the compact one; large weight for a large cluster, or for one that is close to the "top
ranked images". The slide has no formula; the simplest without a threshold are assumed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Clusters = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]


def in_large(cluster_n: Clusters) -> NDArray[np.bool_]:
    """Mark the samples of clusters with at least the class's mean number per cluster."""
    sizes = np.bincount(cluster_n)
    enough: NDArray[np.bool_] = sizes * np.count_nonzero(sizes) >= len(cluster_n)
    return enough[cluster_n]


def in_compact(cluster_n: Clusters, squares_n: Floats) -> NDArray[np.bool_]:
    """Mark the samples of clusters with at most the class's mean variability.

    ``squares_n`` are squared distances from the centre of the sample's cluster; their mean over the
    class's samples in a cluster is its variability.
    """
    _, place, sizes = np.unique(cluster_n, return_inverse=True, return_counts=True)
    spread = np.bincount(place, squares_n) / sizes
    # The mean of equal numbers can be rounded to less than each of them.
    enough: NDArray[np.bool_] = spread <= max(spread.mean(), spread.min())
    return enough[place]


def by_size(cluster_n: Clusters) -> NDArray[np.float32]:
    """Return factors of mean 1 in proportion to the number of the class's samples in a cluster."""
    sizes = np.bincount(cluster_n)[cluster_n]
    factors: NDArray[np.float32] = (sizes / sizes.mean()).astype(np.float32)
    return factors


def by_closeness(distance_n: Floats) -> NDArray[np.float32]:
    """Return factors of mean 1 in proportion to ``exp(-d / mean of d)``.

    ``distance_n`` is the distance of the centre of a sample's cluster from the centre of the
    class's top-ranked samples.
    """
    mean = distance_n.mean()
    closeness = np.exp(-distance_n / mean) if mean > 0 else np.ones(len(distance_n))
    factors: NDArray[np.float32] = (closeness / closeness.mean()).astype(np.float32)
    return factors
