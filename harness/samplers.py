"""Which sample is at which position of a training run.

A sampler is a pure function of (seed, position): the same order for every number of ranks and
workers, and an exact resume anywhere, with one integer as its state. Positions are counted over the
whole stage; step ``s`` of batch size ``B`` holds positions ``s * B`` to ``s * B + B - 1``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError, PluginError
from harness.shuffle import shuffled

if TYPE_CHECKING:
    from harness.samples import Samples

# Draws with replacement are made this many at once: in sorted order, memory is met once.
DRAWS = 1 << 16
# Of more rows a random order is not kept: at 16 million it takes seconds, and 257 MB in each rank.
MANY = 1 << 22

Rows: TypeAlias = NDArray[np.int64]
Draw: TypeAlias = Callable[[int], Rows]
"""Maps a step to the rows ``(B,)`` of its global batch."""


class Sampler(Protocol):
    """Decides the order in which a stage meets its samples."""

    def prepare(self, samples: Samples, batch_size: int, seed: int) -> Draw:
        """Return the function that draws the global batch of a step."""
        ...


def generator(seed: int, *counters: int) -> np.random.Generator:
    """Return a generator that depends on nothing but the seed and the counters."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, *counters])))


def draw_seed(*counters: int) -> int:
    """Return a seed of 62 bits for one batch or picture; 10 times faster than a generator's."""
    digest = hashlib.blake2b(repr(counters).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 2


def passes(rows: Rows | range, seed: int, stream: int) -> Callable[[int, int], Rows]:
    """Walk through ``rows`` again and again, each pass in a new random order.

    The function returned maps (first position, count) to that many rows. ``range(N)`` are all rows.
    Of more than ``MANY`` rows no order is kept: each draw computes its part.
    """
    size = len(rows)

    def part(number: int, first: int, count: int) -> Rows:
        places = shuffled(first, count, size, generator(seed, stream, number))
        return places if isinstance(rows, range) else rows[places]

    def whole(number: int) -> Rows:
        order = generator(seed, stream, number).permutation(size)
        return order if isinstance(rows, range) else rows[order]

    return _in_parts(part, size) if size > MANY else _joined(whole, size)


def _joined(make: Callable[[int], Rows], size: int) -> Callable[[int, int], Rows]:
    """Join pieces of ``size`` rows, each made by its number; maps (first position, count)."""
    piece = lru_cache(maxsize=2)(make)
    return _in_parts(lambda number, first, count: piece(number)[first : first + count], size)


def _in_parts(part: Callable[[int, int, int], Rows], size: int) -> Callable[[int, int], Rows]:
    """Join parts of pieces of ``size`` rows: ``part`` maps (piece, first row in it, count)."""

    def take(first: int, count: int) -> Rows:
        parts = []
        while count > 0:
            number, offset = divmod(first, size)
            parts.append(part(number, offset, min(count, size - offset)))
            first, count = first + len(parts[-1]), count - len(parts[-1])
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    return take


@dataclass(frozen=True, kw_only=True)
class Uniform:
    """Every sample once a pass, in a new random order each pass; ``subset`` -1 is left out."""

    def prepare(self, samples: Samples, batch_size: int, seed: int) -> Draw:
        """Return the draw; raises DataError if no sample is left."""
        everything = len(samples.subset) and samples.subset.min() >= 0
        rows = range(len(samples.subset)) if everything else _left(samples)
        return _walk(passes(rows, seed, 0), batch_size)


@dataclass(frozen=True, kw_only=True)
class ClassBalanced:
    """Every class equally often: each pass has each class once, in a new random order.

    Each time one random sample of the class is drawn; ``subset`` -1 and classes that have nothing
    else are left out.
    """

    def prepare(self, samples: Samples, batch_size: int, seed: int) -> Draw:
        """Return the draw; raises DataError if no sample is left."""
        classes = _group(_left(samples), samples.label)
        number = len(classes.starts)

        def one_pass(place: int) -> Rows:
            random = generator(seed, 0, place)
            return classes.pick(random.permutation(number), random)

        return _walk(_joined(one_pass, number), batch_size)


@dataclass(frozen=True, kw_only=True)
class SquareRoot:
    """Draw classes in proportion to the square root of their size, then a random sample of each.

    Half way between ``Uniform`` and ``ClassBalanced``: a class 100 times as large comes 10 times as
    often. Sizes are counted without ``subset`` -1, which is left out.

    **Source:** our choice; B. Kang et al., "Decoupling Representation and Classifier for
    Long-Tailed Recognition", ICLR 2020: p_k ~ n_k ** q with q = 1/2.
    """

    def prepare(self, samples: Samples, batch_size: int, seed: int) -> Draw:
        """Return the draw; raises DataError if no sample is left."""
        classes = _group(_left(samples), samples.label)
        sums = np.cumsum(np.sqrt(classes.ends - classes.starts))

        def draws(place: int) -> Rows:
            random = generator(seed, 0, place)
            return classes.pick(_by_share(sums, random), random)

        return _walk(_joined(draws, DRAWS), batch_size)


@dataclass(frozen=True, kw_only=True)
class Weighted:
    """Draw with replacement, each sample in proportion to its ``weight``; ``subset`` -1 never.

    The loss is multiplied by ``weight`` too, which would count it twice. A method that draws by
    weight adds a batch trick, ``replace(batch, weights=torch.ones_like(batch.weights))``.

    Sums of 64 bits and a binary search: ``torch.multinomial`` refuses more than 2^24 rows.
    """

    def prepare(self, samples: Samples, batch_size: int, seed: int) -> Draw:
        """Return the draw; raises DataError if no sample is left or all weights are 0."""
        _left(samples)
        sums = np.cumsum(np.where(samples.subset >= 0, samples.weight, 0), dtype=np.float64)
        if not sums[-1]:
            raise DataError("no sample is left to draw: every one has weight 0 or subset -1")
        draws = _joined(lambda place: _by_share(sums, generator(seed, 0, place)), DRAWS)
        return _walk(draws, batch_size)


@dataclass(frozen=True, kw_only=True)
class SubsetBatches:
    """Fill every batch from the curriculum's subsets in fixed shares.

    ``counts[k]`` samples of subset ``k`` are in a batch of ``sum(counts)``; another batch size
    keeps the shares. Where ``class_balanced[k]``, each batch picks classes at random, each at most
    once (as often as needed if there are fewer classes than places), and one random sample of
    each; elsewhere the subset is walked through uniformly.

    **Source:** Malong deck, "Methodology: Models with Different Training Schemes":
    [128, 64, 64], classes balanced on subset 1 only.
    """

    counts: tuple[int, ...] = (128, 64, 64)
    class_balanced: tuple[bool, ...] = (True, False, False)

    def __post_init__(self) -> None:
        """Refuse counts that make no batch, and a different number of flags."""
        if min(self.counts, default=0) < 0 or sum(self.counts) == 0:
            raise PluginError(f"counts {self.counts} do not make a batch; choose numbers from 0 up")
        if len(self.counts) != len(self.class_balanced):
            raise PluginError(
                f"{len(self.counts)} counts {self.counts} for {len(self.class_balanced)} subsets; "
                "give one count per subset"
            )

    def prepare(self, samples: Samples, batch_size: int, seed: int) -> Draw:
        """Return the draw; raises DataError if a subset with places is empty."""
        sizes = shares(self.counts, batch_size)
        takes: list[Callable[[int], Rows]] = []
        for subset, (size, balanced) in enumerate(zip(sizes, self.class_balanced, strict=True)):
            rows = np.flatnonzero(samples.subset == subset)
            if size and not len(rows):
                raise DataError(
                    f"subset {subset} has no samples, but {size} of a batch of {batch_size} "
                    "are drawn from it"
                )
            if size and balanced:
                takes.append(_balanced(rows, samples.label, size, seed, subset))
            elif size:
                takes.append(_walk(passes(rows, seed, subset), size))

        def draw(step: int) -> Rows:
            rows: Rows = np.concatenate([take(step) for take in takes])
            # Mixed, so that every rank and accumulation step sees all subsets.
            return rows[generator(seed, len(sizes), step).permutation(len(rows))]

        return draw


@dataclass(frozen=True, kw_only=True)
class ChosenAndAll:
    """Fill the share ``chosen`` of every batch from subset 0, classes balanced; the rest from all.

    The chosen part is drawn as by ``SubsetBatches``, the rest walks through all samples that are
    left, those of subset 0 among them. If nothing is in subset 0, all of the batch is the rest.

    **Source:** C. Feng et al., "SSR", BMVC 2022, draws a balanced batch of chosen samples and one
    of all samples for each step; half and half in one batch is our choice.
    """

    chosen: float = 0.5

    def __post_init__(self) -> None:
        """Refuse a share that is not in [0, 1]."""
        if not 0 <= self.chosen <= 1:
            raise PluginError(f"chosen of ChosenAndAll must be in [0, 1], not {self.chosen!r}")

    def prepare(self, samples: Samples, batch_size: int, seed: int) -> Draw:
        """Return the draw; raises DataError if no sample is left."""
        rows = np.flatnonzero(samples.subset == 0)
        size = round(batch_size * self.chosen) if len(rows) else 0
        takes = [_walk(passes(_left(samples), seed, 1), batch_size - size)]
        if size:
            takes.append(_balanced(rows, samples.label, size, seed, 0))

        def draw(step: int) -> Rows:
            drawn: Rows = np.concatenate([take(step) for take in takes])
            # Mixed, so that every rank and accumulation step sees both.
            return drawn[generator(seed, 2, step).permutation(len(drawn))]

        return draw


def shares(counts: tuple[int, ...], total: int) -> tuple[int, ...]:
    """Split ``total`` in proportion to ``counts``, exactly, by largest remainder.

    >>> shares((128, 64, 64), 100)
    (50, 25, 25)
    """
    exact = [total * count / sum(counts) for count in counts]
    floors = [int(value) for value in exact]
    by_remainder = sorted(range(len(counts)), key=lambda k: (floors[k] - exact[k], k))
    for k in by_remainder[: total - sum(floors)]:
        floors[k] += 1
    return tuple(floors)


def _left(samples: Samples) -> Rows:
    rows = np.flatnonzero(samples.subset >= 0)
    if not len(rows):
        raise DataError("no sample is left to train on: every one has subset -1")
    return rows


def _walk(take: Callable[[int, int], Rows], size: int) -> Callable[[int], Rows]:
    return lambda step: take(step * size, size)


def _by_share(sums: NDArray[np.float64], random: np.random.Generator) -> Rows:
    """Draw places by what each adds to the cumulative ``sums``; never one that adds nothing."""
    drawn = np.sort(random.random(DRAWS)) * sums[-1]
    return random.permutation(np.searchsorted(sums, drawn, side="right"))


class _Classes(NamedTuple):
    """Rows class after class, those of the k-th from ``starts[k]`` to ``ends[k] - 1``."""

    rows: Rows
    starts: Rows
    ends: Rows

    def pick(self, classes: Rows, random: np.random.Generator) -> Rows:
        """Draw one sample of each of ``classes``, which are places and not labels."""
        picked: Rows = self.rows[random.integers(self.starts[classes], self.ends[classes])]
        return picked


def _group(rows: Rows, label: NDArray[np.int32]) -> _Classes:
    by_class = rows[np.argsort(label[rows], kind="stable")]
    starts = np.flatnonzero(np.diff(label[by_class], prepend=-1))
    return _Classes(by_class, starts, np.append(starts[1:], len(by_class)))


def _balanced(
    rows: Rows, label: NDArray[np.int32], size: int, seed: int, stream: int
) -> Callable[[int], Rows]:
    classes = _group(rows, label)
    number = len(classes.starts)

    def take(step: int) -> Rows:
        random = generator(seed, stream, step)
        rounds = -(-size // number)
        chosen = np.concatenate([random.permutation(number) for _ in range(rounds)])[:size]
        return classes.pick(chosen, random)

    return take
