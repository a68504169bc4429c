"""A submission's files copied out of a zip or a folder that nobody has looked at yet.

Nothing of it is trusted: names, sizes, kinds of files and the zip's own tables are checked before a
byte is written, and no more bytes are read than were announced.
"""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from harness.errors import HarnessError
from harness.store.files import unwritable
from harness.store.origins import ORIGIN
from harness.store.reading import open_plain
from harness.submissions.names import (
    LONGEST_SHOWN,
    MOST_FILES,
    MOST_WHOLE,
    check_file,
    check_whole,
    id_of,
    is_folder,
)
from harness.terminal import visible

BLOCK = 1 << 20  # bytes
_TAIL, _TAIL_BYTES = b"PK\x05\x06", 22  # what every zip ends with, if it has no comment
_MOST_TABLE = 16 << 20  # bytes of a zip's table of contents
_ENCRYPTED = 0x41  # flags of encryption, the old and the strong one
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

HOW_TO_PACK = "pack runs with harness export"


def unpack(source: Path, into: Path) -> str:
    """Copy a submission's files to ``into/records``; return a sha256 of all that was read.

    Raises HarnessError that names what is wrong with the zip or the folder, or that the disk is
    full; what was copied until then is the caller's to remove.
    """
    if source.is_dir():
        return _from_folder(source, into)
    try:
        descriptor, size = open_plain(source, MOST_WHOLE)
    except OSError as error:
        raise HarnessError(f"it cannot be read: {error.strerror or error}") from error
    with os.fdopen(descriptor, "rb") as file:
        with open_zip(file, size) as whole:
            _from_zip(whole, into)
        file.seek(0)
        return _digest(iter(lambda: file.read(BLOCK), b""))


@contextmanager
def open_zip(file: IO[bytes], size: int) -> Iterator[zipfile.ZipFile]:
    """Open a zip of ``size`` bytes; its members are still to be looked at with ``check_kind``.

    Raises HarnessError if it is not one whole zip, or turns out to be damaged while it is read.
    """
    _check_tail(file, size)
    try:
        with zipfile.ZipFile(file) as whole:
            yield whole
    except (
        *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, ValueError),
        *(NotImplementedError, RuntimeError),  # what it needs and Python does not have
    ) as error:
        reason = visible(error, LONGEST_SHOWN)
        raise HarnessError(f"it is cut short or damaged: {reason}") from error


def _check_tail(file: IO[bytes], size: int) -> None:
    """Refuse what is not one whole zip, or has a table of contents that would fill the memory."""
    file.seek(0)
    if file.read(4) not in (b"PK\x03\x04", _TAIL):
        raise HarnessError("it is not a zip")
    file.seek(max(0, size - _TAIL_BYTES))
    tail = file.read(_TAIL_BYTES)
    if not (tail.startswith(_TAIL) and tail.endswith(b"\0\0")):
        raise HarnessError("it is cut short, or has bytes after its end")
    files, table = (int.from_bytes(tail[a:b], "little") for a, b in ((10, 12), (12, 16)))
    if files > MOST_FILES or table > _MOST_TABLE:
        raise HarnessError(f"it has more than {MOST_FILES} files, or names that are too long")
    file.seek(max(0, size - _TAIL_BYTES - 20))
    if file.read(4) == b"PK\x06\x07":  # the table may then be anywhere, and of any size
        raise HarnessError("it is a zip of the 64-bit kind; pack it without")
    file.seek(0)


def _from_zip(whole: zipfile.ZipFile, into: Path) -> None:
    infos = whole.infolist()
    for info in infos:
        check_kind(info)
        if info.is_dir() and (info.file_size or not is_folder(info.filename)):
            raise HarnessError(f"{info.filename!r} is not a folder of a submission")
    files = [info for info in infos if not info.is_dir()]
    for info in files:
        check_file(info.filename, info.file_size)
    _check_names([info.filename for info in files])
    check_whole([info.file_size for info in files])
    for info in files:
        with whole.open(info) as member:
            _copy(member, into / info.filename, info.file_size)


