"""Which rows of a board a paired test can tell apart, and the ranks and groups that follow."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from harness.statistics.intervals import Interval, paired_difference
from harness.statistics.many import p_values_of_pairs
from harness.statistics.verdicts import ENOUGH_SEEDS, holm
from harness.studies.pairs import SeedsByImages, shared_seeds

LEVEL = 0.05  # of all pairs of a board together
LETTERS = "abcdefghijklmnopqrstuvwxyz"

Correct: TypeAlias = Mapping[int, SeedsByImages]  # by seed: whether each image is right, (1, N)
Pair: TypeAlias = tuple[int, int]  # two places in a list of rows, the first above the second
Outcome: TypeAlias = Literal["", "better", "worse"]  # "": not told apart


class Separation(NamedTuple):
    """The pairs of rows that were tested, and those that are told apart.

    ``p_values`` are adjusted by Holm over all tested pairs. A pair of ``better``, and of ``single``
    with the p-value of its test alone, is (the place of the better row, that of the worse one).
    """

    p_values: dict[Pair, float]
    better: frozenset[Pair]
    single: Mapping[Pair, float] = {}

    def told_apart(self, one: int, other: int) -> bool:
        """Return whether a test tells two rows apart."""
        return (one, other) in self.better or (other, one) in self.better


def difference(upper: Correct, lower: Correct) -> Interval | None:
    """Return ``upper`` minus ``lower`` on the seeds that both have, in shares; None without one."""
    seeds = shared_seeds(upper, lower)
    if not seeds:
        return None
    return paired_difference(_table(upper, seeds), _table(lower, seeds))


def separate(rows: Sequence[Correct]) -> Separation:
    """Test every two rows that share at least ``ENOUGH_SEEDS`` seeds.

    With fewer, the variance between seeds is not known well enough to tell two methods apart.
    """
    by_seeds: dict[tuple[int, ...], list[Pair]] = defaultdict(list)
    for one, other in combinations(range(len(rows)), 2):
        seeds = tuple(sorted(shared_seeds(rows[one], rows[other])))
        if len(seeds) >= ENOUGH_SEEDS:
            by_seeds[seeds].append((one, other))
    found: dict[Pair, float] = {}
    better: dict[Pair, Pair] = {}
    for seeds, pairs in by_seeds.items():
        places = sorted({place for pair in pairs for place in pair})
        tables = np.stack([_table(rows[place], seeds) for place in places]).astype(np.bool_)
        p_values, right = p_values_of_pairs(tables), tables.sum(axis=(1, 2)).tolist()
        at = {place: number for number, place in enumerate(places)}
        for one, other in pairs:
            found[one, other] = float(p_values[at[one], at[other]])
            is_better = right[at[one]] > right[at[other]]
            better[one, other] = (one, other) if is_better else (other, one)
    found = dict(sorted(found.items()))
    adjusted = dict(zip(found, holm(list(found.values())).tolist(), strict=True))
    apart = frozenset(better[pair] for pair, p_value in adjusted.items() if p_value < LEVEL)
    return Separation(adjusted, apart, {better[pair]: alone for pair, alone in found.items()})


def against(found: Separation, baselines: Sequence[int | None]) -> dict[int, Outcome]:
    """Return for each row that was tested against its baseline whether it differs from that.

    ``baselines`` has the place of each row's baseline. Holm corrects for these tests only: whether
    a method beats the baseline is one question for each method, and more methods to compare with
    each other do not make it harder to answer.
    """
    tests: dict[int, tuple[float, Outcome]] = {}
    for place, baseline in enumerate(baselines):
        if baseline is not None and (place, baseline) in found.single:
            tests[place] = found.single[place, baseline], "better"
        elif baseline is not None and (baseline, place) in found.single:
            tests[place] = found.single[baseline, place], "worse"
    adjusted = holm([p_value for p_value, _ in tests.values()])
    return {
        place: outcome if p_value < LEVEL else ""
        for (place, (_, outcome)), p_value in zip(tests.items(), adjusted, strict=True)
    }


def _table(row: Correct, seeds: Iterable[int]) -> SeedsByImages:
    return np.concatenate([row[seed] for seed in seeds])


def ranks_of(count: int, better: Collection[Pair]) -> list[tuple[int, int]]:
    """Return the best and the worst rank, from 1, that tests leave to each of ``count`` rows."""
    above, below = (Counter(pair[side] for pair in better) for side in (1, 0))
    return [(1 + above[place], count - below[place]) for place in range(count)]


def groups_of(count: int, found: Separation) -> list[str]:
    """Return the letters of each row: rows that share a letter cannot be told apart.

    All letters are empty if a board would need more than 26. **Source:** H.-P. Piepho, An Algorithm
    for a Letter-Based Representation of All-Pairwise Comparisons, 2004 (insert and absorb).
    """
    groups = [frozenset(range(count))] if count else []
    for pair in sorted(found.better, key=sorted):
        divided = [
            group - {out} if set(pair) <= group else group
            for group in groups
            for out in (pair if set(pair) <= group else pair[:1])
        ]
        unique = list(dict.fromkeys(divided))
        groups = [one for one in unique if not any(one < other for other in unique)]
        if len(groups) > len(LETTERS):
            return [""] * count
    groups.sort(key=sorted)
    letters = dict(zip(groups, LETTERS, strict=False))
    return ["".join(letters[group] for group in groups if row in group) for row in range(count)]
