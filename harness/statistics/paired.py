"""Tests of the difference between two trained networks on the same test images.

Seeds are not part of these tests; to compare methods, use ``harness.statistics.intervals``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95


def mcnemar(gained: int, lost: int) -> float:
    """Return McNemar's exact two-sided p-value: 2 P(X <= min(gained, lost)), at most 1.

    X is binomial with n = gained + lost and p = 0.5. **Source:** the exact form, any textbook.
    """
    from scipy.special import bdtr  # scipy.stats, which has the same, takes 0.5 s to import

    return min(1.0, float(2 * bdtr(min(gained, lost), gained + lost, 0.5)))


def false_discovery_rates(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return the q-value of each of the p-values ``(C,)``: the smallest rate that lists it.

    scipy.stats.false_discovery_control returns the same, but takes 0.5 s to import. **Source:**
    Y. Benjamini and Y. Hochberg, "Controlling the False Discovery Rate", 1995.
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p)
    scaled = p[order] * len(p) / np.arange(1, len(p) + 1)
    q = np.empty_like(p)
    q[order] = np.minimum.accumulate(scaled[::-1])[::-1]
    return np.minimum(q, 1)


def bootstrap_mean(
    values_N: ArrayLike, *, resamples: int = 2_000, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean of ``values_N`` over resampled images.

    For a paired bootstrap, give the differences. N images drawn with replacement are drawn here as
    the counts of each *distinct* value, from a multinomial: the same distribution, at a cost that
    does not grow with N if there are few distinct values.
    """
    random = np.random.default_rng(seed)
    values, counts = np.unique(np.asarray(values_N), return_counts=True)
    size = int(counts.sum())
    means = random.multinomial(size, counts / size, resamples) @ values / size
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
