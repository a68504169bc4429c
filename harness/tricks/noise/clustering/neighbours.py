"""Count every sample's neighbours within a quantile of all distances, exactly, in O(N) memory."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.errors import TrainingError
from harness.samplers import generator

Floats = NDArray[np.float32]
Counts = NDArray[np.int64]
Rows = NDArray[np.integer[Any]]
Value = TypeVar("Value", np.int32, np.float32)

UNIT_ROUNDOFF = 2.0**-24  # of float32
PAIRS_AT_ONCE = 128  # measured in float64 at a time: 4 MB at 2,048 features, within the cache


def count_nearer(features_ND: Floats, rank: int, *, block: int, spread: float, seed: int) -> Counts:
    """Count for every sample ``(N, D)`` the others closer than the pair of ``rank``: ``(N,)``.

    ``rank`` counts from 0 over all N (N - 1) / 2 pairs in order of distance. The other arguments
    do not change the result: see ``density``.

    Raises:
        TrainingError: A feature is not finite, or its square overflows float32.

    **Source:** see ``density``.
    """
    cloud = Cloud.of(features_ND)
    everything = len(features_ND) <= block
    brackets = [EVERYTHING] if everything else _brackets(cloud, rank, spread, seed)
    answers = (_count(cloud, rank, bracket, block) for bracket in brackets)
    return next(counts for counts in answers if counts is not None)


class Bracket(NamedTuple):
    """The interval in which the square of d_c is searched, and the most pairs to collect in it."""

    low: float
    high: float
    limit: float


EVERYTHING = Bracket(-math.inf, math.inf, math.inf)


class Cloud(NamedTuple):
    """The samples of one class, arranged so that a matrix product gives squared distances.

    ``rows`` is ``(N, D + 2)``: x - mean, |x - mean|^2, 1. ``norms`` is ``(N,)``. A float32 squared
    distance is off by less than ``slack`` times the sum of its two norms: four times what random
    rounding of D + 2 sums adds up to, and the rounding of the centred features themselves.
    """

    features: Floats
    rows: Floats
    norms: Floats
    slack: float

    @classmethod
    def of(cls, features_ND: Floats) -> Cloud:
        """Return the cloud of the features ``(N, D)``; raises TrainingError as ``count_nearer``."""
        size, width = features_ND.shape
        rows = np.empty((size, width + 2), np.float32)
        centred = rows[:, :width]
        with np.errstate(over="ignore", invalid="ignore"):
            np.subtract(features_ND, features_ND.mean(axis=0, dtype=np.float32), out=centred)
            norms = np.einsum("nd,nd->n", centred, centred)
        if not np.all(np.isfinite(norms)):
            raise TrainingError(
                f"{np.count_nonzero(~np.isfinite(norms))} of {size} feature vectors of a class "
                "are not finite; check the loss of the stage that they come from"
            )
        rows[:, width] = norms
        rows[:, width + 1] = 1
        return cls(features_ND, rows, norms, 4 * (math.sqrt(width + 2) + 2) * UNIT_ROUNDOFF)

    def left(self, part: slice) -> Floats:
        """Return ``(B, D + 2)``: -2 (x - mean), 1, |x - mean|^2, to be multiplied by ``rows.T``."""
        block = self.rows[part].copy()
        block[:, :-2] *= -2
        block[:, -2:] = block[:, :-3:-1]
        return block

    def errors(self, first: Rows, second: Rows) -> Floats:
        """Return the bound on the rounding error of the pairs' squared distances."""
        return np.float32(self.slack) * (self.norms[first] + self.norms[second])

    def measure(self, first: Rows, second: Rows) -> NDArray[np.float64]:
        """Return the pairs' squared distances in float64, equal for any grouping of the pairs."""
        squares = np.empty(len(first), np.float64)
        for start in range(0, len(first), PAIRS_AT_ONCE):
            part = slice(start, start + PAIRS_AT_ONCE)
            difference = self.features[first[part]].astype(np.float64)
            difference -= self.features[second[part]]
            np.einsum("nd,nd->n", difference, difference, out=squares[part])
        return squares


