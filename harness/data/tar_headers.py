"""Walks the headers of a tar archive without reading what lies between them.

Knows POSIX ustar and pax, GNU's long names and large sizes, and the format before them. What is
rarer, sparse files, is left to the standard library's ``tarfile``.
**Source:** POSIX.1-2017, "pax Interchange Format" and "ustar Interchange Format"; GNU tar manual,
"Basic Tar Format".
"""

from __future__ import annotations

import io
import os
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

from harness.errors import DataError

BLOCK = 512
MAX_HEADER_BYTES = 1 << 20  # of one long name or pax header; real ones have some hundred bytes
_ZEROS = bytes(BLOCK)
_BLANK = b" " * 8
_ADLER = 65_521
_PLAIN = ord("0")
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
}
# Whatever their size field says, nothing follows their header.
_BODILESS = {
    b"1": "hard links",
    b"2": "symbolic links",
    b"3": "devices",
    b"4": "devices",
    b"5": "folders",
    b"6": "pipes",
}


class _Head(NamedTuple):
    """A member's header, where it lies, and what the headers before it say instead of it."""

    header: bytes
    at: int
    name: bytes | None = None
    size: int | None = None


class TarWalk:
    """Iterates over ``(name, offset, size)`` of the plain files in an archive.

    ``name`` is bytes without a leading ``./``; the file's bytes lie from ``offset`` on. After each
    step ``position`` is where the next header begins, at which another walk may ``start``;
    ``skipped`` counts what is no plain file, by kind. Zeros between concatenated archives are
    passed over, as by ``tar --ignore-zeros``.

    Raises:
        DataError: The archive is compressed, damaged, cut short, or a name points outside of it;
            the message names the archive and the offset.
    """

    def __init__(self, path: Path, start: int = 0) -> None:
        self.position = start
        self.size = 0
        self.skipped: Counter[str] = Counter()
        self._path = path
        self._descriptor = -1

    def __iter__(self) -> Iterator[tuple[bytes, int, int]]:
        try:
            with self._path.open("rb", buffering=0) as file:
                self._descriptor = file.fileno()
                self.size = os.fstat(self._descriptor).st_size
                if not self.size:
                    raise DataError(f"{self._path} is empty: download it again")
                yield from self._members(file)
        except OSError as error:
            raise DataError(
                f"{self._path}, offset {self.position}: cannot be read: {error.strerror or error}"
            ) from error
        except ValueError:
            self._damaged(self.position)

    def _members(self, file: io.FileIO) -> Iterator[tuple[bytes, int, int]]:
        while header := self._next_header():
            at, own, size = self.position, None, None
            kind = _PLAIN
            if header[156] != _PLAIN:
                header, at, own, size = self._behind_extras(header)
                kind = header[156]
            if size is None:
                size = _number(header[124:136])
            name = _name(header) if own is None else own
            data = at + BLOCK
            if kind == _PLAIN or self._is_plain(header, name):
                self._check(name, data, size)
                self.position = data + (size + BLOCK - 1) // BLOCK * BLOCK
                while name.startswith(b"./"):
                    name = name[2:].lstrip(b"/")
                yield name, data, size
            elif header[156:157] == b"S" or size < 0:
                self._skip_by_tarfile(file)
            else:
                self._skip(header[156:157], name, data, size)

    def _next_header(self) -> bytes:
        """The header at ``position``, which moves past zeros; nothing at the archive's end."""
        header = self._pread(self.position)
        if _is_right(header):
            return header
        zeros = self.position
        while self.position < self.size and not any(header):
            self.position += len(header)
            header = self._pread(self.position)
        if self.position < self.size:
            return self._right(header, self.position)
        if self.position == zeros:
            raise DataError(
                f"{self._path}, offset {zeros}: the archive stops without its end mark, so it was "
                f"cut short: download it again (if it is whole: truncate -s +1024 {self._path})"
            )
        return b""
