"""Tests of the difference between two trained networks on the same test images.

Seeds are not part of these tests; to compare methods, use ``harness.statistics.intervals``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

CONFIDENCE = 0.95


def mcnemar(gained: int, lost: int) -> float:
    """Return McNemar's exact two-sided p-value: 2 P(X <= min(gained, lost)), at most 1.

    X is binomial with n = gained + lost and p = 0.5. **Source:** the exact form, any textbook.
    """
    from scipy.stats import binom

    return min(1.0, float(2 * binom.cdf(min(gained, lost), gained + lost, 0.5)))


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
