"""Digests of every picture's bytes, which ``harness data check --images all`` writes.

They are stored below the home, not beside the pictures: data sets are often shared and read-only,
and a digest is valid only for the file times on this machine.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError
from harness.picture_store import PictureStore
from harness.store.columns_file import load_columns, save_columns
from harness.terminal import note, visible

DIGEST_BYTES = 16
_NAME_BYTES = 8
_PART = 100_000


class _Seen(Protocol):
    """Bytes and time of each picture's file, ``(N,)``."""

    @property
    def size(self) -> NDArray[np.int32]: ...
    @property
    def mtime_ns(self) -> NDArray[np.int64]: ...


class _Named(Protocol):
    """A store that returns names as bytes."""

    def __len__(self) -> int: ...
    def raw_name(self, row: int) -> bytes: ...


class _Digested(NamedTuple):
    """The digests of a split, with the hash of each name, size and time; sorted by name."""

    name: NDArray[np.uint64]
    size: NDArray[np.int32]
    mtime_ns: NDArray[np.int64]
    digest: NDArray[np.uint8]


def digest_of(data: bytes) -> bytes:
    """Return the digest of a picture's file: the first 16 bytes of its SHA-256."""
    return hashlib.sha256(data).digest()[:DIGEST_BYTES]  # most processors compute it in hardware


def digests_file(home: Path, root: Path, split: str) -> Path:
    """Return the path of the digests of a split of the data set at ``root``."""
    text = os.fsencode(root.resolve()) + b"\0" + split.encode()
    return home / "inventories" / f"digests-{hashlib.sha256(text).hexdigest()[:32]}.npz"


class DigestingStore:
    """A store that reads through another and records the digest ``(N, 16)`` of each whole read."""

    def __init__(self, store: PictureStore, seen: _Seen) -> None:
        self._store, self._seen = store, seen
        self.digest = np.zeros((len(store), DIGEST_BYTES), np.uint8)
        self.known = seen.size < 0  # a missing picture has no bytes; its digest is zeros

    def __len__(self) -> int:
        return len(self._store)

    def name(self, row: int) -> str:
        """Return the picture's name as in the lists."""
        return self._store.name(row)

    def read(self, row: int) -> bytes:
        """Return the picture's file; raises OSError as the inner store does."""
        data = self._store.read(row)
        self.digest[row] = np.frombuffer(digest_of(data), np.uint8)
        self.known[row] = len(data) == self._seen.size[row]
        return data

    def take(self, rows: NDArray[np.int64]) -> PictureStore:
        """Return a store of these rows ``(M,)``, which records no digests."""
        return self._store.take(rows)


def save_digests(
    path: Path, store: _Named, seen: _Seen, digests: NDArray[np.uint8], known: NDArray[np.bool_]
) -> None:
    """Write the digests ``(N, 16)`` of the ``known`` pictures with the sizes and times ``seen``.

    Digests of other pictures of the split, from an earlier call, are kept.
    """
    names = _names(store)
    table = _Digested(names[known], seen.size[known], seen.mtime_ns[known], digests[known])
    earlier = _table(load_columns(path))
    if earlier is not None:
        others = ~np.isin(earlier.name, names)
        old = earlier._asdict()
        columns = {
            name: np.concatenate([now, old[name][others]]) for name, now in table._asdict().items()
        }
        table = _Digested(**columns)
    order = np.argsort(table.name, kind="stable")
    save_columns(path, {name: column[order] for name, column in table._asdict().items()})


def load_digests(path: Path, root: Path, store: _Named, seen: _Seen) -> NDArray[np.uint8] | None:
    """Return the digest ``(N, 16)`` of each picture, for the sizes and times ``seen`` now.

    Returns None and prints a note if some pictures have no digest.

    Raises:
        DataError: The file of digests is damaged, or a picture's size or time has changed.
    """
    table = _table(load_columns(path))
    remedy = f"run harness data check {root} --images all, or remove {path}"
    if table is None:
        raise DataError(f"{path}, the digests of {root}, is damaged; {remedy}")
    names = _names(store)
    places = np.searchsorted(table.name, names)
    places[places == len(table.name)] = 0
    known = table.name[places] == names if len(table.name) else np.zeros(len(names), np.bool_)
    if not known.all():
        note(
            f"{path} has digests of {np.count_nonzero(known)} of {len(store)} pictures, so the "
            f"sizes identify the data: harness data check {root} --images all adds the others"
        )
        return None
    same = (table.size[places] == seen.size) & (table.mtime_ns[places] == seen.mtime_ns)
    if not same.all():
        rows = np.flatnonzero(~same)
        first = visible(root / os.fsdecode(store.raw_name(int(rows[0]))))
        raise DataError(
            f"{len(rows)} of {len(store)} pictures, the first is {first}, have changed since their "
            f"digests were written; {remedy}"
        )
    digests: NDArray[np.uint8] = table.digest[places]
    return digests


def _table(columns: dict[str, NDArray[Any]] | None) -> _Digested | None:
    if columns is None or set(columns) != set(_Digested._fields):
        return None
    table = _Digested(**columns)
    shapes = {column.shape for column in table[:3]} | {table.digest.shape[:1]}
    return table if len(shapes) == 1 and table.digest.shape[1:] == (DIGEST_BYTES,) else None


def _names(store: _Named) -> NDArray[np.uint64]:
    """A hash of each name, ``(N,)``; it is only used to find the digest."""
    parts = []
    for first in range(0, len(store), _PART):
        names = (store.raw_name(row) for row in range(first, min(first + _PART, len(store))))
        short = (hashlib.blake2b(name, digest_size=_NAME_BYTES).digest() for name in names)
        parts.append(b"".join(short))
    return np.frombuffer(b"".join(parts), "<u8").astype(np.uint64)
