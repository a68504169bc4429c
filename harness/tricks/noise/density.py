"""CurriculumNet's split of every category by the density of its samples in feature space."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.data.samplers import generator
from harness.errors import PluginError, TrainingError
from harness.samples import Samples
from harness.tricks.noise.categories import rows_by_class

Floats = NDArray[np.float32]
Counts = NDArray[np.int64]
Rows = NDArray[np.integer[Any]]

UNIT_ROUNDOFF = 2.0**-24  # of float32
PAIRS_AT_ONCE = 512  # measured in float64 at a time: 16 MB at 2,048 features


@dataclass(frozen=True, kw_only=True)
class DensitySubsets:
    """Split every category into subsets of falling density; subset 0 is the clean one.

    Per label as found: ``density`` on the features of the stage ``sees``, then
    ``split_by_density``. Only ``subset`` changes. Samples that an earlier trick left out
    (subset -1) stay out and are nobody's neighbours.

    **Source:** Malong deck, "Methodology: Formulate our problem" (density clustering in each
    category) and "Methodology: Curriculum Design" (three subsets); ``quantile`` and the 3-means on
    densities from the published clustering code, msight-tech/research-curriculumnet.
    """

    sees: str
    quantile: float = 0.6
    num_subsets: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a quantile outside [0, 1] and fewer than one subset."""
        _check_quantile(self.quantile)
        if not 1 <= self.num_subsets <= np.iinfo(np.int8).max:
            raise PluginError(f"num_subsets is {self.num_subsets}; choose 1 to 127")

    def __call__(self, samples: Samples) -> Samples:
        """Return the samples with ``subset`` 0 (densest) to ``num_subsets`` - 1."""
        features_ND = samples.features(self.sees)
        subset = samples.subset.copy()
        for rows in rows_by_class(samples):
            rho = density(features_ND[rows], quantile=self.quantile, seed=self.seed)
            subset[rows] = split_by_density(rho, num_subsets=self.num_subsets, seed=self.seed)
        return samples.assign(subset=subset)


def density(
    features_ND: Floats,
    *,
    quantile: float = 0.6,
    block: int = 1_024,
    spread: float = 4.0,
    seed: int = 0,
) -> Counts:
    """Count for every sample the others that are nearer than d_c: ``(N, D)`` to ``(N,)``.

    rho_i = #{j != i : D_ij < d_c}, where d_c is the element ``int(N * N * quantile)`` of all N * N
    distances in rising order, the N zeros of the diagonal included. D is the Euclidean distance;
    the deck's step one prints its square, but since d_c is taken from the same list, only the
    order counts and both give the same rho. The deck's step three, delta, plays no part in the
    split: neither "Curriculum Design" nor the published code uses it there.

    No N x N matrix is made. A sample of N pairs brackets d_c; one pass over the upper triangle of
    ``block`` x ``block`` matrix products in float32 counts the pairs below the bracket and collects
    those in it; the few that float32 cannot tell from d_c are measured again in float64. A bracket
    that missed d_c is noticed and the pass repeated with a wider one, so the counts are exact and
    depend neither on ``block``, ``spread`` (of the bracket, in standard errors) and ``seed`` (of
    the sample) nor on the order of the rows. One limit: where more pairs than can be measured
    again lie within float32's rounding of d_c, they are taken as equal to it, hence not nearer.

    Raises:
        PluginError: ``quantile`` is not in [0, 1].
        TrainingError: A feature is not finite, or its square is not in float32.

    **Source:** Malong deck, "Methodology: Formulate our problem", steps one and two; the 60th
    percentile, its element and the count without the sample itself as in the published code.
    """
    _check_quantile(quantile)
    size = len(features_ND)
    position = min(int(size * size * quantile), size * size - 1)
    if position < size:  # d_c is one of the diagonal's zeros
        return np.zeros(size, np.int64)
    cloud = _Cloud.of(features_ND)
    rank = (position - size) // 2  # every other distance stands in the list twice
    brackets = [EVERYTHING] if size <= block else _brackets(cloud, rank, spread, seed)
    answers = (_count(cloud, rank, bracket, block) for bracket in brackets)
    return next(rho for rho in answers if rho is not None)


def split_by_density(density_N: Counts, *, num_subsets: int = 3, seed: int = 0) -> NDArray[np.int8]:
    """Cut the densities ``(N,)`` by 1-D K-means into ``num_subsets``; 0 holds the densest.

    Where fewer different densities than subsets occur, there are only as many subsets as
    densities. The result does not depend on the order of the samples.

    **Source:** Malong deck, "Methodology: Curriculum Design" (three subsets, ranked); K-means on
    the densities from the published code. Its ten restarts are scikit-learn's default of that time.
    """
    from sklearn.cluster import KMeans

    levels, inverse = np.unique(density_N, return_inverse=True)
    clusters = min(num_subsets, len(levels))
    if clusters <= 1:
        return np.zeros(len(density_N), np.int8)
    means = KMeans(clusters, n_init=10, random_state=seed)
    means.fit(np.sort(density_N).reshape(-1, 1).astype(np.float64))
    place = np.argsort(np.argsort(-means.cluster_centers_[:, 0]))
    of_level = place[means.predict(levels.reshape(-1, 1).astype(np.float64))]
    return of_level[inverse].astype(np.int8)  # type: ignore[no-any-return]


class _Bracket(NamedTuple):
    """Where the square of d_c is looked for, and how many pairs may be collected there."""

    low: float
    high: float
    limit: float


