"""K-means on the features: what the density curriculum was compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from harness.knobs import check_fields
from harness.samples import Samples, rows_by_class
from harness.tricks.noise.clustering.clusters import fit_kmeans
from harness.values import Stage


@dataclass(frozen=True, kw_only=True)
class KMeansSubsets:
    """Split every class into the K-means clusters of its features; the largest is subset 0.

    Per label as found, on the features of the stage ``sees``. Only ``subset`` changes; samples that
    an earlier trick left out (subset -1) stay out.

    **Source:** Malong deck, Figure 1: "also comparing to K-mean clustering in curriculum design";
    three clusters as in the curriculum. That the clusters are ranked by size is assumed (the slide
    does not say how): noise should be rarer and less uniform than the content of a class.
    """

    sees: Stage
    num_subsets: Annotated[int, Field(ge=1, le=127)] = 3
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, samples: Samples) -> Samples:
        """Return the samples with ``subset`` 0 (largest cluster) to ``num_subsets`` - 1."""
        features_ND = samples.features(self.sees)
        classes = list(rows_by_class(samples))

        def split(rows: NDArray[np.int64]) -> NDArray[np.int8]:
            return split_by_kmeans(features_ND[rows], num_subsets=self.num_subsets, seed=self.seed)

        subset = samples.subset.copy()
        for rows, found in zip(classes, samples.map(split, classes), strict=True):
            subset[rows] = found
        return samples.assign(subset=subset)


def split_by_kmeans(
    features_ND: NDArray[np.float32], *, num_subsets: int = 3, seed: int = 0
) -> NDArray[np.int8]:
    """Cluster features ``(N, D)``; return ``(N,)`` ranks by size, 0 for the largest cluster.

    Fewer different features than subsets give fewer clusters. Of clusters of equal size, the
    one that appears first in the list comes first.

    **Source:** see ``KMeansSubsets``.
    """
    clusters = fit_kmeans(features_ND, count=num_subsets, seed=seed).of_sample
    _, first, inverse, sizes = np.unique(
        clusters, return_index=True, return_inverse=True, return_counts=True
    )
    place = np.argsort(np.lexsort((first, -sizes)))
    return place[inverse].astype(np.int8)
