"""Detects changes of the archives and lists that an index was made from."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from harness.data.pictures.store import Tar
from harness.data.tar.litter import is_litter
from harness.data.tar.walks import look
from harness.data.webvision.lists.columns import eval_list, train_list
from harness.data.webvision.lists.editions import EDITIONS, Edition
from harness.data.webvision.lists.texts import meta_list
from harness.errors import DataError
from harness.store.reading import look_for

INFO = "info.tar"
TARS = "*.tar"
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Stamp(NamedTuple):
    """The state of a list when it was read: bytes, time, and SHA-256 as hexadecimal digits."""

    size: int
    mtime_ns: int
    digest: str


def stamp(path: Path) -> Stamp:
    """Return the current stamp of a file; raises DataError if it cannot be read."""
    _, size, mtime_ns = look(path)
    return Stamp(size, mtime_ns, _digest_at(path, size, mtime_ns))


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def lists_lie_in(root: Path, index: Path) -> Path:
    """Return ``root`` if the lists are unpacked there, otherwise ``index``, which has copies."""
    return index if not (root / "info").is_dir() and look_for(root / INFO) else root


def list_files(place: Path, root: Path, edition: Edition) -> dict[str, Path]:
    """Return the lists an index depends on, by name relative to ``place``, or else ``root``."""
    paths = [train_list(place, name) for name in edition.source_names]
    paths += [meta_list(place, name) for name in edition.source_names]
    found = {path.relative_to(place).as_posix(): path for path in paths if look_for(path)}
    for split in ("val", "test"):
        for folder in (place, root):
            path = eval_list(folder, edition, split)
            if look_for(path):
                found[path.relative_to(folder).as_posix()] = path
                break
    labels = place / "info" / "test_labels.txt"
    return found | ({"info/test_labels.txt": labels} if look_for(labels) else {})


def changed_archives(root: Path, about: Mapping[str, Any]) -> dict[str, str]:
    """Return the problem of each archive of the index ``about`` that is missing or has changed."""
    changed = {}
    for name, size, mtime_ns in about["tars"]:
        try:
            found = look(root / name)
        except DataError as error:
            changed[name] = str(error)
            continue
        if (found.size, found.mtime_ns) != (size, mtime_ns):
            changed[name] = (
                f"{found.path} has changed since it was indexed ({size} bytes then, {found.size} "
                "now, or another time)"
            )
    return changed


def changed_lists(root: Path, index: Path, about: Mapping[str, Any]) -> Iterator[str]:
    """Yield a message for each list that was added, removed or changed since indexing.

    Size and time are compared, and the content if only the time differs.
    """
    place = lists_lie_in(root, index)
    there = list_files(place, root, EDITIONS[about["edition"]])
    if place != root:
        there[INFO] = root / INFO
    texts = any(split["texts"] for split in about["splits"].values())
    for name in sorted({*there, *about["lists"]}):
        # Either info.tar counts, whose lists the index has copied, or the lists unpacked from it.
        if name == INFO if place == root else name.startswith("info/"):
            continue
        if "/train_meta_list_" in name and not texts:
            continue
        noted = about["lists"].get(name)
        if noted is None:
            yield f"{there[name]} is not in the index"
        elif name not in there:
            yield f"{root / name} was indexed and is missing now"
        else:
            yield from _compare(there[name], Stamp(*noted))


def refuse_changes(root: Path, index: Path, about: Mapping[str, Any]) -> None:
    """Raise DataError, with the command to run, if archives or lists have changed."""
    changed = [*changed_archives(root, about).values(), *changed_lists(root, index, about)]
    if changed:
        more = f" (and {len(changed) - 1} more)" if changed[1:] else ""
        raise DataError(f"{changed[0]}{more}; run {remedy(root, index)}")


def remedy(root: Path, index: Path) -> str:
    """Return the command that brings an index up to date."""
    words = ["harness", "data", "index", str(root)]
    if index.resolve().parent != root.resolve():
        words += ["--output", str(index)]
    return shlex.join(words)


def archives_in(root: Path) -> list[Path]:
    """Return the archives in ``root`` by name, without info.tar and macOS's extra files."""
    found = sorted(root.glob(TARS))
    return [path for path in found if path.name != INFO and not is_litter(os.fsencode(path.name))]


def new_archives(root: Path, about: Mapping[str, Any]) -> list[Path]:
    """Return the archives in ``root`` that the index ``about`` does not have, except info.tar."""
    known = {name for name, _, _ in about["tars"]}
    return [path for path in archives_in(root) if path.name not in known]


def indexed_tars(root: Path, about: Mapping[str, Any]) -> list[Tar]:
    """Return the archives with their sizes at indexing."""
    return [Tar(root / name, size) for name, size, _ in about["tars"]]


def are_stamps(lists: object) -> bool:
    """Return whether ``lists`` has the form of an index's list stamps."""
    return isinstance(lists, dict) and all(
        isinstance(size, int) and isinstance(time, int) and _DIGEST.fullmatch(digest) is not None
        for size, time, digest in lists.values()
    )


def _compare(path: Path, noted: Stamp) -> Iterator[str]:
    now = look(path)
    if now.size != noted.size:
        yield f"{path} has changed since it was indexed ({noted.size} bytes then, {now.size} now)"
    elif now.mtime_ns != noted.mtime_ns and stamp(path).digest != noted.digest:
        yield f"{path} has changed since it was indexed (same size, different content)"


@lru_cache(maxsize=64)
def _digest_at(path: Path, size: int, mtime_ns: int) -> str:
    """The digest of a file of this size and time; cached, as a run opens an index several times."""
    del size, mtime_ns
    return digest_of(path)
