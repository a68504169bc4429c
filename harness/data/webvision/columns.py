"""What the lists of one split say, as numpy columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.data.editions import WEBVISION2, Edition
from harness.data.webvision.lists import (
    LABEL_DIGITS,
    NAME,
    Listing,
    parse_lines,
    parse_listing,
    read_bytes,
)
from harness.errors import DataError, NoLabelsError
from harness.samples import Samples

QUERY_DIGITS = (1, 6)
_WNID_DIGITS = (8, 8)


class Columns(NamedTuple):
    """One split: paths relative to the root, and the lists' bytes for the fingerprint.

    ``line`` is where a row stands in its list, from 1; ``lines`` counts the rows of each source.
    """

    files: NDArray[np.bytes_]  # UTF-8
    label: NDArray[np.int32]
    source: NDArray[np.int8]
    query: NDArray[np.int32]
    rank: NDArray[np.int32]
    line: NDArray[np.int32]
    content: tuple[bytes, ...]
    lines: tuple[int, ...]


def read_train(
    root: Path, edition: Edition, sources: Sequence[str], wnids: Sequence[str]
) -> Columns:
    """Read the training lists of ``sources``, one after the other.

    Raises:
        DataError: As ``read_split`` says.
    """
    for source in sources:
        edition.source(source)
    if is_rearranged(root, edition) and not train_list(root, sources[0]).exists():
        return _read_prepared(root, sources, wnids)
    listings, contents = [], []
    for source in sources:
        path = train_list(root, source)
        contents.append(read_bytes(path, edition.layout))
        listing = parse_train_list(path, contents[-1], edition, source)
        check_labels(path, listing.label, len(wnids))
        listings.append(listing)
    files, query, label = (np.concatenate(column) for column in zip(*listings, strict=True))
    if is_rearranged(root, edition):
        files = by_class(files, label, wnids)
    lines = tuple(len(listing.label) for listing in listings)
    return Columns(
        files,
        label,
        np.repeat(np.arange(len(lines), dtype=np.int8), lines),
        query,
        np.concatenate([ranks(listing.number) for listing in listings]),
        np.concatenate([_lines(len(listing.label)) for listing in listings]),
        tuple(contents),
        lines,
    )


def read_judged(
    root: Path, edition: Edition, split: Literal["val", "test"], num_classes: int
) -> Columns:
    """Read val or test: a flat folder, one label each, no query.

    Raises:
        NoLabelsError: The labels of test are not there.
        DataError: As ``read_split`` says.
    """
    path = judged_list(root, edition, split)
    labels_path = root / "info" / "test_labels.txt"
    if split == "test" and not (labels_path.exists() or edition.public_test_labels):
        raise NoLabelsError(
            f"the labels of the test pictures of {root} are not public (there is no "
            f"{labels_path}); score val instead"
        )
    content = read_bytes(path, edition.layout)
    if split == "test":
        path, listed = labels_path, content
        content = read_bytes(path, edition.layout)
    line = rf"({NAME})[ \t]+([0-9]{{1,{LABEL_DIGITS}}})[ \t]*"
    found = parse_lines(path, content, line, f"{split}000001.jpg 17")
    names, labels = zip(*found, strict=True)
    if split == "test":
        asked = [line.split()[0] for line in listed.decode("utf-8", "replace").splitlines() if line]
        if asked != list(names):
            raise DataError(f"{path} and test_filelist.txt do not name the same pictures in order")
    label = np.array(labels).astype(np.int32)
    check_labels(path, label, num_classes)
    folder = judged_folder(root, edition, split)
    nothing = np.full(len(names), -1, np.int32)
    return Columns(
        np.array([f"{folder}/{name}".encode() for name in names]),
        label,
        np.zeros(len(names), np.int8),
        nothing,
        nothing,
        _lines(len(names)),
        (content,),
        (len(names),),
    )


def train_list(root: Path, source: str) -> Path:
    """Return the list of one source's training pictures."""
    return root / "info" / f"train_filelist_{source}.txt"


def judged_list(root: Path, edition: Edition, split: Literal["val", "test"]) -> Path:
    """Return the list of val or test that is there, else the one that should be."""
    return _first_there(root, edition.judged(split).lists)


def judged_folder(root: Path, edition: Edition, split: Literal["val", "test"]) -> str:
    """Return the folder of the pictures of val or test, relative to the root."""
    found = _first_there(root, edition.judged(split).folders)
    return found.relative_to(root).as_posix()


def where_listed(samples: Samples, file: str) -> str:
    """Return the list, and the line from 1, that names ``file``, a path relative to the root."""
    wanted = [file, file.partition("/")[2], file.rpartition("/")[2]]
    for path in _lists(samples, file):
        lines = read_bytes(path).decode("utf-8", "replace").split("\n")
        listed = [line.partition(" ")[0] for line in lines]
        found = (listed.index(name) for name in wanted if name in listed)
        number = next(found, None)
        if number is None:  # a query's folder in the list, a class's on disk
            listed = [name.rpartition("/")[2] for name in listed]
            number = listed.index(wanted[-1]) if wanted[-1] in listed else None
        if number is not None:
            return f"{path}, line {number + 1}"
    return str(samples.root)


