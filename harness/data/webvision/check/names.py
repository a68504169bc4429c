"""Training lists as hashes: counts lines and colliding names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.data.webvision.check.report import SourceCount

Hashes = NDArray[np.uint64]

_PRIME = np.uint64(0x100000001B3)
_START = np.uint64(0xCBF29CE484222325)
_ROWS = 1 << 18
_SLASH = ord("/")
PREPARED = "train.txt"


@dataclass(frozen=True, kw_only=True)
class TrainList:
    """The N entries of one source that an edition keeps.

    ``rows`` are their positions among all ``entries`` of the list, ``lines`` their line numbers
    from 1; ``listed`` are hashes of the paths, ``names`` hashes of the base names.
    """

    source: str
    path: Path
    files: NDArray[np.bytes_]  # relative to the root
    label: NDArray[np.int32]
    query: NDArray[np.int32]
    rank: NDArray[np.int32]
    rows: NDArray[np.int64]
    lines: NDArray[np.int32]
    entries: int
    content: bytes
    listed: Hashes
    names: Hashes

    @property
    def ranked(self) -> bool:
        """Whether the list has queries, and so ranks."""
        return bool(np.all(self.rank >= 0))

    def where(self, row: int) -> str:
        """Return the list and the line, from 1, of a row."""
        return f"{self.path}, line {self.lines[row]}"


def hash_names(texts: NDArray[np.bytes_], *, only_base: bool = False) -> Hashes:
    """Hash byte strings to 64 bits, ``(N,)``; ``only_base`` hashes what follows the last slash.

    Among 16 million names two collide with a probability below 1e-5.
    """
    width = texts.dtype.itemsize
    table = np.ascontiguousarray(texts).view(np.uint8).reshape(len(texts), width)
    hashes = np.empty(len(texts), np.uint64)
    for start in range(0, len(texts), _ROWS):
        rows = np.full(min(_ROWS, len(texts) - start), _START)
        for column in np.ascontiguousarray(table[start : start + _ROWS].T):
            rows = np.where(column == 0, rows, (rows ^ column) * _PRIME)
            if only_base:
                rows[column == _SLASH] = _START
        hashes[start : start + _ROWS] = rows ^ (rows >> np.uint64(29))
    return hashes


def mix_labels(hashes: Hashes, label: NDArray[np.int32]) -> Hashes:
    """Hash pairs of a name and a label."""
    mixed: Hashes = (hashes ^ (label.astype(np.uint64) + np.uint64(1)) * _START) * _PRIME
    return mixed ^ (mixed >> np.uint64(31))


def are_among(asked: Hashes, known: Hashes) -> NDArray[np.bool_]:
    """Return which of ``asked`` are among ``known``, ``(N,)``.

    Uses sorting: numpy's methods with a hash table take five times as long on hashes.
    """
    if not len(known):
        return np.zeros(len(asked), np.bool_)
    in_order = np.sort(known)
    order = np.argsort(asked)
    place = np.searchsorted(in_order, asked[order])
    found = np.empty(len(asked), np.bool_)
    found[order] = in_order[np.minimum(place, len(known) - 1)] == asked[order]
    return found


def count_distinct(values: NDArray[np.uint64] | NDArray[np.int32]) -> int:
    """Count the different values."""
    in_order = np.sort(values)
    return int(np.count_nonzero(in_order[1:] != in_order[:-1])) + bool(len(values))


def count_source(name: str, lists: Sequence[TrainList]) -> SourceCount:
    """Count the lines of some lists together."""
    label = np.concatenate([found.label for found in lists])
    names = np.concatenate([found.names for found in lists])
    paths = np.concatenate([found.listed for found in lists])
    query = np.concatenate([found.query for found in lists])
    first = np.unique(mix_labels(names, label), return_index=True)[1]
    shared = np.unique(names[first], return_counts=True)[1]
    return SourceCount(
        source=name,
        entries=len(label),
        files=len(first),
        repeated_lines=len(paths) - count_distinct(paths),
        shared_names=int(np.count_nonzero(shared > 1)),
        queries=count_distinct(query[query > 0]),
        classes=count_distinct(label),
    )


def overwritten_rows(lists: Sequence[TrainList]) -> NDArray[np.bool_]:
    """Return which lines, list after list, repeat a base name of their class, ``(N,)``."""
    keys = np.concatenate([mix_labels(found.names, found.label) for found in lists])
    again = np.ones(len(keys), np.bool_)
    again[np.unique(keys, return_index=True)[1]] = False
    return again
