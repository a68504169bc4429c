"""The p-value of a difference for tests of many pairs, where small p-values must also be right.

``Interval.p_value`` is right at 5 %. Far below, where Holm's correction of many pairs looks, it is
too small with few seeds: the variance between three seeds is sometimes far too small by chance, and
with it the standard error. On ten equal methods with three seeds and a standard deviation of 3
points between seeds, Holm's correction of ``Interval.p_value`` finds some difference on 29 % of the
boards instead of 5 % (``python benchmarks/board_errors.py``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.errors import HarnessError
from harness.statistics.intervals import Interval, paired_difference

AT_ONCE = 1 << 22  # answers whose products are summed together: 32 MB


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


def p_values_of_pairs(correct_MSN: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return ``p_value_among_many`` of every two methods ``(M, M)``, from ``(M, S, N)`` answers.

    A sum over d = better - worse is one of sums over single methods and of products of two, so a
    matrix product gives those of all pairs. The sums are of whole numbers, and exact.

    Raises HarnessError if there are fewer than two seeds or images.
    """
    from scipy.special import stdtr

    methods, seeds, images = correct_MSN.shape
    if seeds < 2 or images < 2:
        raise HarnessError(f"pairs need two seeds and two images, found {seeds} and {images}")
    squares, by_image = _sums_of_squares(correct_MSN)  # of d_si, and of its sums over the seeds
    seed_sums = correct_MSN.sum(axis=2, dtype=np.int64).astype(np.float64)
    by_seed = _square_distances(seed_sums @ seed_sums.T)
    total = seed_sums.sum(axis=1)
    total = total[:, None] - total
    count, square = seeds * images, total**2
    rest = count * squares - seeds * by_seed - images * by_image + square  # count times the squares
    residual = rest / count / ((seeds - 1) * (images - 1))
    seed_variance = (seeds * by_seed - square) / (seeds * (seeds - 1) * images**2)
    image_variance = (images * by_image - square) / (images * (images - 1) * seeds**2)
    from_seeds = np.maximum(seed_variance, residual / images) / seeds
    from_images = np.maximum(0.0, image_variance - residual / seeds) / images
    error = np.sqrt(from_seeds + from_images)
    per_degree = from_images / (images - 1) + from_seeds / (seeds - 1)
    known = error > 0
    degrees = np.divide(
        from_seeds + from_images, per_degree, out=np.full((methods, methods), 1.0), where=known
    )
    distance = np.divide(np.abs(total) / count, error, out=np.zeros_like(error), where=known)
    p_values: NDArray[np.float64] = np.where(known, 2 * stdtr(degrees, -distance), total == 0)
    return p_values


def _sums_of_squares(correct_MSN: NDArray[np.bool_]) -> tuple[NDArray[np.float64], ...]:
    """Return the sums over d_si^2 and over (sum of d_si over s)^2 of every pair, ``(M, M)``."""
    methods, seeds, images = correct_MSN.shape
    each, summed = np.zeros((2, methods, methods))
    step = max(1, AT_ONCE // (methods * seeds))
    for start in range(0, images, step):
        part = correct_MSN[:, :, start : start + step]
        flat = part.reshape(methods, -1).astype(np.float64)
        each += flat @ flat.T
        sums = part.sum(axis=1).astype(np.float64)
        summed += sums @ sums.T
    return _square_distances(each), _square_distances(summed)


def _square_distances(products: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return |a - b|^2 of every two vectors, from the products of every two."""
    own = np.diag(products)
    return own[:, None] + own - 2 * products
