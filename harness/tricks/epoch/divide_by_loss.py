"""DivideMix's division: samples whose loss is small under the other network are labelled."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from harness.errors import PluginError
from harness.knobs import check_fields
from harness.samples import Samples, Targets

Floats = NDArray[np.float32]
ROUNDS = 10  # of the mixture's fit, at most


@dataclass(frozen=True, kw_only=True)
class DivideByLoss:
    """Divide the samples into labelled ones, subset 0, and unlabelled ones, subset 1.

    ``clean_probabilities`` of the cross-entropies of the labels under the stage's other network
    (its own, if the stage has one) are w ``(N,)``; a sample is labelled if w > ``threshold``. Its
    targets are multiplied by w: their sum tells ``MixMatch`` how far to trust them. Before the
    ``warmup`` epochs are over nothing changes. Samples of subset -1 stay out and are not in the
    mixture. One rank fits it, so all have the same.

    **Source:** J. Li, R. Socher, S. Hoi, "DivideMix", ICLR 2020, section 3.1 and algorithm 1,
    lines 4 to 8. There a picture's loss is that of its label as found; so it is here if no noise
    trick changed it.
    """

    threshold: Annotated[float, Field(ge=0, lt=1)] = 0.5
    warmup: PositiveInt = 1

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, samples: Samples) -> Samples:
        """Return the divided samples; raises PluginError outside of an epoch's end."""
        if not samples.outputs:
            raise PluginError("DivideByLoss needs outputs between epochs; put it in Stage.epoch")
        if samples.epoch < self.warmup:
            return samples
        other = samples.outputs[min(1, len(samples.outputs) - 1)]
        left = samples.subset >= 0
        likelihood = np.asarray(other.predictions.of_label[left], np.float64)
        losses = -np.log(np.maximum(likelihood, np.finfo(np.float32).tiny))
        clean = np.zeros(len(samples), np.float32)
        (clean[left],) = samples.map(clean_probabilities, [losses])
        subset = np.where(clean > self.threshold, 0, 1)
        given = samples.targets
        if given is None:
            given = Targets(samples.label[:, None], np.ones((len(samples), 1), np.float32))
        return samples.assign(
            subset=np.where(left, subset, -1).astype(np.int8),
            targets=Targets(given.classes, given.weights * clean[:, None]),
        )


def clean_probabilities(losses: NDArray[np.float64]) -> Floats:
    """Return the probability of each loss ``(N,)`` to be of the mixture's lower component.

    Two Gaussians are fitted by scikit-learn to the losses scaled to [0, 1]. Equal losses have
    nothing to tell apart: 1 for all. One thread: with several, sums differ from run to run.

    **Source:** DivideMix, section 3.1; the scaling, 10 rounds, tolerance 0.01 and 0.0005 added to
    the variances are those of LiJunnan1992/DivideMix, Train_webvision.py.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_limits

    low, high = losses.min(), losses.max()
    if high == low or len(losses) < 2:
        return np.ones(len(losses), np.float32)
    scaled = ((losses - low) / (high - low))[:, None]
    mixture = GaussianMixture(2, tol=1e-2, reg_covar=5e-4, max_iter=ROUNDS, random_state=0)
    with threadpool_limits(1), warnings.catch_warnings():
        # Ten rounds are the method; and equal losses may leave k-means, which begins, one cluster.
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(scaled)
        found = mixture.predict_proba(scaled)[:, int(mixture.means_.argmin())]
    return np.asarray(found, np.float32)
