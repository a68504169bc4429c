"""Writes a planned crawl in WebVision 1.0's layout, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.data.synthweb.draw import Job, Progress, draw_all
from harness.data.synthweb.plan import SOURCES, Crawl, Entry
from harness.data.synthweb.text import write_about
from harness.errors import DataError, HarnessError
from harness.store.files import sync_folder, unwritable, write_text
from harness.store.lock import exclusive_lock
from harness.store.reading import read_plain

MARKER = "synthweb.json"
LINGER_SECONDS = 10.0
MOST_BYTES = 1 << 26  # of a file


def write_crawl(
    root: Path,
    crawl: Crawl,
    about: dict[str, Any],
    *,
    seed: int,
    processes: int,
    progress: Progress | None,
) -> None:
    """Write ``crawl`` to ``root``, which appears only once it is complete.

    ``about`` goes into the marker with the number, the bytes and a digest of the files.

    Raises:
        DataError: The folder cannot be written, or the disk is full; nothing is left behind.
    """
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with exclusive_lock(root.parent / f".{root.name}.lock", "draws the same pictures"):
            if not is_whole(root, about):
                _remove_leftovers(root)
                _write_beside(root, crawl, about, seed, processes, progress)
    except OSError as error:
        raise DataError(unwritable(root, error)) from error


def is_whole(root: Path, about: dict[str, Any]) -> bool:
    """Return whether ``root`` holds the complete data set ``about``.

    Number and bytes of its files are compared each time, their content when the size or time of
    any file has changed since it was last compared. A bit that the disk itself turned changes
    neither. Sets whose marker has no digest are compared by number and bytes alone.

    Raises:
        DataError: The folder has other content, or the data set is damaged.
    """
    if not root.exists() or not any(root.iterdir()):
        return False
    try:
        marker = json.loads(read_plain(root / MARKER, 1 << 20))
    except (OSError, ValueError):
        marker = None
    if not isinstance(marker, dict) or {key: marker.get(key) for key in about} != about:
        raise DataError(
            f"{root} is not the synthweb data set {about}: its {MARKER} is missing or names "
            f"another; move the folder away and start the same command again"
        )
    found = _measure(root)
    if (found.files, found.size) != (marker.get("files"), marker.get("bytes")):
        raise _damaged(
            root,
            f"{marker.get('files')} files of {marker.get('bytes')} bytes were written, "
            f"{found.files} of {found.size} bytes are there",
        )
    if "digest" in marker and _seen(root) != found.stamp:
        if _content(root) != marker["digest"]:
            raise _damaged(root, "the content of a file is not what was written")
        with suppress(HarnessError):  # a folder that cannot be written is compared each time
            write_text(_seen_path(root), found.stamp)
    return True


def _damaged(root: Path, found: str) -> DataError:
    return DataError(
        f"{root} is damaged: {found}; remove the folder and start the same command again to "
        "redraw it"
    )


def _seen_path(root: Path) -> Path:
    return root.with_name(f".{root.name}.seen")


def _seen(root: Path) -> str:
    try:
        return read_plain(_seen_path(root), 1 << 10).decode(errors="replace")
    except OSError:
        return ""


def _write_beside(
    root: Path,
    crawl: Crawl,
    about: dict[str, Any],
    seed: int,
    processes: int,
    progress: Progress | None,
) -> None:
    part = Path(tempfile.mkdtemp(prefix=_prefix(root), suffix=".part", dir=root.parent))
    try:
        _make_folders(part, crawl)
        _write_lists(part, crawl)
        _write_texts(part, crawl, seed)
        draw_all(part, _jobs(crawl), processes, progress)
        found = _measure(part)
        marker = {**about, "files": found.files, "bytes": found.size, "digest": _content(part)}
        _write(part / MARKER, [json.dumps(marker, indent=1) + "\n"])
        part.chmod(0o755)
        part.rename(root)
        sync_folder(root.parent)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _prefix(root: Path) -> str:
    """The prefix has the machine's name: a lock may not cover others on a network file system."""
    return f".{root.name}.{platform.node()}."


def _remove_leftovers(root: Path) -> None:
    """Remove what killed runs left; the lock guarantees that none of them is alive.

    Their workers exit by themselves, but may write a few more pictures first.
    """
    until = time.monotonic() + LINGER_SECONDS
    for part in root.parent.glob(f"{_prefix(root)}*.part"):
        shutil.rmtree(part, ignore_errors=True)
        while part.exists() and time.monotonic() < until:
            time.sleep(0.05)
            shutil.rmtree(part, ignore_errors=True)


