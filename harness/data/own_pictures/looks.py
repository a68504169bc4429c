"""The content of every picture: read and decoded once, then known by size and time of its file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.data.own_pictures.copies import copy_path, is_large, write_copy
from harness.data.own_pictures.formats import as_web_picture, look_at_header
from harness.data.pictures.decode import decode
from harness.data.pictures.digests import DIGEST_BYTES, digest_of
from harness.data.pictures.limits import BrokenImageError
from harness.data.pictures.store import FolderStore
from harness.errors import HarnessError
from harness.machine.cores import cores
from harness.progress import ProgressLine
from harness.store.columns_file import load_columns, save_columns
from harness.store.reading import patiently

_PART = 512
_NAME_BYTES = 16


class Looks(NamedTuple):
    """What was found in N files: bytes, digests ``(N, 16)``, pixels, and whether decode reads them.

    ``problems`` says why a row cannot be used; its other values mean nothing.
    """

    size: NDArray[np.int32]
    digest: NDArray[np.uint8]
    width: NDArray[np.int32]
    height: NDArray[np.int32]
    plain: NDArray[np.bool_]
    problems: dict[int, str]

    def take(self, rows: NDArray[np.int64]) -> Looks:
        """Return what was found in these rows ``(M,)``, none of which may have a problem."""
        size, digest, width, height, plain, _ = self
        return Looks(size[rows], digest[rows], width[rows], height[rows], plain[rows], {})

    def texts(self) -> list[str]:
        """Return the digests in hexadecimal, ``(N,)``."""
        return [row.tobytes().hex() for row in self.digest]


class _Known(NamedTuple):
    """A file's bytes, the time its inode changed, and what was found in it."""

    size: int
    ctime_ns: int
    digest: bytes
    width: int
    height: int
    plain: bool


def look(root: Path, files: Sequence[str], home: Path, *, fresh: bool = False) -> Looks:
    """Read and decode every file of ``root``, or those that changed since an earlier call.

    What is found is kept below ``home``, and so are small copies of large pictures. The time of the
    inode is compared, not that of the content: a program can set the latter back. ``fresh`` reads
    every file again.

    Raises:
        HarnessError: A file cannot be read for a reason that is not its own.
    """
    store = FolderStore(root, files)
    path = home / "inventories" / f"contents-{_hash(os.fsencode(root.resolve())).hex()}.npz"
    kept = {} if fresh else _load(path)
    names = [_hash(store.path(row)) for row in range(len(store))]
    found: list[_Known | str] = []
    read = 0

    def at(row: int) -> tuple[_Known | str, bool]:
        return _look(store, row, kept.get(names[row]), home)

    with ProgressLine() as line, ThreadPoolExecutor(cores(), thread_name_prefix="look") as pool:
        for first in range(0, len(names), _PART):
            line.step("looking at pictures", first, len(names))
            rows = range(first, min(first + _PART, len(names)))
            for one, new in pool.map(at, rows):
                found.append(one)
                read += new
    known = {name: one for name, one in zip(names, found, strict=True) if isinstance(one, _Known)}
    if read:
        with suppress(HarnessError):  # a memory that cannot be kept only costs time
            _save(path, {**kept, **known})
    nothing = _Known(-1, 0, bytes(DIGEST_BYTES), 0, 0, plain=True)
    table = [one if isinstance(one, _Known) else nothing for one in found]
    digests = np.frombuffer(b"".join(one.digest for one in table), np.uint8)
    return Looks(
        size=np.array([one.size for one in table], np.int32),
        digest=digests.reshape(-1, DIGEST_BYTES),
        width=np.array([one.width for one in table], np.int32),
        height=np.array([one.height for one in table], np.int32),
        plain=np.array([one.plain for one in table], np.bool_),
        problems={row: one for row, one in enumerate(found) if isinstance(one, str)},
    )


def _look(
    store: FolderStore, row: int, kept: _Known | None, home: Path
) -> tuple[_Known | str, bool]:
    """Return what is in a file, or why it cannot be used; and whether it was read to know that."""
    name = os.fsdecode(store.path(row))
    try:
        status = patiently(lambda: os.stat(store.path(row)), name.__str__)  # noqa: PTH116 - bytes
        if kept and (kept.size, kept.ctime_ns) == (status.st_size, status.st_ctime_ns):
            return kept, False
        data = patiently(lambda: store.read(row), name.__str__)
    except OSError as error:
        return error.strerror or type(error).__name__, False
    try:
        header = look_at_header(data)
        pixels = decode(data if header.plain else as_web_picture(data))
    except BrokenImageError as error:
        return f"cannot be decoded: {error}", False
    digest = digest_of(data)
    if is_large(header.width, header.height):
        write_copy(copy_path(home, digest), pixels)
    seen = (len(data), status.st_ctime_ns, digest)
    return _Known(*seen, header.width, header.height, header.plain), True


def _hash(name: bytes) -> bytes:
    return hashlib.sha256(name).digest()[:_NAME_BYTES]


def _load(path: Path) -> dict[bytes, _Known]:
    columns = load_columns(path)
    if columns is None:
        return {}
    names = [row.tobytes() for row in columns["name"]]
    digests = [row.tobytes() for row in columns["digest"]]
    others = (columns[name].tolist() for name in ("size", "ctime_ns", "width", "height", "plain"))
    return {
        name: _Known(size, ctime_ns, digest, width, height, plain)
        for name, digest, size, ctime_ns, width, height, plain in zip(
            names, digests, *others, strict=True
        )
    }


def _save(path: Path, known: dict[bytes, _Known]) -> None:
    rows = list(known.values())
    columns: dict[str, NDArray[Any]] = {
        "name": np.frombuffer(b"".join(known), np.uint8).reshape(-1, _NAME_BYTES),
        "digest": np.frombuffer(b"".join(one.digest for one in rows), np.uint8).reshape(
            -1, DIGEST_BYTES
        ),
        "size": np.array([one.size for one in rows], np.int64),
        "ctime_ns": np.array([one.ctime_ns for one in rows], np.int64),
        "width": np.array([one.width for one in rows], np.int32),
        "height": np.array([one.height for one in rows], np.int32),
        "plain": np.array([one.plain for one in rows], np.bool_),
    }
    save_columns(path, columns)
