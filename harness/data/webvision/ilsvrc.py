"""The validation pictures of ILSVRC-12 as a second test set, matched by WordNet id."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.data.pictures.names import ListedIn, Names
from harness.data.pictures.strings import Strings
from harness.data.webvision.lists.classes import map_classes
from harness.data.webvision.lists.parse import NAME, parse_lines, read_bytes
from harness.data.webvision.lists.soundness import refuse_repeated
from harness.errors import DataError
from harness.samples import Samples, WebClass
from harness.store.reading import look_for

ILSVRC = "ilsvrc"
# Source: ELR reads imagenet_val.txt beside the folder val/; Caffe's own list is val.txt.
LIST_NAMES = ("imagenet_val.txt", "val.txt", "ILSVRC2012_val.txt", "ILSVRC2012_mini_val.txt")
PICTURE_FOLDERS = ("", "val")
SUFFIXES = (b".jpeg", b".jpg", b".png", b".webp")
LAYOUT = (
    "ilsvrc= names a folder that holds folders by WordNet id (n01440764/*.JPEG) or by class number "
    "(0/*.JPEG), or flat pictures with a list imagenet_val.txt of lines like "
    "'ILSVRC2012_val_00000001.JPEG 65' or '... n01751748', or names that list"
)
_LINE = rb"((?:" + NAME + rb"/)?" + NAME + rb")[ \t]+(n[0-9]{8}|[0-9]{1,6})"
_EXAMPLE = "ILSVRC2012_val_00000001.JPEG 65"


class _Pictures(NamedTuple):
    """Pictures with their listed class: a WordNet id, or a number as text."""

    root: Path
    files: list[bytes]
    shown: list[str]
    listed: ListedIn | None  # None: the folder names give the class

    def where(self, row: int) -> str:
        """Return the line or folder that gives a picture's class, for messages."""
        if self.listed is None:
            return f"{self.root}, folder {self.shown[row]}"
        return f"{self.listed.path}, line {self.listed.line[row]}"


def read_ilsvrc(
    place: Path, classes: Sequence[WebClass], *, numbered: Sequence[str] | None, edition: str
) -> Samples:
    """Read the pictures of ``place`` that show one of ``classes``; labels index ``classes``.

    ``numbered`` are the WordNet ids that numbers stand for, in order, or None if the edition
    numbers its classes differently from ILSVRC-12.

    **Source:** DivideMix uses folders by number, ELR flat pictures with a list; folders by WordNet
    id are the usual layout.

    Raises:
        DataError: There is nothing to read, a line or folder is malformed, a number is out of range
            or ambiguous, or a class of ILSVRC-12 has no picture.
    """
    found = _read_list(place) if _is_listed(place) else _read_folders(place)
    refuse_repeated(found.files, found.shown, found.where)
    wnids = _wnids(found, numbered, edition)
    label = map_classes(wnids, [known.wnid for known in classes])
    rows = np.flatnonzero(label >= 0)
    _refuse_missing(found, classes, {wnids[row] for row in rows.tolist()})
    listed = (found.listed,) if found.listed else ()
    files = Names(Strings.of(found.files), rows, listed)
    digest = hashlib.sha256(f"{edition}|{ILSVRC}".encode())
    for row in rows.tolist():
        digest.update(b"\n" + found.files[row] + f" {wnids[row]}".encode())
    nothing = np.full(len(rows), -1, np.int32)
    return Samples(
        split=ILSVRC,
        root=found.root,
        files=files,
        label=label[rows],
        source=np.zeros(len(rows), np.int8),
        query=nothing,
        rank=nothing,
        weight=np.ones(len(rows), np.float32),
        subset=np.zeros(len(rows), np.int8),
        classes=tuple(classes),
        fingerprint=digest.hexdigest(),
        edition=edition,
    )


