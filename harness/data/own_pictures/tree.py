"""Pictures in a folder for each class, below train/, val/ and test/ or without them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from harness.data.own_pictures.formats import is_picture_name
from harness.data.own_pictures.listed import SPLIT_NAMES, Listed, as_label
from harness.data.tar.litter import is_litter
from harness.errors import DataError
from harness.store.reading import patiently
from harness.terminal import visible

LAYOUT = "PATH/CLASS/*.jpg, or PATH/train/CLASS/*.jpg with PATH/val and PATH/test"


class _Found(NamedTuple):
    """A picture's file below a folder, and the first folder on the way to it."""

    file: str
    first: str


def read_folder(root: Path) -> Listed:
    """List the pictures of ``root``, those of subfolders of a class too; links are followed.

    Hidden files and folders and those of file managers are passed over, and files whose suffix
    Pillow does not know.

    Raises:
        DataError: It is not a folder, has no classes, or has classes beside train/.
    """
    if not root.is_dir():
        kind = "is not a folder" if os.path.lexists(root) else "does not exist"
        raise DataError(f"{visible(root)} {kind}; name a folder laid out as {LAYOUT}")
    passed_over: Counter[str] = Counter()
    files: list[str] = []
    label: list[str] = []
    split: list[str] = []
    for part, folder in _splits(root):
        for file, first in _pictures(root / folder, passed_over):
            if not first:
                passed_over["outside the folders of classes"] += 1
                continue
            files.append(f"{folder}/{file}" if folder else file)
            label.append(as_label(first))
            split.append(part)
    if not files:
        raise DataError(f"{visible(root)} {_nothing(passed_over)}; lay it out as {LAYOUT}")
    if "test" not in split and "val" not in split:
        split = [""] * len(files)  # train/ alone does not say what to test
    return Listed(
        path=root, root=root, files=files, label=label, split=split, passed_over=passed_over
    )


def looks_like_classes(root: Path) -> bool:
    """Return whether a folder holds a picture two or more levels down."""
    try:
        found = _pictures(root, Counter())
        return any(first for _, first in found)
    except DataError:
        return False


def _splits(root: Path) -> list[tuple[str, str]]:
    """Return (split, folder) for every split that has a folder, or ("", "") if none has.

    Folders called "train" and "test" that hold pictures themselves are classes.
    """
    folders = [entry.name for entry in _entries(root) if entry.is_dir()]
    named = {name: SPLIT_NAMES[name.lower()] for name in folders if name.lower() in SPLIT_NAMES}
    if "train" not in named.values() or any(_holds_pictures(root / name) for name in named):
        return [("", "")]
    others = [name for name in folders if name not in named]
    if others:
        raise DataError(
            f"{visible(root)} has {visible(others[0])!r} beside train/; put it into train/ if it "
            "is a class, or elsewhere"
        )
    twice = [part for part, count in Counter(named.values()).items() if count > 1]
    if twice:
        names = " and ".join(name for name, part in named.items() if part == twice[0])
        raise DataError(f"{visible(root)} has {names}, which both mean {twice[0]}; keep one")
    return [(part, name) for name, part in named.items()]


def _holds_pictures(folder: Path) -> bool:
    return any(is_picture_name(entry.name) and entry.is_file() for entry in _entries(folder))


def _pictures(root: Path, passed_over: Counter[str]) -> Iterator[_Found]:
    """Yield the pictures below ``root`` in the order of their names, depth first."""

    def walk(folder: Path, inside: str, above: tuple[tuple[int, int], ...]) -> Iterator[_Found]:
        for entry in _entries(folder):
            file = f"{inside}/{entry.name}" if inside else entry.name
            if entry.is_dir():
                status = entry.stat()
                place = (status.st_dev, status.st_ino)
                if place not in above:  # a link to a folder that it is in would never end
                    yield from walk(folder / entry.name, file, (*above, place))
            elif not is_picture_name(entry.name):
                passed_over[Path(entry.name).suffix.lower() or "without suffix"] += 1
            else:
                yield _Found(file, file.partition("/")[0] if inside else "")

    status = root.stat()
    yield from walk(root, "", ((status.st_dev, status.st_ino),))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what is in a folder, by name, without what is hidden; raises DataError."""

    def read() -> list[os.DirEntry[str]]:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not _is_hidden(entry.name)]

    try:
        return sorted(patiently(read, folder.__str__), key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        raise DataError(f"{visible(folder)} cannot be read: {error.strerror}") from error


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or is_litter(os.fsencode(name))


def _nothing(passed_over: Counter[str]) -> str:
    """Say that there are no pictures, and which other files there are."""
    if not passed_over:
        return "holds no pictures"
    what = ", ".join(f"{count} {kind}" for kind, count in passed_over.most_common(3))
    return f"holds no pictures in class folders, only other files ({visible(what)})"