EVERYTHING = _Bracket(-math.inf, math.inf, math.inf)


class _Cloud(NamedTuple):
    """The samples of one category, laid out so that a matrix product gives squared distances.

    ``rows`` is ``(N, D + 2)``: x - mean, |x - mean|^2, 1. ``norms`` is ``(N,)``. A float32 squared
    distance is off by less than ``slack`` times the sum of its two norms: four times what random
    rounding of D + 2 sums adds up to, and the rounding of the centred features themselves.
    """

    features: Floats
    rows: Floats
    norms: Floats
    slack: float

    @classmethod
    def of(cls, features_ND: Floats) -> _Cloud:
        size, width = features_ND.shape
        rows = np.empty((size, width + 2), np.float32)
        centred = rows[:, :width]
        with np.errstate(over="ignore", invalid="ignore"):
            np.subtract(features_ND, features_ND.mean(axis=0, dtype=np.float32), out=centred)
            norms = np.einsum("nd,nd->n", centred, centred)
        if not np.all(np.isfinite(norms)):
            raise TrainingError(
                f"{np.count_nonzero(~np.isfinite(norms))} of {size} feature vectors of a category "
                "are not finite; look at the loss of the stage that they come from"
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
        """Return the pairs' squared distances in float64, the same whatever else is measured."""
        squares = np.empty(len(first), np.float64)
        for start in range(0, len(first), PAIRS_AT_ONCE):
            part = slice(start, start + PAIRS_AT_ONCE)
            difference = self.features[first[part]].astype(np.float64)
            difference -= self.features[second[part]]
            np.einsum("nd,nd->n", difference, difference, out=squares[part])
        return squares


def _brackets(cloud: _Cloud, rank: int, spread: float, seed: int) -> Iterator[_Bracket]:
    """Yield ever wider brackets, each from a new random sample of N pairs."""
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
        yield _Bracket(float(low), float(high), 4 * size * (reach + math.sqrt(size)))


class _Inside(NamedTuple):
    """The pairs that fell inside a bracket."""

    first: NDArray[np.int32]
    second: NDArray[np.int32]
    squares: Floats


def _count(cloud: _Cloud, rank: int, bracket: _Bracket, block: int) -> Counts | None:
    """Return the densities, or None where d_c, the pair of that ``rank``, is not in the bracket."""
    nearer, collected, (first, second, squares) = _sweep(cloud, bracket, block)
    size = len(nearer)
    rank -= int(nearer.sum()) // 2
    if not 0 <= rank < collected:
        return None
    if collected > bracket.limit:  # ties with d_c: none of them is nearer
        return nearer
    errors = cloud.errors(first, second)
    least = np.partition(squares - errors, rank)[rank]  # d_c lies between these two
    most = np.partition(squares + errors, rank)[rank]
    margin = errors.max()
    if least - margin < bracket.low or most + margin > bracket.high:
        return None
    below = squares + errors < least
    unsure = np.flatnonzero(~below & (squares - errors <= most))
    if len(unsure) <= max(65_536, 64 * size):  # more are ties, too: none of them is nearer
        exact = cloud.measure(first[unsure], second[unsure])
        d_c = np.sort(exact)[rank - np.count_nonzero(below)]
        below[unsure] = exact < d_c
    for ends in (first, second):
        nearer += np.bincount(ends[below], minlength=size)
    return nearer


def _sweep(cloud: _Cloud, bracket: _Bracket, block: int) -> tuple[Counts, int, _Inside]:
    """Visit every pair once: count per sample those below the bracket, collect those inside.

    The pairs inside are counted, too; where they are more than ``bracket.limit``, none is kept.
    """
    size = len(cloud.norms)
    nearer = np.zeros(size, np.int64)
    found = [_Inside(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32))]
    collected = 0
    for top in range(0, size, block):
        rows = slice(top, min(top + block, size))
        times = _times(cloud.left(rows), many=size > block)
        for start in range(top, size, block):
            columns = slice(start, min(start + block, size))
            squares = times(cloud.rows[columns])
            if start == top:
                squares[np.tri(len(squares), dtype=bool)] = np.nan  # no pair twice, no self
            below = squares < bracket.low
            nearer[rows] += np.count_nonzero(below, axis=1)
            nearer[columns] += np.count_nonzero(below, axis=0)
            within = np.flatnonzero((squares <= bracket.high) & ~below)
            collected += len(within)
            if collected > bracket.limit:
                del found[1:]
            else:
                i, j = np.divmod(within.astype(np.int32), np.int32(squares.shape[1]))
                found.append(_Inside(i + top, j + start, squares.ravel()[within]))
    first, second, values = (np.concatenate(part) for part in zip(*found, strict=True))
    return nearer, collected, _Inside(first, second, values)


def _times(left: Floats, *, many: bool) -> Callable[[Floats], Floats]:
    """Return the function that maps ``right`` to ``left @ right.T``.

    For many products oneDNN, which torch brings, is used: with AVX-512 it is twice as fast as
    numpy's OpenBLAS. Few are not worth importing torch.
    """
    if many:
        import torch

        if torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
            first = torch.from_numpy(left).to_mkldnn()
            linear = torch.nn.functional.linear
            return lambda right: linear(first, torch.from_numpy(right)).to_dense().numpy()
    return lambda right: left @ right.T


def _check_quantile(quantile: float) -> None:
    if not 0 <= quantile <= 1:
        raise PluginError(f"the quantile of the distances is {quantile}; choose 0 to 1")