class _Measured(NamedTuple):
    """Number and bytes of the files, and a digest of their names, sizes and times."""

    files: int
    size: int
    stamp: str


def _measure(root: Path) -> _Measured:
    """Look at the files under ``root``, without the marker."""
    stamps = []
    size, start = 0, len(os.fspath(root))
    for entry in _files(root):
        status = entry.stat()
        size += status.st_size
        times = status.st_mtime_ns, status.st_ctime_ns
        stamps.append(f"{entry.path[start:]}\0{status.st_size} {status.st_ino} {times}")
    stamp = hashlib.sha256("\n".join(sorted(stamps)).encode(errors="surrogateescape")).hexdigest()
    return _Measured(len(stamps), size, stamp)


def _content(root: Path) -> str:
    """Return a digest of the names and bytes of the files under ``root``, without the marker."""
    whole = hashlib.sha256()
    for path in sorted(entry.path for entry in _files(root)):
        content = read_plain(Path(path), MOST_BYTES)
        name = os.path.relpath(path, root).encode(errors="surrogateescape")
        whole.update(name + b"\0" + hashlib.sha256(content).digest())
    return whole.hexdigest()


def _files(root: Path) -> Iterator[os.DirEntry[str]]:
    folders = [os.fspath(root)]
    while folders:
        with os.scandir(folders.pop()) as entries:  # os.walk and Path take three times as long
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.name != MARKER:
                    yield entry


def _jobs(crawl: Crawl) -> list[Job]:
    splits = [("val", crawl.val), ("test", crawl.test)]
    return [(entry.file, entry.picture) for entry in crawl.train] + [
        (f"{split}_images_256/{one.file}", one.picture) for split, all_ in splits for one in all_
    ]


def _make_folders(part: Path, crawl: Crawl) -> None:
    for folder in {Path(file).parent for file, _ in _jobs(crawl)}:
        (part / folder).mkdir(parents=True, exist_ok=True)
    (part / "info").mkdir()
    (part / "truth").mkdir()


def _write(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(lines), encoding="utf-8", newline="\n")


def _write_lists(part: Path, crawl: Crawl) -> None:
    """The info folder; labels count from 0, query and synset numbers from 1."""
    info = part / "info"
    numbered = list(enumerate(crawl.queries, start=1))
    for source in SOURCES:
        found = [entry for entry in crawl.train if entry.source == source]
        _write(info / f"train_filelist_{source}.txt", (f"{e.file} {e.label}\n" for e in found))
        _write(info / f"queries_{source}.txt", (f"{n} {query.words}\n" for n, query in numbered))
    _write(info / "train_filelist_all.txt", (f"{e.file} {e.label}\n" for e in crawl.train))
    _write(info / "queries_synsets_map.txt", (f"{n} {query.label + 1}\n" for n, query in numbered))
    _write(info / "synsets.txt", (f"{cls.wnid} {cls.lemmas}\n" for cls in crawl.classes))
    _write(info / "glosses.txt", (f"{cls.wnid} {cls.gloss}\n" for cls in crawl.classes))
    _write(info / "val_filelist.txt", (f"{one.file} {one.label}\n" for one in crawl.val))
    _write(info / "test_filelist.txt", (f"{one.file}\n" for one in crawl.test))
    _write(info / "test_labels.txt", (f"{one.file} {one.label}\n" for one in crawl.test))
    _write(
        part / "truth" / "train_truth.csv",
        ["file,truth,kind\n", *(f"{e.file},{e.truth},{e.kind}\n" for e in crawl.train)],
    )


def _write_texts(part: Path, crawl: Crawl, seed: int) -> None:
    """One JSON file for each query and source, and the lists that point into them.

    Some objects have no picture, like dead links: positions in the JSON file and in the file list
    differ.
    """
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, 4))))
    results: dict[str, list[Entry]] = {}
    for entry in crawl.train:
        results.setdefault(f"{entry.source}/q{entry.query + 1:04d}.json", []).append(entry)
    places: dict[str, list[str]] = {source: [] for source in SOURCES}
    for file, entries in results.items():
        objects: list[dict[str, Any]] = []
        for entry in entries:
            if rng.random() < 0.04:
                objects.append({"id": f"dead{len(objects)}", "title": "no longer available"})
            objects.append(write_about(entry, crawl.classes, crawl.queries[entry.query], rng))
            places[entry.source].append(f"{file} {len(objects)}\n")
        _write(part / file, [json.dumps(objects, indent=0), "\n"])
    for source in SOURCES:
        _write(part / "info" / f"train_meta_list_{source}.txt", places[source])
    _write(part / "info" / "train_meta_list_all.txt", chain.from_iterable(places.values()))
