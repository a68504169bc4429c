"""Combine the predictions of several networks for the same images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.errors import HarnessError
from harness.samplers import generator
from harness.samples import Samples
from harness.testing.metrics import top_classes
from harness.values import Combine

VOTES = 5  # classes that a member votes for: the challenge asks for five guesses
FOLDS = 5
TINY = 1e-12  # keeps the logarithm of a float32 probability of 0 finite

NEEDS_VAL = (
    "an ensemble with learned weights needs a val split with labels; choose another combination"
)

Probabilities = NDArray[np.float32]
Weights = NDArray[np.float64]


class Ensemble:
    """Combines the members' probabilities by split; weights are learned on val only."""

    def __init__(self, combine: Combine) -> None:
        self._combine = combine
        self._weights: dict[str, Weights] = {}

    def join(
        self, samples: Samples, protocol: str, members: Sequence[Probabilities]
    ) -> Probabilities:
        """Return combined probabilities ``(N, K)``; if weights are learned, call it for val first.

        Raises HarnessError if weights are to be learned and there is no labelled val.
        """
        if len(members) == 1:
            return members[0]
        if self._combine != "learned":
            return combine_members(members, self._combine)
        if samples.split == "val":
            self._weights[protocol] = learned_weights(members, samples.label)
            return cross_fitted(members, samples.label)
        if protocol not in self._weights:
            raise HarnessError(NEEDS_VAL)
        return weigh_members(members, self._weights[protocol])


def combine_members(members: Sequence[Probabilities], combine: Combine) -> Probabilities:
    """Combine M members' probabilities ``(N, K)`` without labels.

    ``mean`` averages them. ``vote`` counts for each class the members that have it among their
    five likeliest; between classes of equal votes, the one that more members rank first wins.
    ``vote_mean_logits`` breaks those ties by the softmax of the mean log-probability. Votes are
    returned as shares that sum to 1, in the order of the votes.

    **Source:** Huawei deck, "Ensemble strategy": majority voting, average combination, vote +
    average logits. How a network votes for five guesses, and how ties are broken, is assumed.
    """
    if combine == "mean":
        return np.asarray(np.mean(members, axis=0), np.float32)
    if combine == "vote":
        return _shares(_votes(members, VOTES) + _votes(members, 1) / (len(members) + 1))
    geometric_mean = weigh_members(members, np.full(len(members), 1 / len(members)))
    return _shares(_votes(members, VOTES) + geometric_mean)


def weigh_members(members: Sequence[Probabilities], weights: Weights) -> Probabilities:
    """Return the softmax of the members' weighed log-probabilities, ``(N, K)``.

    p_k ~ prod_m p_mk ** w_m; weights that sum to 1 give the geometric mean.
    """
    logits = np.zeros(members[0].shape)
    for member, weight in zip(members, weights, strict=True):
        logits += weight * np.log(np.maximum(member, TINY))
    logits -= logits.max(axis=1, keepdims=True)
    return _shares(np.exp(logits))


def learned_weights(members: Sequence[Probabilities], labels: NDArray[np.int32]) -> Weights:
    """Return the weights ``(M,)``, all >= 0, that minimise the mean -log p of the labels.

    The problem is convex; L-BFGS starts from equal weights.

    **Source:** Huawei deck, "Ensemble strategy": "learn the combination weights". The form of the
    combination is assumed: a product of powers, which weighs logits as the deck's third way does.
    """
    from scipy.optimize import minimize

    logs_MNK = np.log(np.maximum(np.stack(members), TINY)).astype(np.float64)
    right_MN = logs_MNK[:, np.arange(len(labels)), labels]

    def loss_and_slope(weights: Weights) -> tuple[float, Weights]:
        logits = np.einsum("m,mnk->nk", weights, logs_MNK)
        highest = logits.max(axis=1, keepdims=True)
        powers = np.exp(logits - highest)
        sums = powers.sum(axis=1, keepdims=True)
        loss = np.mean(np.log(sums[:, 0]) + highest[:, 0] - weights @ right_MN)
        expected = np.einsum("nk,mnk->mn", powers / sums, logs_MNK)
        return float(loss), (expected - right_MN).mean(axis=1)

    start = np.full(len(members), 1 / len(members))
    bounds = [(0.0, None)] * len(members)
    found = minimize(loss_and_slope, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return np.asarray(found.x, np.float64)


def cross_fitted(members: Sequence[Probabilities], labels: NDArray[np.int32]) -> Probabilities:
    """Combine each of five parts of the images with weights learned on the other four.

    So no label influences the prediction for its own image.
    """
    parts = np.array_split(generator(0, len(labels)).permutation(len(labels)), FOLDS)
    joined = np.empty_like(members[0])
    for number, part in enumerate(parts):
        others = np.concatenate([*parts[:number], *parts[number + 1 :]])
        weights = learned_weights([member[others] for member in members], labels[others])
        joined[part] = weigh_members([member[part] for member in members], weights)
    return joined


def _votes(members: Sequence[Probabilities], guesses: int) -> NDArray[np.float64]:
    votes = np.zeros(members[0].shape)
    for member in members:
        chosen = np.zeros(member.shape)
        np.put_along_axis(chosen, top_classes(member, guesses).classes, 1, axis=1)
        votes += chosen
    return votes


def _shares(scores: NDArray[np.float64]) -> Probabilities:
    return np.asarray(scores / scores.sum(axis=1, keepdims=True), np.float32)
