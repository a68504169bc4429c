"""Class reweighting: a rare class counts as much in the loss as a frequent one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeFloat

from harness.knobs import check_fields
from harness.samples import Samples


@dataclass(frozen=True, kw_only=True)
class ReweightClasses:
    """Multiply weights by the inverse frequency of the class, label as found.

    Samples that were left out (subset -1) are not counted and keep their weight. The others have a
    mean weight of 1 afterwards, so the learning rate keeps its meaning. ``exponent`` 1 gives all
    classes the same total weight, 0 changes nothing, 1/2 is in between.

    **Source:** Huawei deck, "Handle imbalance - reweight class" (73.6 to 74.4), and PCI deck,
    "Solution Techniques 3/4" ("adding more weights to the long-tail classes"). Neither has the
    formula: inverse frequency, the usual one, is assumed; the exponent is our choice.
    """

    exponent: NonNegativeFloat = 1.0

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, samples: Samples) -> Samples:
        """Return the samples with new weights."""
        kept = samples.subset >= 0
        weight = samples.weight.copy()
        weight[kept] *= class_factors(samples.label[kept], exponent=self.exponent)
        if (total := weight[kept].sum(dtype=np.float64)) > 0:
            weight[kept] *= np.count_nonzero(kept) / total
        return samples.assign(weight=weight)


def class_factors(label_N: NDArray[np.int32], *, exponent: float = 1.0) -> NDArray[np.float32]:
    """Map labels ``(N,)`` to factors ``(N,)``: (mean class size / n_k) ** exponent.

    n_k is the number of samples of class k; the mean is over the classes with samples.

    **Source:** see ``ReweightClasses``.
    """
    classes, inverse, sizes = np.unique(label_N, return_inverse=True, return_counts=True)
    factors = (len(label_N) / (max(len(classes), 1) * sizes)) ** exponent
    return factors.astype(np.float32)[inverse]
