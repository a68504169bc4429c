"""CurriculumNet's split of every class by the density of its samples in feature space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from harness.errors import PluginError
from harness.knobs import check_fields
from harness.samples import Samples, rows_by_class
from harness.tricks.noise.clustering.neighbours import count_nearer
from harness.tricks.noise.clustering.one_thread import one_thread
from harness.values import Stage

Counts = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class DensitySubsets:
    """Split every class into subsets by falling density; subset 0 is the clean one.

    Per label as found: ``density`` on the features of the stage ``sees``, then
    ``split_by_density``. Only ``subset`` changes. Samples that an earlier trick left out
    (subset -1) stay out and do not count as neighbours.

    **Source:** Malong deck, "Methodology: Formulate our problem" (density clustering in each
    category) and "Methodology: Curriculum Design" (three subsets); ``quantile`` and the 3-means on
    densities from the published clustering code, msight-tech/research-curriculumnet.
    """

    sees: Stage
    quantile: Annotated[float, Field(ge=0, le=1)] = 0.6
    num_subsets: Annotated[int, Field(ge=1, le=127)] = 3
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, samples: Samples) -> Samples:
        """Return the samples with ``subset`` 0 (densest) to ``num_subsets`` - 1."""
        features_ND = samples.features(self.sees)
        classes = list(rows_by_class(samples))

        def split(rows: NDArray[np.int64]) -> NDArray[np.int8]:
            rho = density(features_ND[rows], quantile=self.quantile, seed=self.seed)
            return split_by_density(rho, num_subsets=self.num_subsets, seed=self.seed)

        subset = samples.subset.copy()
        for rows, found in zip(classes, samples.map(split, classes), strict=True):
            subset[rows] = found
        return samples.assign(subset=subset)


def density(
    features_ND: NDArray[np.float32],
    *,
    quantile: float = 0.6,
    block: int = 1_024,
    spread: float = 3.0,
    seed: int = 0,
) -> Counts:
    """Count for every sample the others closer than d_c: ``(N, D)`` to ``(N,)``.

    rho_i = #{j != i : D_ij < d_c}, where d_c is the element ``int(N * N * quantile)`` of all N * N
    distances in rising order, including the N zeros of the diagonal. D is the Euclidean distance;
    the deck's step one has its square, but d_c is taken from the same list, so only the order
    counts and both give the same rho. The deck's step three, delta, is not used: neither
    "Curriculum Design" nor the published code uses it for the split.

    No N x N matrix is made. A sample of N pairs gives a bracket for d_c. One pass over the upper
    triangle of ``block`` x ``block`` matrix products in float32 counts the pairs below the bracket
    and collects those in it; the few that float32 cannot separate from d_c are computed again in
    float64. If d_c is not in the bracket, the pass is repeated with a wider one. So the counts are
    exact: they do not depend on ``block``, ``spread`` (of the bracket, in standard errors),
    ``seed`` (of the sample) or the order of the rows. One limit: if too many pairs are within
    float32's rounding of d_c, they count as equal to it, so not closer.

    Raises:
        PluginError: ``quantile`` is not in [0, 1].
        TrainingError: A feature is not finite, or its square overflows float32.

    **Source:** Malong deck, "Methodology: Formulate our problem", steps one and two; the 60th
    percentile, its element and the count without the sample itself as in the published code.
    """
    if not 0 <= quantile <= 1:
        raise PluginError(f"quantile must be in [0, 1], got {quantile}")
    size = len(features_ND)
    position = min(int(size * size * quantile), size * size - 1)
    if position < size:  # d_c is a zero of the diagonal
        return np.zeros(size, np.int64)
    rank = (position - size) // 2  # every other distance is in the list twice
    return count_nearer(features_ND, rank, block=block, spread=spread, seed=seed)


def split_by_density(density_N: Counts, *, num_subsets: int = 3, seed: int = 0) -> NDArray[np.int8]:
    """Cut the densities ``(N,)`` by 1-D K-means into ``num_subsets``; 0 holds the densest.

    If there are fewer different densities than subsets, there are only as many subsets as
    densities. The result does not depend on the order of the samples.

    **Source:** Malong deck, "Methodology: Curriculum Design" (three subsets, ranked); K-means on
    the densities from the published code. Its ten restarts were scikit-learn's default then.
    """
    from sklearn.cluster import KMeans

    levels, inverse = np.unique(density_N, return_inverse=True)
    clusters = min(num_subsets, len(levels))
    if clusters <= 1:
        return np.zeros(len(density_N), np.int8)
    means = KMeans(clusters, n_init=10, random_state=seed)
    with one_thread():
        means.fit(np.sort(density_N).reshape(-1, 1).astype(np.float64))
        nearest = means.predict(levels.reshape(-1, 1).astype(np.float64))
    place = np.argsort(np.argsort(-means.cluster_centers_[:, 0]))
    return place[nearest][inverse].astype(np.int8)  # type: ignore[no-any-return]
