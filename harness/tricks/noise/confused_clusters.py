"""K-means over the images of classes that a trained stage confuses, with four uses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveInt

from harness.knobs import check_fields
from harness.samples import Samples, rows_by_class
from harness.tricks.noise.clustering.cluster_uses import by_closeness, by_size, in_compact, in_large
from harness.tricks.noise.clustering.clusters import fit_kmeans
from harness.tricks.noise.clustering.confused_classes import confused_classes
from harness.tricks.noise.ranking.search_order import top_ranked
from harness.values import Stage

Rows = NDArray[np.int64]
Use = Literal["large", "compact", "size", "distance"]
USES: tuple[Use, ...] = get_args(Use)


@dataclass(frozen=True, kw_only=True)
class ConfusedClusters:
    """Cluster every class with the classes it is confused with; select or weigh by cluster.

    Per label as found, on the features and predictions of the stage ``sees``: the samples of the
    class and of its ``others`` most confused classes (``confused_classes``) are clustered by
    K-means into ``clusters_per_class`` clusters per class. Wrongly labelled samples should be in
    clusters that mostly belong to another class, so only the samples of the class itself are
    counted in a cluster. By ``use``:

    - "large" and "compact" keep what ``in_large`` or ``in_compact`` marks; others get subset -1;
    - "size" multiplies weights by ``by_size``;
    - "distance" multiplies weights by ``by_closeness``, of the Euclidean distances of the clusters'
      centres from the mean feature of the class's first ``top_share`` by rank.

    A class always keeps a sample, and its mean weight if the weights of its samples were equal.
    Samples that an earlier trick left out (subset -1) stay out and are not clustered.

    **Source:** Huawei deck, "Handle noise - clustering" ("combine the images from most confused
    classes and then cluster them") and "How to use the cluster result?" (69.7 for large clusters,
    74.6 by size, 74.8 by distance to the top-ranked images; none for compact ones). Number of
    classes and clusters, features, formulas and the share of top-ranked images are assumed.
    """

    sees: Stage
    use: Use
    others: NonNegativeInt = 3
    clusters_per_class: PositiveInt = 2
    top_share: Annotated[float, Field(gt=0, le=1)] = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, samples: Samples) -> Samples:
        """Return the samples with new weights, or ``subset`` -1 for those that are left out."""
        features_ND = samples.features(self.sees)
        classes = list(self._classes(samples))

        def worth(
            confused: tuple[Rows, list[Rows]],
        ) -> NDArray[Any]:  # which samples stay, or their factors
            rows, combined = confused
            x = features_ND[np.concatenate([rows, *combined])]
            count = self.clusters_per_class * (1 + len(combined))
            clusters = fit_kmeans(x, count=count, seed=self.seed)
            own, cluster = x[: len(rows)], clusters.of_sample[: len(rows)]
            if self.use == "large":
                return in_large(cluster)
            if self.use == "compact":
                squares = np.square(own - clusters.centres[cluster]).sum(axis=1)
                return in_compact(cluster, squares)
            if self.use == "size":
                return by_size(cluster)
            top = own[self._top(samples, rows)].mean(axis=0)
            distances = np.linalg.norm(clusters.centres - top, axis=1)
            return by_closeness(distances[cluster])

        subset, weight = samples.subset.copy(), samples.weight.copy()
        for (rows, _), found in zip(classes, samples.map(worth, classes), strict=True):
            if self.use in ("large", "compact"):
                subset[rows[~found]] = -1
            else:
                weight[rows] *= found
        return samples.assign(subset=subset, weight=weight)

    def _classes(self, samples: Samples) -> Iterator[tuple[Rows, list[Rows]]]:
        """Yield the rows of every class and those of the classes it is confused with."""
        rows = {int(samples.label[own[0]]): own for own in rows_by_class(samples)}
        kept = np.concatenate([*rows.values()]) if rows else np.empty(0, np.int64)
        others = confused_classes(
            samples.label[kept],
            samples.predictions(self.sees).classes[kept, 0],
            num_classes=samples.num_classes,
            count=self.others,
        )
        for k, own in rows.items():
            yield own, [rows[j] for j in others[k] if j in rows]

    def _top(self, samples: Samples, rows: Rows) -> NDArray[np.bool_]:
        count = max(1, round(self.top_share * len(rows)))
        columns = samples.label[rows], samples.rank[rows], samples.query[rows]
        return top_ranked(*columns, count=count)