def _lists(samples: Samples, file: str) -> list[Path]:
    """The lists that may name ``file`` and are there."""
    root = samples.root
    if samples.split == "train":
        row = samples.files.tolist().index(file)
        source = samples.source_names[samples.source[row]]
        lists = [train_list(root, source), root / "meta" / "train.txt"]
    elif samples.split == "val":
        lists = [root / place for place in WEBVISION2.val.lists]
    elif samples.split == "test":
        lists = [root / place for place in WEBVISION2.test.lists]
    else:
        lists = [*sorted(root.glob("*.txt")), *sorted(root.parent.glob("*.txt"))]
    return [path for path in lists if path.is_file()]


def is_rearranged(root: Path, edition: Edition) -> bool:
    """Tell whether preprocess.py has sorted the training pictures into train/<wnid>/."""
    return edition.rearranged and (root / "meta" / "train.txt").exists()


def parse_train_list(path: Path, content: bytes, edition: Edition, source: str) -> Listing:
    """Take a training list apart, whichever of the source's folders its lines begin with."""
    folders = edition.source(source).folders
    begins = (folder for folder in folders if content.startswith(f"{folder}/".encode()))
    folder = next(begins, folders[0])
    example = f"{folder}/q{1:0{edition.query_digits}d}/name.jpg 0"
    return parse_listing(path, content, f"{folder}/q", QUERY_DIGITS, example)


def check_labels(path: Path, label: NDArray[np.int32], num_classes: int) -> None:
    """Raise DataError, with the line, for a label that is not in the vocabulary."""
    wrong = np.flatnonzero(label >= num_classes)
    if len(wrong):
        raise DataError(
            f"{path}, line {wrong[0] + 1}: label {label[wrong[0]]} is out of range; synsets.txt "
            f"has {num_classes} classes, counted from 0"
        )


def ranks(query: NDArray[np.int32]) -> NDArray[np.int32]:
    """Position of each line among the lines of its query, ``(N,)``, from 0."""
    order = np.argsort(query, kind="stable")
    _, first, counts = np.unique(query[order], return_index=True, return_counts=True)
    rank = np.empty(len(query), np.int32)
    rank[order] = np.arange(len(query)) - np.repeat(first, counts)
    return rank


def by_class(
    files: NDArray[np.bytes_], label: NDArray[np.int32], wnids: Sequence[str]
) -> NDArray[np.bytes_]:
    """Where preprocess.py moves each picture: ``train/<wnid>/<name>``.

    Pictures of one name in one class share a file there: the last one moved overwrote the others.
    """
    names = [file.rpartition(b"/")[2] for file in files.tolist()]
    folders = [f"train/{wnid}/".encode() for wnid in wnids]
    return np.array([folders[k] + name for k, name in zip(label.tolist(), names, strict=True)])


def _read_prepared(root: Path, sources: Sequence[str], wnids: Sequence[str]) -> Columns:
    """meta/train.txt alone, which keeps neither source nor query.

    Flickr names its pictures by number and Google by letters too, which tells the source; query
    and rank are lost (-1).
    """
    path = root / "meta" / "train.txt"
    content = read_bytes(path)
    listing = parse_listing(path, content, "n", _WNID_DIGITS, "n01440764/name.jpg 0")
    check_labels(path, listing.label, len(wnids))
    named = np.array([int(wnid[1:]) for wnid in wnids], np.int32)
    wrong = np.flatnonzero(named[listing.label] != listing.number)
    if len(wrong):
        raise DataError(
            f"{path}, line {wrong[0] + 1}: the folder is n{listing.number[wrong[0]]:08d}, but "
            f"label {listing.label[wrong[0]]} is {wnids[listing.label[wrong[0]]]}"
        )
    numeric = re.compile(rb".*/[0-9]+\.[^/]*")
    origins = ["flickr" if numeric.fullmatch(file) else "google" for file in listing.files.tolist()]
    places = {source: place for place, source in enumerate(sources)}
    source = np.array([places.get(origin, -1) for origin in origins], np.int8)
    rows = np.argsort(source, kind="stable")
    rows = rows[source[rows] >= 0]
    nothing = np.full(len(rows), -1, np.int32)
    return Columns(
        np.char.add(b"train/", listing.files[rows]),
        listing.label[rows],
        source[rows],
        nothing,
        nothing,
        (rows + 1).astype(np.int32),
        (content,),
        tuple(np.bincount(source[rows], minlength=len(sources)).tolist()),
    )


def _lines(count: int) -> NDArray[np.int32]:
    return np.arange(1, count + 1, dtype=np.int32)


def _first_there(root: Path, places: Sequence[str]) -> Path:
    return next((root / place for place in places if (root / place).exists()), root / places[0])
