"""The sizes or digests of a split's pictures, which are part of the data's fingerprint.

Equal lists do not make equal data: the same lists exist with pictures of 256 pixels and with the
original ones. So one pass reads the size of every picture, and the sizes enter the fingerprint;
``harness data check --images all`` writes digests, which then replace the sizes. Times never enter
a fingerprint: a copy of the same files on another machine is the same data.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.data.pictures.digests import digest_of, digests_file, load_digests
from harness.data.pictures.names import Names
from harness.data.pictures.store import MAX_PICTURE_BYTES, FolderStore, TarStore
from harness.errors import DataError
from harness.picture_store import PictureStore
from harness.samples import Samples
from harness.store.columns_file import load_columns, save_columns
from harness.store.reading import patiently
from harness.store.record import digest
from harness.terminal import note, visible

# Up to this number every file is looked at each time (under a second); above it sizes are cached.
ALWAYS_UP_TO = 200_000
SPREAD = 2_000  # files that are looked at again if the sizes are cached
INVENTORIES = "inventories"  # below the home
_PART = 1_000
_SLOW_SECONDS = 100e-6  # per file; slower means a network file system, and threads help
_THREADS = 16


class Inventory(NamedTuple):
    """Bytes and time of each picture's file, ``(N,)``; both are -1 for a missing picture."""

    size: NDArray[np.int32]
    mtime_ns: NDArray[np.int64]


def store_of(samples: Samples) -> PictureStore:
    """Return ``samples.store`` if it is set, otherwise a store of the files under their root."""
    if samples.store is not None:
        return samples.store
    if isinstance(samples.files, Names):
        return samples.files.store(samples.root)
    return FolderStore(samples.root, samples.files.tolist())


def with_pictures(samples: Samples, home: Path) -> Samples:
    """Return ``samples`` with a fingerprint that covers the pictures, and a store that checks them.

    Samples with any other kind of store are returned unchanged.

    Raises:
        HarnessError: The size of a file cannot be read.
        DataError: Pictures have changed since their digests were written, or a picture of a split
            that is scored is missing, empty or over 64 MiB.
    """
    store = store_of(samples)
    path = digests_file(home, samples.root, samples.split)
    if isinstance(store, TarStore):
        sizes, remedy = store.sizes(), f"run harness data index {samples.root}"
        found = inventory_of(store) if path.exists() else None
    elif isinstance(store, FolderStore):
        found, kept = _look_at_files(store, samples.root, home)
        sizes = found.size
        remedy = f"remove {kept} and start the same command again" if kept else _AGAIN
    else:
        return samples
    if samples.split != "train":
        _refuse_unscorable(samples, store, sizes)
    digests = load_digests(path, samples.root, store, found) if found and path.exists() else None
    what, column = ("sizes", sizes) if digests is None else ("digests", digests)
    covered = hashlib.sha256(np.ascontiguousarray(column).data).hexdigest()
    return samples.assign(
        fingerprint=digest([samples.fingerprint, what, covered]),
        store=SeenStore(store, samples.root, sizes, digests, remedy),
    )


def _refuse_unscorable(samples: Samples, store: PictureStore, sizes: NDArray[np.int32]) -> None:
    """Refuse a picture that would stop the run at scoring, before an epoch is trained."""
    bad = np.flatnonzero((sizes <= 0) | (sizes > MAX_PICTURE_BYTES))
    if not len(bad):
        return
    row = int(bad[0])
    size = sizes.item(row)
    what = "is missing" if size < 0 else f"has {size} bytes"
    line = samples.files.where(row) if isinstance(samples.files, Names) else ""
    more = f", the first of {len(bad)} such pictures" if len(bad) > 1 else ""
    raise DataError(
        f"{line + ': ' if line else ''}{visible(samples.root / store.name(row))} {what}{more}; "
        f"{samples.split} cannot be scored without it: fetch it again"
    )


class SeenStore:
    """Returns a picture only if it has not changed since the run began.

    ``sizes`` is ``(N,)``, -1 for a picture that was missing; ``digests`` is ``(N, 16)``.
    """

    def __init__(
        self,
        store: PictureStore,
        root: Path,
        sizes: NDArray[np.int32],
        digests: NDArray[np.uint8] | None = None,
        remedy: str = "",
    ) -> None:
        self._store, self._root = store, root
        self.sizes, self._digests, self._remedy = sizes, digests, remedy

    def __len__(self) -> int:
        return len(self._store)

    def name(self, row: int) -> str:
        """Return the picture's name as in the lists."""
        return self._store.name(row)

    def read(self, row: int) -> bytes:
        """Return the picture's file.

        Raises:
            OSError: As the inner store does.
            DataError: The picture has changed since the run began.
        """
        seen = self.sizes.item(row)
        try:
            data = self._store.read(row)
        except OSError as error:
            grown = error.errno == errno.EFBIG and seen <= MAX_PICTURE_BYTES
            if seen >= 0 and (grown or isinstance(error, FileNotFoundError)):
                raise self._changed(row, error.strerror or str(error)) from error
            raise
        if len(data) != seen:
            raise self._changed(row, f"{len(data)} bytes now")
        if self._digests is not None and digest_of(data) != self._digests[row].tobytes():
            raise self._changed(row, "same size now, different content")
        return data

    def take(self, rows: NDArray[np.int64]) -> SeenStore:
        """Return a store of these rows ``(M,)``."""
        digests = None if self._digests is None else self._digests[rows]
        store = self._store.take(rows)
        return SeenStore(store, self._root, self.sizes[rows], digests, self._remedy)

    def _changed(self, row: int, now: str) -> DataError:
        seen = self.sizes.item(row)
        then = "missing" if seen < 0 else f"{seen} bytes"
        return DataError(
            f"picture {visible(self._root / self._store.name(row))} has changed since the run "
            f"started ({then} then, {now}); {self._remedy}"
        )


