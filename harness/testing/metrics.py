"""Accuracy from probabilities: top-1 and top-5, flat and class mean, per class."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Top(NamedTuple):
    """The ``k`` likeliest classes ``(N, k)``, best first, and their probabilities."""

    classes: NDArray[np.int32]
    probabilities: NDArray[np.float32]


class Accuracy(NamedTuple):
    """Shares of correct predictions; ``per_class`` is ``(K,)``, NaN if a class has no sample."""

    flat: float
    class_mean: float
    per_class: NDArray[np.float64]


def top_classes(probabilities_NK: NDArray[np.float32], k: int) -> Top:
    """Return the ``min(k, K)`` likeliest classes; the lower class first if two tie."""
    k = min(k, probabilities_NK.shape[1])
    order = np.argsort(-probabilities_NK, axis=1, kind="stable")[:, :k]
    return Top(order.astype(np.int32), np.take_along_axis(probabilities_NK, order, axis=1))


def accuracy(
    ranked_NK: NDArray[np.int32], labels: NDArray[np.int32], num_classes: int, k: int
) -> Accuracy:
    """Return the share of samples whose label is among the first ``k`` of ``ranked_NK``.

    The class mean is over the classes that have samples.
    """
    right = (ranked_NK[:, :k] == labels[:, None]).any(axis=1)
    counts = np.bincount(labels, minlength=num_classes)
    hits = np.bincount(labels, weights=right, minlength=num_classes)
    per_class = np.full(num_classes, np.nan)
    np.divide(hits, counts, out=per_class, where=counts > 0)
    return Accuracy(float(right.mean()), float(np.nanmean(per_class)), per_class)
