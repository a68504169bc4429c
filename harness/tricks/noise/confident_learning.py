"""Confident learning: labels that a network contradicts with confidence are taken for wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt

from harness.errors import PluginError
from harness.knobs import check_fields
from harness.samples import Predictions, Samples, rows_by_class
from harness.tricks.noise.ranking.folds import fold_of
from harness.tricks.noise.ranking.match_scores import Use, rank_weights
from harness.values import Stage

SLACK = 1e-6  # of a threshold, against rounding of its mean


@dataclass(frozen=True, kw_only=True)
class ConfidentLearning:
    """Leave out samples with a wrong label, or weigh all by the probability of their label.

    A label is taken for wrong if ``confident_classes`` names another class. ``use``:

    - "select": such samples are left out (subset -1), unless a class would lose all.
    - "weigh": multiply by ``floor`` to 2 - ``floor``, linear in the rank of the label's probability
      within the class, mean 1 per class.

    ``sees`` is one stage, which was trained on the samples that it scores, or several: then stage
    number f held fold f out (``HoldOut`` with the same ``seed``), and scores only that. In sample a
    network has learned wrong labels, too, so it contradicts fewer of them.

    Only what every stage saves is needed, the five likeliest classes and the label's probability:
    no matrix of samples and classes. A class outside these could be confident only if its mean
    probability is below that of the fifth, as of a network that has learned little; it is missed.

    **Source:** C. Northcutt et al., "Confident Learning: Estimating Uncertainty in Dataset Labels",
    JAIR 2021, equations 1 and 2 and method 2 of section 3.2 (the off-diagonals of the confident
    joint). Ranks and ``floor`` are our choice, as in ``SemanticMatch``.
    """

    sees: tuple[Stage, ...]
    use: Use = "select"
    floor: Annotated[float, Field(ge=0, le=1)] = 0.5
    seed: NonNegativeInt = 0

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)
        if not self.sees:
            raise PluginError("ConfidentLearning has no stage to look at; name one in sees=")

    def __call__(self, samples: Samples) -> Samples:
        """Return the samples with new ``subset`` or ``weight``."""
        said = self._out_of_sample(samples)
        subset, weight = samples.subset.copy(), samples.weight.copy()
        classes = list(rows_by_class(samples))
        if self.use == "weigh":
            for rows in classes:
                weight[rows] *= rank_weights(said.of_label[rows], floor=self.floor)
            return samples.assign(weight=weight)
        kept = samples.subset >= 0
        thresholds = mean_confidence(samples.label[kept], said.of_label[kept], samples.num_classes)
        for rows in classes:
            of_rows = Predictions(said.classes[rows], said.probabilities[rows], said.of_label[rows])
            found = confident_classes(samples.label[rows], of_rows, thresholds)
            wrong = (found >= 0) & (found != samples.label[rows])
            if not wrong.all():
                subset[rows[wrong]] = -1
        return samples.assign(subset=subset)

    def _out_of_sample(self, samples: Samples) -> Predictions:
        """Return for every sample the predictions of the stage that held it out."""
        first, *others = (samples.predictions(stage) for stage in self.sees)
        if not others:
            return first
        fold = fold_of(samples, len(self.sees), self.seed)
        found = Predictions(first.classes.copy(), first.probabilities.copy(), first.of_label.copy())
        for number, said in enumerate(others, start=1):
            rows = np.flatnonzero(fold == number)
            for column, other in zip(found, said, strict=True):
                column[rows] = other[rows]
        return found


def mean_confidence(
    label_N: NDArray[np.int32], of_label_N: NDArray[np.float32], num_classes: int
) -> NDArray[np.float64]:
    """Return t_j ``(K,)``, the mean probability of class j over the samples with label j.

    Infinite for a class without samples: nothing is ever confident of it.

    **Source:** equation 2 of the paper; see ``ConfidentLearning``.
    """
    count = np.bincount(label_N, minlength=num_classes)
    total = np.bincount(label_N, weights=of_label_N, minlength=num_classes)
    means: NDArray[np.float64] = np.full(num_classes, np.inf)
    np.divide(total, count, out=means, where=count > 0)
    return means


def confident_classes(
    label_N: NDArray[np.int32], said: Predictions, thresholds_K: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return for each sample the likeliest class j with p_j >= t_j ``(N,)``; -1 if there is none.

    Among the classes of ``said`` and the label. The counts of (label, this class) are the confident
    joint.

    **Source:** equation 1 of the paper; see ``ConfidentLearning``.
    """
    classes = np.concatenate([said.classes, label_N[:, None]], axis=1)
    probabilities = np.concatenate([said.probabilities, said.of_label[:, None]], axis=1)
    confident = probabilities >= thresholds_K[classes] - SLACK
    place = np.where(confident, probabilities, -1.0).argmax(axis=1)
    rows = np.arange(len(label_N))
    found: NDArray[np.int64] = np.where(confident[rows, place], classes[rows, place], -1)
    return found