def _brackets(cloud: Cloud, rank: int, spread: float, seed: int) -> Iterator[Bracket]:
    """Yield wider and wider brackets, each from a new random sample of N pairs."""
    size = len(cloud.norms)
    share = (rank + 0.5) / (size * (size - 1) / 2)
    for attempt in itertools.count():
        random = generator(seed, attempt)
        first = random.integers(size, size=size)
        second = (first + random.integers(1, size, size=size)) % size
        squares = cloud.measure(first, second)
        error = 4 * cloud.errors(first, second)
        reach = (spread + 8 * attempt) * math.sqrt(size * share * (1 - share))
        below, above = math.floor(size * share - reach), math.ceil(size * share + reach)
        low = np.sort(squares - error)[below] if below >= 0 else -math.inf
        high = np.sort(squares + error)[above] if above < size else math.inf
        # A continuous distribution puts about N * reach pairs inside; many more are ties.
        yield Bracket(float(low), float(high), 4 * size * (reach + math.sqrt(size)))


class _Inside(NamedTuple):
    """The pairs that fell inside a bracket."""

    first: NDArray[np.int32]
    second: NDArray[np.int32]
    squares: Floats


def _count(cloud: Cloud, rank: int, bracket: Bracket, block: int) -> Counts | None:
    """Return the densities, or None if d_c, the pair of that ``rank``, is not in the bracket."""
    nearer, collected, (first, second, squares) = _sweep(cloud, bracket, block)
    size = len(nearer)
    rank -= int(nearer.sum()) // 2
    if not 0 <= rank < collected:
        return None
    if collected > bracket.limit:  # ties with d_c: none of them is closer
        return nearer
    errors = cloud.errors(first, second)
    least = np.partition(squares - errors, rank)[rank]  # d_c is between these two
    most = np.partition(squares + errors, rank)[rank]
    margin = errors.max()
    if least - margin < bracket.low or most + margin > bracket.high:
        return None
    below = squares + errors < least
    unsure = np.flatnonzero(~below & (squares - errors <= most))
    if len(unsure) <= max(65_536, 64 * size):  # more are ties: none of them is closer
        exact = cloud.measure(first[unsure], second[unsure])
        d_c = np.sort(exact)[rank - np.count_nonzero(below)]
        below[unsure] = exact < d_c
    for ends in (first, second):
        nearer += np.bincount(ends[below], minlength=size)
    return nearer


def _sweep(cloud: Cloud, bracket: Bracket, block: int) -> tuple[Counts, int, _Inside]:
    """Visit every pair once: count per sample those below the bracket, collect those inside.

    The pairs inside are also counted; if they are more than ``bracket.limit``, none is kept.
    """
    size = len(cloud.norms)
    nearer = np.zeros(size, np.int64)
    firsts, seconds, values = (
        [np.empty(0, np.int32)],
        [np.empty(0, np.int32)],
        [np.empty(0, np.float32)],
    )
    collected = 0
    for top in range(0, size, block):
        rows = slice(top, min(top + block, size))
        product = times(cloud.left(rows), many=size > block)
        for start in range(top, size, block):
            columns = slice(start, min(start + block, size))
            squares = product(cloud.rows[columns])
            if start == top:
                squares[np.tri(len(squares), dtype=bool)] = np.nan  # each pair once, no self
            below = squares < bracket.low
            ones = below.view(np.uint8)  # sums to uint16 are four times as fast as count_nonzero
            nearer[rows] += ones.sum(axis=1, dtype=np.uint16)
            nearer[columns] += ones.sum(axis=0, dtype=np.uint16)
            within = np.flatnonzero(below ^ (squares <= bracket.high))
            collected += len(within)
            if collected > bracket.limit:
                firsts, seconds, values = firsts[:1], seconds[:1], values[:1]
            else:
                i, j = np.divmod(within.astype(np.int32), np.int32(squares.shape[1]))
                firsts.append(i + top)
                seconds.append(j + start)
                values.append(squares.ravel()[within])
    return nearer, collected, _Inside(_join(firsts), _join(seconds), _join(values))


def _join(parts: list[NDArray[Value]]) -> NDArray[Value]:
    """Return the parts as one array and clear the list, to free memory early."""
    whole = np.concatenate(parts)
    parts.clear()
    return whole


def times(left: Floats, *, many: bool) -> Callable[[Floats], Floats]:
    """Return the function that maps ``right`` to ``left @ right.T``.

    Many products use torch's oneDNN: with AVX-512 it is twice as fast as numpy's OpenBLAS. For few
    products torch is not imported.
    """
    if many:
        import torch

        if torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
            first = torch.from_numpy(left).to_mkldnn()
            linear = torch.nn.functional.linear
            return lambda right: linear(first, torch.from_numpy(right)).to_dense().numpy()
    return lambda right: left @ right.T
