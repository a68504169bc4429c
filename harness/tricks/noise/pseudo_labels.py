"""Train again on labels that the best models predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, PositiveInt

from harness.knobs import check_fields
from harness.samples import Predictions, Samples, Targets
from harness.values import Stage


@dataclass(frozen=True, kw_only=True)
class PseudoLabels:
    """Replace the targets by the mean predictions of the trained stages ``sees``.

    "hard" takes the most probable class with weight 1, "soft" the ``keep`` most probable ones in
    proportion to their mean probabilities. ``label`` stays as found and decides
    balanced sampling; samples that were left out (subset -1) stay out.

    **Source:** WeChat deck, "Tricks to boost performance": "Use best models to assign pseudo labels
    to each image and train them again." Assumed: hard labels ("labels", and no temperature is
    named), the mean of the probabilities if there are several models, and every image's label
    replaced, without a threshold on confidence.
    """

    sees: Annotated[tuple[Stage, ...], Field(min_length=1)]
    kind: Literal["hard", "soft"] = "hard"
    keep: PositiveInt = 5

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, samples: Samples) -> Samples:
        """Return the samples with targets among the data set's classes."""
        mean = average_predictions(
            [samples.predictions(stage) for stage in self.sees],
            keep=1 if self.kind == "hard" else self.keep,
        )
        if self.kind == "hard":
            weights = np.ones_like(mean.weights)
        else:
            weights = mean.weights / mean.weights.sum(axis=1, keepdims=True)
        return samples.assign(targets=Targets(mean.classes, weights), target_names=())


def average_predictions(predictions: Sequence[Predictions], *, keep: int) -> Targets:
    """Average the top-k predictions ``(N, k)`` of M stages and keep the ``keep`` best classes.

    ``mean_c = sum_m p_mc / M``, where p_mc is 0 if c is not among the classes that stage m kept, so
    a class below a stage's top k loses that stage's small share. Best first, of equal ones the
    lower class. Returns classes and mean probabilities, ``(N, min(keep, sum of k))``.

    **Source:** see ``PseudoLabels``.
    """
    classes = np.concatenate([stage.classes for stage in predictions], axis=1)
    shares = np.concatenate([stage.probabilities for stage in predictions], axis=1)
    means = np.zeros(shares.shape, np.float32)
    for column in range(classes.shape[1]):
        same = classes == classes[:, column : column + 1]
        means[:, column] = np.where(same, shares, 0).sum(axis=1) / len(predictions)
        # A class counts where it first appears.
        means[same[:, :column].any(axis=1), column] = 0
    order = np.lexsort((classes, -means), axis=1)[:, :keep]
    return Targets(
        np.take_along_axis(classes, order, axis=1), np.take_along_axis(means, order, axis=1)
    )
