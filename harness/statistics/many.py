"""The p-value of a difference for tests of many pairs, where small p-values must be right, too.

``Interval.p_value`` is right at 5 %. Far below, where Holm's correction of many pairs looks, it is
too small with few seeds: the variance between three seeds is sometimes far too small by chance, and
with it the standard error. On ten equal methods with three seeds and a standard deviation of 3
points between seeds, Holm's correction of ``Interval.p_value`` finds some difference on 29 % of the
boards instead of 5 % (``python benchmarks/board_errors.py``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from harness.statistics.intervals import Interval, paired_difference


def p_value_among_many(better_SN: ArrayLike, worse_SN: ArrayLike) -> float:
    """Return the two-sided p-value of ``better`` = ``worse``, ``(S, N)`` on the same seeds, images.

    It is that of ``paired_difference``, except that the variance v between the S seed means is
    never taken to be below MS_e / N, what the rest of the two-way table alone gives them:

        v = max(variance over seeds of mean_i d_si, MS_e / N)

    The mean of the first is never below the second, so it is below only by chance.

    Raises:
        HarnessError: The tables differ in shape, or one is empty or not finite.

    **Source:** our choice; measured by ``benchmarks/board_errors.py``.
    """
    found = paired_difference(better_SN, worse_SN)
    if not found.seed_terms:
        return found.p_value()
    ((variance, seeds),) = found.seed_terms
    d = np.asarray(better_SN, np.float64) - np.asarray(worse_SN, np.float64)
    residual = d - d.mean(axis=1, keepdims=True) - d.mean(axis=0) + d.mean()
    rest = float((residual**2).sum()) / ((seeds - 1) * (found.images - 1))
    return Interval.of(
        found.estimate,
        seed_terms=((max(variance, rest / found.images), seeds),),
        image_variance=found.image_variance,
        images=found.images,
    ).p_value()
