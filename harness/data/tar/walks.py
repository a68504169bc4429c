"""Walks archives piece by piece and stores the pieces, so that a killed indexing can resume."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.data.pictures.strings import Strings
from harness.data.tar.headers import TarWalk
from harness.errors import DataError
from harness.store.files import atomic_write

PIECE = 100_000  # members


class Archive(NamedTuple):
    """An archive on disk: path, bytes and time."""

    path: Path
    size: int
    mtime_ns: int


class Piece(NamedTuple):
    """Some members of an archive, in its order: names, and ``(M,)`` offsets and sizes in bytes.

    The next piece begins at ``position``; ``ended`` marks the last one. ``skipped`` counts the
    members that are not plain files in all pieces so far.
    """

    names: Strings
    offset: NDArray[np.int64]
    size: NDArray[np.int64]
    position: int
    ended: bool
    skipped: dict[str, int]


def look(path: Path) -> Archive:
    """Return size and time of an archive; raises DataError if it is missing."""
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    return Archive(path, status.st_size, status.st_mtime_ns)


def walk_pieces(
    tar: Archive, kept: Path, progress: Callable[[int, int], object], *, piece: int = PIECE
) -> Iterator[Piece]:
    """Yield the members of ``tar``: stored pieces from ``kept``, the others from the archive.

    ``progress`` is called with (members so far, position). Every new piece is written to a folder
    in ``kept`` whose name is a hash of the archive's name, size and time.

    Raises:
        DataError: As for ``TarWalk``, or the folder cannot be written.
    """
    folder = kept / _key(tar)
    position, members, number, ended = 0, 0, 0, False
    skipped: dict[str, int] = {}
    while not ended:
        path = folder / f"{number:06d}.npz"
        found = _load(path, position)
        if found is None:
            found = _walk(tar.path, position, skipped, piece)
            _save(path, found)
        yield found
        position, ended, skipped = found.position, found.ended, found.skipped
        members += len(found.names)
        number += 1
        progress(members, position)


def forget_others(tars: Sequence[Archive], kept: Path) -> None:
    """Remove the pieces of archives that are gone or have changed."""
    wanted = {_key(tar) for tar in tars}
    for folder in kept.iterdir() if kept.is_dir() else ():
        if folder.name not in wanted:
            shutil.rmtree(folder, ignore_errors=True)


def _key(tar: Archive) -> str:
    text = f"{tar.path.name}|{tar.size}|{tar.mtime_ns}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:24]


def _walk(path: Path, start: int, before: dict[str, int], piece: int) -> Piece:
    walk = TarWalk(path, start)
    names: list[bytes] = []
    places: list[int] = []
    sizes: list[int] = []
    for name, offset, size in islice(walk, piece):
        names.append(name)
        places.append(offset)
        sizes.append(size)
    walk.skipped.update(before)
    return Piece(
        Strings.of(names),
        np.array(places, np.int64),
        np.array(sizes, np.int64),
        walk.position,
        len(names) < piece,
        dict(walk.skipped),
    )


def _save(path: Path, piece: Piece) -> None:
    arrays: dict[str, Any] = {
        "names": piece.names.data,
        "lengths": piece.names.length,
        "offset": piece.offset,
        "size": piece.size,
        "state": np.array([piece.position, piece.ended], np.int64),
        "skipped": np.frombuffer(json.dumps(piece.skipped).encode(), np.uint8),
    }
    atomic_write(path, lambda file: np.savez(file, **arrays))


def _load(path: Path, position: int) -> Piece | None:
    """Return the stored piece; None if it is missing or damaged (zip has checksums)."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            names = Strings.from_lengths(kept["names"], kept["lengths"])
            after, ended = kept["state"].tolist()
            piece = Piece(
                names,
                kept["offset"],
                kept["size"],
                after,
                bool(ended),
                json.loads(kept["skipped"].tobytes()),
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    whole = len(names) == len(piece.offset) == len(piece.size) and after >= position
    return piece if whole else None
