"""Image reweighting: an image counts by the probability that a model gives its label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from harness.errors import PluginError
from harness.knobs import check_fields
from harness.samples import Samples, rows_by_class
from harness.values import Stage


@dataclass(frozen=True, kw_only=True)
class WeighByModel:
    """Multiply weights by the label's probability under the stage ``sees``, relative to its class.

    ``belief`` class by class, label as found: the mean factor of every class is 1, so class
    reweighting before or after keeps its meaning, and a hard class does not count as a noisy one.
    Samples that were left out (subset -1) are not counted and keep their weight.

    **Source:** PCI deck, "Solution Techniques 3/4": "Reweighting images: using trained model to
    generate the weight for each image". No formula is given; the probability of the label, the
    mean per class, as in confident learning's thresholds, and the floor are assumed.
    """

    sees: Stage
    floor: Annotated[float, Field(gt=0, le=1)] = 0.1

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, samples: Samples) -> Samples:
        """Return the samples with new weights; raises PluginError if ``sees`` is not seen."""
        of_label_N = samples.predictions(self.sees).of_label
        weight = samples.weight.copy()
        for rows in rows_by_class(samples):
            weight[rows] *= belief(of_label_N[rows], floor=self.floor)
        return samples.assign(weight=weight)


def belief(of_label_N: NDArray[np.float32], *, floor: float = 0.1) -> NDArray[np.float32]:
    """Map probabilities ``(N,)`` of the labels of one class to weights ``(N,)`` of mean 1.

    w_i = max(p_i, floor) / mean_j max(p_j, floor). Every weight is in
    [floor, 1 / floor]; ``floor`` 1 gives all samples the same weight.

    Raises:
        PluginError: ``floor`` is not in (0, 1].

    **Source:** our choice; see ``WeighByModel``.
    """
    if not 0 < floor <= 1:
        raise PluginError(f"floor must be in (0, 1], got {floor}")
    raised = np.maximum(of_label_N, floor, dtype=np.float64)
    weights: NDArray[np.float32] = (raised / raised.mean()).astype(np.float32)
    return weights
