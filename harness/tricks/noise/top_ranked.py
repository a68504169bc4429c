"""Keep the first search results of every class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import PositiveInt

from harness.knobs import check_fields
from harness.samples import Samples
from harness.tricks.noise.ranking.search_order import top_ranked

WEBVISION2_CLASS_SIZE = 16_076_665 / 5_000  # training images per class


@dataclass(frozen=True, kw_only=True)
class KeepTopRanked:
    """Keep the top-ranked samples of every class, label as found.

    ``count`` is for WebVision 2.0, with 3,215 samples per class on average. Of n samples with K
    different labels, ``round(count / 3215.3 * n / K)`` per class are kept, at least 1; that is
    ``count`` on WebVision 2.0. A class with fewer samples keeps them all. The others get subset -1
    and keep their weight. Samples that an earlier trick left out stay out and are not counted.

    **Source:** Huawei deck, "Handle imbalance - top ranked images + oversampling": 3,500 (75.02).
    The oversampling is the sampler of the stage, ``ClassBalanced``. Scaling the count with the mean
    class size is our choice.
    """

    count: PositiveInt = 3_500

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, samples: Samples) -> Samples:
        """Return the samples, with ``subset`` -1 for those that are left out."""
        rows = np.flatnonzero(samples.subset >= 0)
        label = samples.label[rows]
        share = self.count / WEBVISION2_CLASS_SIZE
        count = max(1, round(share * len(rows) / max(len(np.unique(label)), 1)))
        first = top_ranked(label, samples.rank[rows], samples.query[rows], count=count)
        subset = samples.subset.copy()
        subset[rows[~first]] = -1
        return samples.assign(subset=subset)
