"""Digests of every picture's bytes, which ``harness data check --images all`` writes.

They lie below the home, not beside the pictures: data sets are often shared and read-only, and the
times that tell whether a digest still holds are those of the files on this machine.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from harness.data.columns_file import load_columns, save_columns
from harness.errors import DataError
from harness.terminal import visible

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
    """A store whose names can be had as bytes."""

    def __len__(self) -> int: ...
    def raw_name(self, row: int) -> bytes: ...


class _Digested(NamedTuple):
    """The digests of a split: of each name, size, time and bytes; sorted by name."""

    name: NDArray[np.uint64]
    size: NDArray[np.int32]
    mtime_ns: NDArray[np.int64]
    digest: NDArray[np.uint8]


def digest_of(data: bytes) -> bytes:
    """Return the 16 bytes that stand for a picture's file."""
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def digests_file(home: Path, root: Path, split: str) -> Path:
    """Return where the digests of a split of the data set at ``root`` lie."""
    text = os.fsencode(root.resolve()) + b"\0" + split.encode()
    return home / "inventories" / f"digests-{hashlib.sha256(text).hexdigest()[:32]}.npz"


def keep_digests(path: Path, store: _Named, seen: _Seen, digests: NDArray[np.uint8]) -> None:
    """Write the digests ``(N, 16)`` of a split's pictures as they were ``seen``."""
    names = _names(store)
    order = np.argsort(names, kind="stable")
    table = _Digested(names[order], seen.size[order], seen.mtime_ns[order], digests[order])
    save_columns(path, table._asdict())


def read_digests(path: Path, root: Path, store: _Named, seen: _Seen) -> NDArray[np.uint8]:
    """Return the digest ``(N, 16)`` of each picture as it is ``seen`` now.

    Raises:
        DataError: The file of digests is damaged, or a picture was not there when it was written or
            had another size or time.
    """
    columns = load_columns(path)
    table = _table(columns) if columns is not None else None
    mending = f"run harness data check {root} --images all, or remove {path}"
    if table is None:
        raise DataError(f"{path}, the digests of {root}, is damaged; {mending}")
    names = _names(store)
    places = np.searchsorted(table.name, names)
    places[places == len(table.name)] = 0
    known = table.name[places] == names if len(table.name) else np.zeros(len(names), np.bool_)
    if not known.all():
        raise _other(root, store, ~known, f"were not there when {_WRITTEN}; {mending}")
    same = (table.size[places] == seen.size) & (table.mtime_ns[places] == seen.mtime_ns)
    if not same.all():
        raise _other(root, store, ~same, f"have changed since {_WRITTEN}; {mending}")
    digests: NDArray[np.uint8] = table.digest[places]
    return digests


def _other(root: Path, store: _Named, other: NDArray[np.bool_], what: str) -> DataError:
    rows = np.flatnonzero(other)
    first = visible(root / os.fsdecode(store.raw_name(int(rows[0]))))
    return DataError(f"{len(rows)} of {len(store)} pictures, the first is {first}, {what}")


def _table(columns: dict[str, NDArray[Any]]) -> _Digested | None:
    if set(columns) != set(_Digested._fields):
        return None
    table = _Digested(**columns)
    shapes = {column.shape for column in table[:3]} | {table.digest.shape[:1]}
    return table if len(shapes) == 1 and table.digest.shape[1:] == (DIGEST_BYTES,) else None


def _names(store: _Named) -> NDArray[np.uint64]:
    """A number for each name, ``(N,)``; it only finds the digest, which proves itself."""
    parts = []
    for first in range(0, len(store), _PART):
        names = (store.raw_name(row) for row in range(first, min(first + _PART, len(store))))
        short = (hashlib.blake2b(name, digest_size=_NAME_BYTES).digest() for name in names)
        parts.append(b"".join(short))
    return np.frombuffer(b"".join(parts), "<u8").astype(np.uint64)


_WRITTEN = "their digests were written"
