"""Stores of picture bytes: files in a folder, or members of tar archives."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.data.pictures.strings import Strings
from harness.store.reading import look_for, open_plain, read_range

MAX_PICTURE_BYTES = 64 << 20
# Far below the usual limit of 1,024 open files; any further archive is opened for each read.
MAX_OPEN_TARS = 256
MAX_TAR_BYTES = 1 << 62
T = TypeVar("T", bound=np.generic)


class FolderStore:
    """Pictures in separate files; ``files`` are names relative to ``root``."""

    def __init__(
        self,
        root: Path,
        files: Strings | Iterable[str],
        rows: NDArray[np.int64] | None = None,
    ) -> None:
        self._root = root
        self._files = files if isinstance(files, Strings) else Strings.of(map(os.fsencode, files))
        self._rows = rows
        self._folder = os.fsencode(root)

    def __len__(self) -> int:
        return len(self._files if self._rows is None else self._rows)

    def name(self, row: int) -> str:
        """Return the file's name, relative to the root, for messages."""
        return self.raw_name(row).decode("utf-8", "replace")

    def is_there(self, row: int) -> bool:
        """Return whether the row's file exists and is a plain file."""
        path = os.path.join(self._folder, self.raw_name(row))  # noqa: PTH118 - bytes
        return look_for(path)

    def raw_name(self, row: int) -> bytes:
        """Return the file's name as bytes, as in the file system."""
        return self._files[row if self._rows is None else self._rows.item(row)]

    def path(self, row: int) -> bytes:
        """Return the full path of the file."""
        return os.path.join(self._folder, self.raw_name(row))  # noqa: PTH118 - bytes, and hot

    def look(self, row: int) -> tuple[int, int]:
        """Return size and time; (-1, -1) if not a plain file, raises OSError if unknown."""
        status = os.stat(self.path(row))  # noqa: PTH116 - bytes, and hot
        return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else (-1, -1)

    def folders(self) -> list[bytes]:
        """Return the paths of the folders that hold the files, each once."""
        found = dict.fromkeys(self.path(row).rpartition(b"/")[0] for row in range(len(self)))
        return list(found)

    def names_digest(self) -> bytes:
        """Return a digest of all names, in order."""
        digest = hashlib.sha256()
        rows = () if self._rows is None else (self._rows,)
        for column in (self._files.data, self._files.length, *rows):
            digest.update(len(column).to_bytes(8, "little"))
            digest.update(np.ascontiguousarray(column).data)
        return digest.digest()

    def read(self, row: int) -> bytes:
        """Return the file's bytes; raises OSError if it cannot be read."""
        path = self.path(row)
        descriptor, size = open_plain(path, MAX_PICTURE_BYTES)
        try:
            return read_range(descriptor, size, 0, os.fsdecode(path))
        finally:
            os.close(descriptor)

    def take(self, rows: NDArray[np.int64]) -> FolderStore:
        """Return a store of these rows ``(M,)``; shares the names."""
        return FolderStore(self._root, self._files, _select(self._rows, rows))


class Tar(NamedTuple):
    """An archive, with its size when it was indexed."""

    path: Path
    size: int


class Tars:
    """Reads byte ranges of archives: one descriptor per archive and process, opened when needed.

    No lock is needed: ``pread`` does not move a shared position, so threads and forked processes
    can read concurrently. If two threads open the same archive, one closes its descriptor again.
    """

    def __init__(self, tars: Sequence[Tar]) -> None:
        self._tars = tuple(tars)
        self._open: dict[int, int] = {}

    def __reduce__(self) -> tuple[type[Tars], tuple[Sequence[Tar]]]:
        return Tars, (self._tars,)  # a descriptor is not valid in another process

    def __del__(self) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)

    def __getitem__(self, shard: int) -> Tar:
        return self._tars[shard]

    def times(self) -> list[int]:
        """Return the current time of each archive in nanoseconds; -1 if it is missing."""
        return [tar.path.stat().st_mtime_ns if tar.path.exists() else -1 for tar in self._tars]

    def read(self, shard: int, offset: int, length: int) -> bytes:
        """Return ``length`` bytes from ``offset`` on; raises OSError if they cannot be read."""
        descriptor = self._open.get(shard)
        if descriptor is None:
            return self._read_closed(shard, offset, length)
        try:
            return self._range(descriptor, shard, offset, length)
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
            # The descriptor is invalid after a restart of the file server. It stays open, because
            # other threads may be using its number.
            return self._read_and_close(self._open_tar(shard), shard, offset, length)

    def _read_closed(self, shard: int, offset: int, length: int) -> bytes:
        opened = self._open_tar(shard)
        if len(self._open) < MAX_OPEN_TARS:
            if self._open.setdefault(shard, opened) != opened:
                os.close(opened)
            return self.read(shard, offset, length)
        return self._read_and_close(opened, shard, offset, length)

    def _read_and_close(self, opened: int, shard: int, offset: int, length: int) -> bytes:
        try:
            return self._range(opened, shard, offset, length)
        finally:
            os.close(opened)

    def _range(self, descriptor: int, shard: int, offset: int, length: int) -> bytes:
        path, size = self._tars[shard]
        if not 0 <= length <= MAX_PICTURE_BYTES:
            _refuse_size(length, str(path))
        if offset + length > size:
            raise OSError(errno.EINVAL, f"ends inside the picture at offset {offset}", str(path))
        return read_range(descriptor, length, offset, str(path))

    def _open_tar(self, shard: int) -> int:
        if not 0 <= shard < len(self._tars):
            raise OSError(errno.ESTALE, f"the index has no archive {shard}; index it again")
        path, size = self._tars[shard]
        try:
            descriptor, found = open_plain(os.fsencode(path), MAX_TAR_BYTES)
        except FileNotFoundError as error:
            # Not FileNotFoundError, which would mean a broken picture: the whole archive is gone.
            raise OSError(errno.ESTALE, "was removed after it was indexed", str(path)) from error
        if found != size:
            os.close(descriptor)
            raise OSError(
                errno.ESTALE, f"has {found} bytes, {size} when indexed; index it again", str(path)
            )
        return descriptor