def _list_of(place: Path) -> Path | None:
    """The list itself, or one in the folder or beside it."""
    if look_for(place):
        return place
    beside = (folder / name for folder in (place, place.parent) for name in LIST_NAMES)
    return next((path for path in beside if look_for(path)), None)


def _is_listed(place: Path) -> bool:
    """Whether a list gives the classes; folders take precedence over a list found nearby."""
    return look_for(place) or (_list_of(place) is not None and not _folders(place))


def _read_list(place: Path) -> _Pictures:
    path = _list_of(place)
    if path is None:
        raise DataError(f"{place} has no list of pictures; {LAYOUT}")
    table = parse_lines(path, read_bytes(path, LAYOUT), _LINE, _EXAMPLE)
    files, shown = list(table.columns[0]), [text.decode() for text in table.columns[1]]
    folder = place if place.is_dir() else path.parent
    first = os.fsdecode(files[0])
    there = (folder / sub for sub in PICTURE_FOLDERS if look_for(folder / sub / first))
    return _Pictures(next(there, folder), files, shown, ListedIn(path, table.line))


def _folders(place: Path) -> list[str]:
    """The folders by WordNet id or by number, in order; empty if there are none."""
    try:
        with os.scandir(place) as entries:
            names = [entry.name for entry in entries if entry.is_dir()]
    except OSError as error:
        raise DataError(f"{place} cannot be read: {error.strerror}; {LAYOUT}") from error
    by_wnid = sorted(name for name in names if re.fullmatch(r"n[0-9]{8}", name))
    by_number = sorted((name for name in names if re.fullmatch(r"[0-9]{1,6}", name)), key=int)
    if by_wnid and by_number:
        raise DataError(
            f"{place} holds folders by WordNet id ({by_wnid[0]}) and by number ({by_number[0]}); "
            "keep one kind"
        )
    return by_wnid or by_number


def _read_folders(place: Path) -> _Pictures:
    files: list[bytes] = []
    shown: list[str] = []
    for name in _folders(place):
        with os.scandir(os.fsencode(place / name)) as entries:
            pictures = sorted(
                entry.name
                for entry in entries
                if entry.name.lower().endswith(SUFFIXES)
                and not entry.name.startswith(b".")
                and entry.is_file()
            )
        files += [name.encode() + b"/" + picture for picture in pictures]
        shown += [name] * len(pictures)
    if not files:
        raise DataError(f"{place} holds no pictures in folders and no list; {LAYOUT}")
    return _Pictures(place, files, shown, None)


def _wnids(found: _Pictures, numbered: Sequence[str] | None, edition: str) -> list[str]:
    """The WordNet id of every picture."""
    wnids = []
    for row, shown in enumerate(found.shown):
        if shown.startswith("n"):
            wnids.append(shown)
            continue
        where = found.where(row)
        if numbered is None:
            raise DataError(
                f"{where}: class number {shown} means one class in ILSVRC-12 and another in "
                f"{edition}; use folders by WordNet id, or a list with WordNet ids"
            )
        if int(shown) >= len(numbered):
            raise DataError(
                f"{where}: class number {shown} is out of range; {edition} has {len(numbered)} "
                "classes, counted from 0"
            )
        wnids.append(numbered[int(shown)])
    return wnids


def _refuse_missing(found: _Pictures, classes: Sequence[WebClass], seen: set[str]) -> None:
    """Refuse a part of ILSVRC-12: a mean over fewer classes is not comparable."""
    from timm.data.imagenet_info import ImageNetInfo

    info: Any = ImageNetInfo("imagenet-1k")
    thousand = set(info.label_names())
    expected = [known for known in classes if known.wnid in thousand]
    missing = [known for known in expected if known.wnid not in seen]
    if missing or not expected:
        first = missing[0] if missing else classes[0]
        raise DataError(
            f"{found.root}: {len(missing) or len(classes)} of {len(expected) or len(classes)} "
            f"classes have no picture of ILSVRC-12, the first is {first.wnid} {first.lemmas}; "
            "choose other classes or name the whole validation set"
        )
