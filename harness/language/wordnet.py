"""WordNet 3.0's noun synsets, and the nearest classes of a vocabulary."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError

NounRows = NDArray[np.int64]
Lengths = NDArray[np.uint8]

SOURCES_AT_ONCE = 8_192  # 60 MB for the 5,000 classes of WebVision 2.0, at most 300
ROWS_AT_ONCE = 1_024
FAR = np.uint8(254)  # no path is longer than 32: all nouns are within 16 of the root


class Synset(NamedTuple):
    """One noun synset: a set of words that mean the same.

    ``wnid`` is "n" and the synset's offset in WordNet 3.0's file. ``hypernyms`` are the wnids of
    what it is a kind or an instance of. ``gloss`` is its definition; examples in quotation marks
    may follow it.
    """

    wnid: str
    lemmas: tuple[str, ...]
    hypernyms: tuple[str, ...]
    gloss: str


class Nouns:
    """All 82,115 noun synsets; ``load_nouns()`` reads them once."""

    def __init__(self, table: str) -> None:
        self._lines = {line[: len("n00000000")]: line for line in table.split("\n")}

    def __len__(self) -> int:
        return len(self._lines)

    def __contains__(self, wnid: str) -> bool:
        return wnid in self._lines

    def wnids(self) -> tuple[str, ...]:
        """Return all ids in rising order."""
        return tuple(self._lines)

    def synset(self, wnid: str) -> Synset:
        """Return one synset; raises DataError if WordNet 3.0 has no such id."""
        self._check([wnid])
        _, lemmas, hypernyms, gloss = self._lines[wnid].split("\t")
        return Synset(wnid, tuple(lemmas.split(", ")), tuple(hypernyms.split()), gloss)

    def path_lengths(self, wnids: Sequence[str]) -> Lengths:
        """Return the lengths ``(K, K)`` of the shortest paths between K synsets.

        A step of a path goes to a hypernym or to a hyponym. A synset may have several hypernyms, so
        the net is not a tree. The distance of siblings is 2.

        Raises DataError if WordNet 3.0 does not have one of ``wnids``.
        """
        self._check(wnids)
        rows = {wnid: row for row, wnid in enumerate(self._lines)}
        asked = np.array([rows[wnid] for wnid in wnids], np.int64)
        steps, asked, size = _renumber(_between(self._steps(rows), asked, len(self)), asked)
        lengths = np.empty((len(asked), len(asked)), np.uint8)
        for start in range(0, len(asked), SOURCES_AT_ONCE):
            part = slice(start, start + SOURCES_AT_ONCE)
            lengths[part] = _lengths_from(asked[part], steps, size)[asked].T
        return lengths

    def nearest(self, wnids: Sequence[str], count: int) -> NDArray[np.int32]:
        """Return for each of K classes the places ``(K, count)`` of the nearest others.

        They are sorted by ``path_lengths``, then by wnid; the order of ``wnids`` does not matter.
        If there are fewer than ``count`` others, all are returned.

        Raises DataError if WordNet 3.0 does not have one of ``wnids``.
        """
        size = len(wnids)
        count = min(count, size - 1)
        by_wnid = np.array(sorted(range(size), key=wnids.__getitem__), np.int64)
        lengths = self.path_lengths([wnids[place] for place in by_wnid])
        np.fill_diagonal(lengths, 255)
        near = np.empty((size, max(count, 0)), np.int32)
        for start in range(0, size if count > 0 else 0, ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            # One number contains length and place, so no two are equal.
            keys = lengths[part].astype(np.int32) * size + np.arange(size, dtype=np.int32)
            first = np.sort(np.partition(keys, count - 1, axis=1)[:, :count], axis=1)
            near[by_wnid[part]] = by_wnid[first % size]
        return near

    def _steps(self, rows: Mapping[str, int]) -> NounRows:
        """Return all pairs (hyponym, hypernym), ``(E, 2)``."""
        return np.array(
            [
                (row, rows[hypernym])
                for row, line in enumerate(self._lines.values())
                for hypernym in line.split("\t", 3)[2].split()
            ],
            np.int64,
        )

    def _check(self, wnids: Sequence[str]) -> None:
        missing = [wnid for wnid in wnids if wnid not in self._lines]
        if missing:
            raise DataError(
                f"{len(missing)} of {len(wnids)} ids are not nouns of WordNet 3.0, such as "
                f"{missing[0]!r}; other versions of WordNet have other ids"
            )


@cache
def load_nouns() -> Nouns:
    """Return WordNet 3.0's nouns from the table beside this file, read once per process."""
    table = Path(__file__).with_name("nouns.tsv.gz")
    return Nouns(gzip.decompress(table.read_bytes()).decode())


def _between(steps: NounRows, asked: NounRows, size: int) -> NounRows:
    """Return the steps that shortest paths between the synsets ``asked`` can use.

    Dead ends are removed repeatedly: synsets with one neighbour that are not in ``asked``.
    """
    while True:
        neighbours = np.bincount(steps.ravel(), minlength=size)
        neighbours[asked] = size
        useful = (neighbours[steps] > 1).all(axis=1)
        if useful.all():
            return steps
        steps = steps[useful]


def _renumber(steps: NounRows, asked: NounRows) -> tuple[list[tuple[int, int]], NounRows, int]:
    """Number the synsets again, hyponyms before their hypernyms, and sort the steps upwards.

    Returns the steps, the new numbers of ``asked`` and how many synsets there are.
    """
    hyponyms: dict[int, list[int]] = {row: [] for row in asked.tolist()}
    for low, high in steps.tolist():
        hyponyms.setdefault(high, []).append(low)
    order = list(TopologicalSorter(hyponyms).static_order())
    number = {row: place for place, row in enumerate(order)}
    upwards = [(number[low], number[high]) for high in order for low in hyponyms.get(high, ())]
    return upwards, np.array([number[row] for row in asked.tolist()], np.int64), len(order)


def _lengths_from(sources: NDArray[np.int64], steps: list[tuple[int, int]], size: int) -> Lengths:
    """Return the path lengths ``(size, S)`` from S sources over the steps (hyponym, hypernym).

    Each sweep updates every synset from its hyponyms, lowest first, and then from its hypernyms,
    highest first. After n sweeps, the lengths of paths that turn downwards up to n times are exact.
    The last sweep changes nothing.
    """
    lengths = np.full((size, len(sources)), FAR)
    lengths[sources, np.arange(len(sources))] = 0
    rows, one_more, total = list(lengths), np.empty(len(sources), np.uint8), -1
    while total != (total := int(lengths.sum())):
        for low, high in steps:
            np.minimum(rows[high], np.add(rows[low], 1, out=one_more), out=rows[high])
        for low, high in reversed(steps):
            np.minimum(rows[low], np.add(rows[high], 1, out=one_more), out=rows[low])
    return lengths