def check_kind(info: zipfile.ZipInfo) -> None:
    """Raise HarnessError if a member is not a plain file or folder under its own name."""
    name = visible(repr(info.orig_filename), LONGEST_SHOWN)
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        raise HarnessError(f"{name} is a link, not a file")
    if kind not in (0, stat.S_IFDIR if info.is_dir() else stat.S_IFREG):
        raise HarnessError(f"{name} is not a plain file")
    if info.filename != info.orig_filename:
        raise HarnessError(f"{name} is not the name of a file of a submission")
    if info.flag_bits & _ENCRYPTED:
        raise HarnessError(f"{name} is encrypted")
    if info.compress_type not in _METHODS:
        raise HarnessError(
            f"{name} is packed by method {info.compress_type}, not stored or deflated"
        )


def _check_names(names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name.casefold() in seen:  # on some disks two names that differ in case are one file
            raise HarnessError(f"{name} is in it twice")
        seen.add(name.casefold())
    ids = {id_of(name) for name in names} - {None}
    if not ids:
        raise HarnessError(f"it contains no record; {HOW_TO_PACK}")
    for name in names:
        if id_of(name) is None and name.split("/")[1] not in ids:
            raise HarnessError(f"{name} belongs to no record in it")


def _from_folder(source: Path, into: Path) -> str:
    """Copy a folder like HOME/records, or one that has a folder ``records``; links are refused."""
    root = source / "records" if os.path.lexists(source / "records") else source
    if root.is_symlink():
        raise HarnessError("records is a link, not a folder")
    try:
        found = sorted(_listed(root))
        sizes = {name: path.lstat().st_size for name, path in found}
    except OSError as error:
        raise HarnessError(f"cannot read {error.filename}: {error.strerror}") from error
    for name, size in sizes.items():
        check_file(name, size)
    _check_names(list(sizes))
    check_whole(list(sizes.values()))
    read = hashlib.sha256()
    for name, path in found:
        with os.fdopen(_open_no_link(path, name), "rb") as file:
            read.update(f"{name} {_copy(file, into / name, sizes[name])}\n".encode())
    return read.hexdigest()


def _listed(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield the records of a folder and all files beside them, by their names in a submission."""
    for path in sorted(root.glob("*.json")):
        yield f"records/{path.name}", path
        beside = path.with_suffix("")
        if beside.is_symlink():
            raise HarnessError(f"records/{beside.name} is a link, not a folder")
        for file in sorted(beside.iterdir()) if beside.is_dir() else ():
            if file.name != ORIGIN:  # the home that takes it writes its own
                yield f"records/{beside.name}/{file.name}", file


def _open_no_link(path: Path, name: str) -> int:
    if path.is_symlink():
        raise HarnessError(f"{name} is a link, not a file")
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise HarnessError(f"{name} is not a plain file")
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise HarnessError(f"cannot read {name}: {error.strerror}") from error


def _copy(source: IO[bytes], target: Path, size: int) -> str:
    """Copy exactly ``size`` bytes to a new file; return their sha256."""
    left, read = size, hashlib.sha256()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        file = target.open("xb")
    except OSError as error:
        raise HarnessError(unwritable(target, error)) from error
    with file:
        while data := source.read(min(BLOCK, left + 1)):
            left -= len(data)
            if left < 0:
                break
            read.update(data)
            try:
                file.write(data)
            except OSError as error:
                raise HarnessError(unwritable(target, error)) from error
    if left:
        raise HarnessError(
            f"records/{target.name} does not have the {size} bytes that the zip announces"
        )
    return read.hexdigest()


def _digest(blocks: Iterator[bytes]) -> str:
    read = hashlib.sha256()
    for block in blocks:
        read.update(block)
    return read.hexdigest()
