"""Which sample stands at which position of a training run.

A sampler is a pure function of (seed, position): the same order for every number of ranks and
workers, and an exact resume anywhere, with one integer as its state. Positions are counted over the
whole stage; step ``s`` of batch size ``B`` holds positions ``s * B`` to ``s * B + B - 1``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError, PluginError

if TYPE_CHECKING:
    from harness.samples import Samples

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


def passes(rows: Rows, seed: int, stream: int) -> Callable[[int, int], Rows]:
    """Walk through ``rows`` again and again, each pass in a new random order.

    The function returned maps (first position, count) to that many rows.
    """
    size = len(rows)

    @lru_cache(maxsize=2)
    def one_pass(number: int) -> Rows:
        return rows[generator(seed, stream, number).permutation(size)]

    def take(first: int, count: int) -> Rows:
        parts = []
        while count > 0:
            number, offset = divmod(first, size)
            part = one_pass(number)[offset : offset + count]
            parts.append(part)
            first, count = first + len(part), count - len(part)
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    return take


@dataclass(frozen=True, kw_only=True)
class Uniform:
    """Every sample once a pass, in a new random order each pass; ``subset`` -1 is left out."""

    def prepare(self, samples: Samples, batch_size: int, seed: int) -> Draw:
        """Return the draw; raises DataError where no sample is left."""
        rows = np.flatnonzero(samples.subset >= 0)
        if not len(rows):
            raise DataError("no sample is left to train on: every one has subset -1")
        take = passes(rows, seed, 0)
        return lambda step: take(step * batch_size, batch_size)


@dataclass(frozen=True, kw_only=True)
class SubsetBatches:
    """Fill every batch from the curriculum's subsets in fixed shares.

    ``counts[k]`` samples of subset ``k`` stand in a batch of ``sum(counts)``; another batch size
    keeps the shares. Where ``class_balanced[k]``, each batch picks classes at random, each at most
    once (as often as needed where there are fewer classes than places), and one random sample of
    each; elsewhere the subset is walked through uniformly.

    **Source:** Malong deck, "Methodology: Models with Different Training Schemes":
    [128, 64, 64], classes balanced on subset 1 only.
    """

    counts: tuple[int, ...] = (128, 64, 64)
    class_balanced: tuple[bool, ...] = (True, False, False)

    def __post_init__(self) -> None:
        """Refuse counts that make no batch, and a different number of flags."""
        if min(self.counts, default=0) < 0 or sum(self.counts) == 0:
            raise PluginError(f"counts {self.counts} make no batch; choose numbers from 0 up")
        if len(self.counts) != len(self.class_balanced):
            raise PluginError(
                f"{len(self.counts)} counts {self.counts} for {len(self.class_balanced)} subsets; "
                "give one count per subset"
            )

    def prepare(self, samples: Samples, batch_size: int, seed: int) -> Draw:
        """Return the draw; raises DataError where a subset that has places is empty."""
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


def _walk(take: Callable[[int, int], Rows], size: int) -> Callable[[int], Rows]:
    return lambda step: take(step * size, size)


def _balanced(
    rows: Rows, label: NDArray[np.int32], size: int, seed: int, stream: int
) -> Callable[[int], Rows]:
    by_class = rows[np.argsort(label[rows], kind="stable")]
    classes, starts = np.unique(label[by_class], return_index=True)
    ends = np.append(starts[1:], len(by_class))

    def take(step: int) -> Rows:
        random = generator(seed, stream, step)
        rounds = -(-size // len(classes))
        chosen = np.concatenate([random.permutation(len(classes)) for _ in range(rounds)])[:size]
        picked: Rows = by_class[random.integers(starts[chosen], ends[chosen])]
        return picked

    return take
