"""The store of a user's own pictures: every picture as ``decode`` reads it, upright and small."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.data.own_pictures.copies import copy_path, small_copy
from harness.data.own_pictures.formats import as_web_picture
from harness.data.pictures.inventory import SeenStore
from harness.data.pictures.limits import BrokenImageError


class Reading(NamedTuple):
    """How each of N pictures is read: ``plain`` as it is, ``large`` from its copy; by ``digest``.

    ``plain`` and ``large`` are ``(N,)``, ``digest`` is ``(N, 16)``.
    """

    plain: NDArray[np.bool_]
    large: NDArray[np.bool_]
    digest: NDArray[np.uint8]


class UprightStore:
    """Hands out pictures that ``decode`` reads; a broken one stays as it is, for its message.

    Copies of large pictures are below ``home``; one that is missing is made again.
    """

    def __init__(self, store: SeenStore, reading: Reading, home: Path) -> None:
        self._store, self._reading, self._home = store, reading, home

    def __len__(self) -> int:
        return len(self._store)

    def name(self, row: int) -> str:
        """Return the picture's name."""
        return self._store.name(row)

    def read(self, row: int) -> bytes:
        """Return the picture's file, its copy or the BMP made of it; raises as the inner store."""
        plain = bool(self._reading.plain[row])
        if not self._reading.large[row]:
            data = self._store.read(row)
            return data if plain else _or_broken(data)
        path = copy_path(self._home, self._reading.digest[row].tobytes())
        copy = small_copy(path, None, plain=plain)
        if copy is not None:
            return copy
        data = self._store.read(row)
        try:
            return small_copy(path, data, plain=plain) or data
        except BrokenImageError:
            return data

    def take(self, rows: NDArray[np.int64]) -> UprightStore:
        """Return a store of these rows ``(M,)``."""
        plain, large, digest = self._reading
        chosen = Reading(plain[rows], large[rows], digest[rows])
        return UprightStore(self._store.take(rows), chosen, self._home)


def _or_broken(data: bytes) -> bytes:
    try:
        return as_web_picture(data)
    except BrokenImageError:
        return data