class TarColumns(NamedTuple):
    """Where each row's bytes are: archive (-1: in none), offset and length, each ``(N,)``."""

    shard: NDArray[np.int16]
    offset: NDArray[np.int64]
    length: NDArray[np.int32]


class TarStore:
    """Pictures in tar archives, read without unpacking; the columns may be memory-mapped."""

    def __init__(
        self,
        tars: Tars,
        columns: TarColumns,
        names: Strings,
        rows: NDArray[np.int64] | None = None,
    ) -> None:
        self._tars, self._columns, self._names, self._rows = tars, columns, names, rows

    def __len__(self) -> int:
        return len(self._columns.shard if self._rows is None else self._rows)

    def name(self, row: int) -> str:
        """Return the picture's name as in the lists, for messages."""
        return self.raw_name(row).decode("utf-8", "replace")

    def raw_name(self, row: int) -> bytes:
        """Return the picture's name as in the lists, as bytes."""
        return self._names[self._place(row)]

    def sizes(self) -> NDArray[np.int32]:
        """Return the bytes of each member, ``(N,)``; -1 for a row that is in no archive."""
        shard, length = self._column(self._columns.shard), self._column(self._columns.length)
        # With millions of rows, return the mapped column itself: it costs no memory.
        return length if (shard >= 0).all() else np.where(shard < 0, np.int32(-1), length)

    def times(self) -> NDArray[np.int64]:
        """Return the current time of each row's archive, ``(N,)``; -1 if it is in none."""
        times = np.array([*self._tars.times(), -1], np.int64)
        return times[self._column(self._columns.shard)]

    def read(self, row: int) -> bytes:
        """Return the member's bytes; raises OSError if they cannot be read."""
        place = self._place(row)
        return self._bytes(place, self._columns.length.item(place))

    def start(self, row: int, size: int) -> bytes:
        """Return the member's first ``size`` bytes, or all if it has fewer."""
        place = self._place(row)
        return self._bytes(place, min(size, self._columns.length.item(place)))

    def where(self, row: int) -> str:
        """Return archive, offset and name of the member, for messages."""
        place = self._place(row)
        shard = self._columns.shard.item(place)
        if shard < 0:
            return f"{self.name(row)}, not in any archive,"
        return (
            f"{self._tars[shard].path}, offset {self._columns.offset.item(place)}, {self.name(row)}"
        )

    def take(self, rows: NDArray[np.int64]) -> TarStore:
        """Return a store of these rows ``(M,)``; shares the columns and the open archives."""
        return TarStore(self._tars, self._columns, self._names, _select(self._rows, rows))

    def _bytes(self, place: int, length: int) -> bytes:
        shard = self._columns.shard.item(place)
        if shard < 0:
            name = self._names[place].decode("utf-8", "replace")
            raise FileNotFoundError(errno.ENOENT, "not in any indexed archive", name)
        return self._tars.read(shard, self._columns.offset.item(place), length)

    def _column(self, column: NDArray[T]) -> NDArray[T]:
        return column if self._rows is None else column[self._rows]

    def _place(self, row: int) -> int:
        return row if self._rows is None else self._rows.item(row)


def _select(before: NDArray[np.int64] | None, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    chosen: NDArray[np.int64] = rows if before is None else before[rows]
    return chosen


def _refuse_size(size: int, path: str) -> NoReturn:
    raise OSError(errno.EFBIG, f"{size} bytes are too many for a picture", path)