def inventory_of(store: FolderStore | TarStore) -> Inventory:
    """Return size and time of all pictures, from their files or from the index and its archives."""
    if isinstance(store, TarStore):
        return Inventory(store.sizes(), store.times())
    return look_at(store)


def look_at(store: FolderStore, rows: NDArray[np.int64] | None = None) -> Inventory:
    """Read size and time of each file, or of those of ``rows``, from the file system.

    Raises:
        HarnessError: The size of a file cannot be read for a reason other than a missing file.
    """
    places = np.arange(len(store)) if rows is None else rows
    size, mtime_ns = np.empty(len(places), np.int32), np.empty(len(places), np.int64)

    def fill(first: int) -> None:
        found = [_look(store, row) for row in places[first : first + _PART].tolist()]
        part = np.array(found, np.int64).reshape(-1, 2)
        size[first : first + _PART] = np.minimum(part[:, 0], np.iinfo(np.int32).max)
        mtime_ns[first : first + _PART] = part[:, 1]

    firsts = range(0, len(places), _PART)
    began = time.perf_counter()
    for first in firsts[:1]:
        fill(first)
    if time.perf_counter() - began > _SLOW_SECONDS * min(len(places), _PART):
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="look") as pool:
            _run(pool.map(fill, firsts[1:]))
    else:
        _run(map(fill, firsts[1:]))
    return Inventory(size, mtime_ns)


def _run(calls: Iterable[None]) -> None:
    for _ in calls:
        pass


def _look(store: FolderStore, row: int) -> tuple[int, int]:
    try:
        return patiently(lambda: store.look(row), lambda: os.fsdecode(store.path(row)))
    except OSError:
        return -1, -1


def _look_at_files(store: FolderStore, root: Path, home: Path) -> tuple[Inventory, Path | None]:
    """Look at all files, or if there are many, use the cached sizes and check a spread of them.

    Also returns the path of the cached inventory, or None.
    """
    if len(store) <= ALWAYS_UP_TO:
        return look_at(store), None
    path = home / INVENTORIES / f"sizes-{_key(store, root)}.npz"
    kept = load_columns(path)
    if kept is not None and _is_current(kept, store):
        return Inventory(kept["size"], kept["mtime_ns"]), path
    note(f"looking at the sizes of {len(store):,} pictures in {root}, once")
    # Folder times are read first, so that a change during the pass is detected later.
    folders = store.folders()
    times = _folder_times(folders)
    found = look_at(store)
    about = json.dumps([os.fsdecode(folder) for folder in folders]).encode()
    columns: dict[str, NDArray[Any]] = {"size": found.size, "mtime_ns": found.mtime_ns}
    columns |= {"folders": np.frombuffer(about, np.uint8), "folder_times": times}
    save_columns(path, columns)
    return found, path


def _key(store: FolderStore, root: Path) -> str:
    text = os.fsencode(root.resolve()) + b"\0" + store.names_digest()
    return hashlib.sha256(text).hexdigest()[:32]


def _is_current(kept: dict[str, NDArray[Any]], store: FolderStore) -> bool:
    if len(kept["size"]) != len(store):
        return False
    folders = [os.fsencode(folder) for folder in json.loads(kept["folders"].tobytes())]
    if not np.array_equal(_folder_times(folders), kept["folder_times"]):
        return False
    rows = np.unique(np.linspace(0, len(store) - 1, SPREAD).astype(np.int64))
    now = look_at(store, rows)
    same = now.size == kept["size"][rows]
    return bool(np.all(same & (now.mtime_ns == kept["mtime_ns"][rows])))


def _folder_times(folders: list[bytes]) -> NDArray[np.int64]:
    times = []
    for folder in folders:
        try:
            times.append(os.stat(folder).st_mtime_ns)  # noqa: PTH116 - bytes
        except OSError:
            times.append(-1)
    return np.array(times, np.int64)


_AGAIN = "start the same command again, which reads the sizes of all pictures again"
