"""The lists of one split as numpy columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import starmap
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.data.pictures.names import ListedIn
from harness.data.webvision.lists.editions import Edition
from harness.data.webvision.lists.parse import (
    LABEL,
    NAME,
    Listing,
    ListTable,
    parse_lines,
    parse_listing,
    read_bytes,
    shown,
)
from harness.data.webvision.lists.soundness import refuse_repeated
from harness.errors import DataError, NoLabelsError
from harness.store.reading import is_there

QUERY_DIGITS = (1, 6)
_WNID_DIGITS = (8, 8)


class ListColumns(NamedTuple):
    """One split: paths relative to the root, and the lists' bytes for the fingerprint.

    ``line`` is a row's line number in its list, from 1; ``paths`` are the lists and ``lines`` is
    the number of rows of each source.
    """

    files: NDArray[np.bytes_]  # as in the list
    label: NDArray[np.int32]
    source: NDArray[np.int8]
    query: NDArray[np.int32]
    rank: NDArray[np.int32]
    line: NDArray[np.int32]
    content: tuple[bytes, ...]
    lines: tuple[int, ...]
    paths: tuple[Path, ...]

    def listed_in(self) -> tuple[ListedIn, ...]:
        """Return the list and line numbers of each source's rows."""
        edges = np.cumsum(self.lines)[:-1]
        return tuple(starmap(ListedIn, zip(self.paths, np.split(self.line, edges), strict=True)))


def read_train(
    root: Path, edition: Edition, sources: Sequence[str], wnids: Sequence[str]
) -> ListColumns:
    """Read the training lists of ``sources``, one after another.

    Raises:
        DataError: As for ``read_split``.
    """
    for source in sources:
        edition.source(source)
    if is_rearranged(root, edition) and not is_there(train_list(root, sources[0])):
        return _read_prepared(root, sources, wnids)
    listings, contents = [], []
    for source in sources:
        path = train_list(root, source)
        contents.append(read_bytes(path, edition.layout))
        listing = parse_train_list(path, contents[-1], edition, source)
        check_labels(path, listing.label, listing.line, len(wnids))
        listings.append(listing)
    files, query, label, line = (np.concatenate(column) for column in zip(*listings, strict=True))
    if is_rearranged(root, edition):
        files = by_class(files, label, wnids)
    lines = tuple(len(listing.label) for listing in listings)
    return ListColumns(
        files,
        label,
        np.repeat(np.arange(len(lines), dtype=np.int8), lines),
        query,
        np.concatenate([ranks(listing.number) for listing in listings]),
        line,
        tuple(contents),
        lines,
        tuple(train_list(root, source) for source in sources),
    )


def read_unlabelled(root: Path, edition: Edition, split: Literal["val", "test"]) -> ListColumns:
    """Read the names of val or test; labels are -1. Raises DataError as for ``read_split``."""
    path = eval_list(root, edition, split)
    content = read_bytes(path, edition.layout)
    found = read_names(path, edition)
    refuse_repeated(found.columns[0], [-1] * len(found.columns[0]), found.where)
    return _eval_columns(root, edition, split, found, content)


def read_eval(
    root: Path, edition: Edition, split: Literal["val", "test"], num_classes: int
) -> ListColumns:
    """Read val or test: pictures in one flat folder, each with a label, without queries.

    Raises:
        NoLabelsError: The labels of test are not public.
        DataError: As for ``read_split``.
    """
    path = eval_list(root, edition, split)
    if split == "test":
        refuse_unlabelled(root, edition)
    listed = read_names(path, edition) if split == "test" else None
    path = test_labels(root) if listed else path
    content = read_bytes(path, edition.layout)
    found = parse_lines(path, content, rb"(" + NAME + rb")[ \t]+" + LABEL, f"{split}000001.jpg 17")
    if listed:
        _refuse_other_names(found, listed)
    names, label = found.columns[0], found.numbers(1)
    check_labels(path, label, found.line, num_classes)
    refuse_repeated(names, label.tolist(), found.where)
    return _eval_columns(root, edition, split, found, content)._replace(label=label)


def _eval_columns(
    root: Path,
    edition: Edition,
    split: Literal["val", "test"],
    found: ListTable,
    content: bytes,
) -> ListColumns:
    """Return the pictures of a list, with the label -1."""
    names = found.columns[0]
    folder = eval_folder(root, edition, split).encode()
    nothing = np.full(len(names), -1, np.int32)
    return ListColumns(
        np.array([folder + b"/" + name for name in names]),
        nothing,
        np.zeros(len(names), np.int8),
        nothing,
        nothing,
        found.line,
        (content,),
        (len(names),),
        (found.path,),
    )


def refuse_unlabelled(root: Path, edition: Edition) -> None:
    """Raise NoLabelsError if the test labels are missing and the edition does not publish them."""
    if not (is_there(test_labels(root)) or edition.public_test_labels):
        raise NoLabelsError(
            f"the labels of the test pictures of {root} are not public (there is no "
            f"{test_labels(root)}); score val instead"
        )


def test_labels(root: Path) -> Path:
    """Return the list of test labels, which most copies do not have."""
    return root / "info" / "test_labels.txt"


def read_names(path: Path, edition: Edition) -> ListTable:
    """Read the names in a list of test pictures; labels are absent or meaningless.

    Raises:
        DataError: It is missing or malformed.
    """
    pattern = rb"(" + NAME + rb")(?:[ \t]+[0-9]+)?"
    return parse_lines(path, read_bytes(path, edition.layout), pattern, "test000001.jpg")


def _refuse_other_names(labelled: ListTable, listed: ListTable) -> None:
    """Refuse labels that are not for the pictures of the list, in the same order."""
    names, asked = labelled.columns[0], listed.columns[0]
    pairs = zip(names, asked, strict=False)
    row = next((row for row, (name, other) in enumerate(pairs) if name != other), None)
    if row is not None:
        raise DataError(
            f"{labelled.where(row)}: {shown(names[row])}, but {listed.where(row)}: "
            f"{shown(asked[row])}; both must name the same pictures in the same order"
        )
    if len(names) != len(asked):
        raise DataError(
            f"{labelled.path} names {len(names)} pictures, {listed.path} {len(asked)}; both must "
            "name the same pictures in the same order"
        )


def train_list(root: Path, source: str) -> Path:
    """Return the list of one source's training pictures."""
    return root / "info" / f"train_filelist_{source}.txt"


def eval_list(root: Path, edition: Edition, split: Literal["val", "test"]) -> Path:
    """Return the list of val or test that exists, otherwise the expected one."""
    return _first_there(root, edition.eval_split(split).lists)


def eval_folder(root: Path, edition: Edition, split: Literal["val", "test"]) -> str:
    """Return the folder of the pictures of val or test, relative to the root."""
    found = _first_there(root, edition.eval_split(split).folders)
    return found.relative_to(root).as_posix()


def is_rearranged(root: Path, edition: Edition) -> bool:
    """Return whether preprocess.py has sorted the training pictures into train/<wnid>/."""
    return edition.rearranged and is_there(root / "meta" / "train.txt")


def parse_train_list(path: Path, content: bytes, edition: Edition, source: str) -> Listing:
    """Parse a training list; its lines may begin with any of the source's folders."""
    folder = first_folder(content, edition.source(source).folders)
    example = f"{folder}/q{1:0{edition.query_digits}d}/name.jpg 0"
    return parse_listing(path, content, f"{folder}/q", QUERY_DIGITS, example)


def first_folder(content: bytes, folders: Sequence[str]) -> str:
    """Return which of ``folders`` the list's first line begins with; by default the first."""
    names = b"|".join(re.escape(folder.encode()) for folder in folders)
    found = re.match(rb"\s*(" + names + rb")/", content)
    return found[1].decode() if found else folders[0]


def check_labels(
    path: Path, label: NDArray[np.int32], line: NDArray[np.int32], num_classes: int
) -> None:
    """Raise DataError, with the line, for a label that is out of range."""
    wrong = np.flatnonzero(label >= num_classes)
    if len(wrong):
        from_one = label.min() == 1 and label.max() == num_classes
        hint = ": this list counts them from 1, subtract 1 from each" if from_one else ""
        raise DataError(
            f"{path}, line {line[wrong[0]]}: label {label[wrong[0]]} is out of range; synsets.txt "
            f"has {num_classes} classes, counted from 0{hint}"
        )


def ranks(query: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the position of each line among the lines of its query, ``(N,)``, from 0."""
    order = np.argsort(query, kind="stable")
    _, first, counts = np.unique(query[order], return_index=True, return_counts=True)
    rank = np.empty(len(query), np.int32)
    rank[order] = np.arange(len(query)) - np.repeat(first, counts)
    return rank


def by_class(
    files: NDArray[np.bytes_], label: NDArray[np.int32], wnids: Sequence[str]
) -> NDArray[np.bytes_]:
    """Return the path to which preprocess.py moves each picture: ``train/<wnid>/<name>``.

    Pictures with the same name and class share a file there: the last one replaced the others.
    """
    names = [file.rpartition(b"/")[2] for file in files.tolist()]
    folders = [f"train/{wnid}/".encode() for wnid in wnids]
    return np.array([folders[k] + name for k, name in zip(label.tolist(), names, strict=True)])


def _read_prepared(root: Path, sources: Sequence[str], wnids: Sequence[str]) -> ListColumns:
    """Read meta/train.txt only, which has neither source nor query.

    The source is inferred from the file name: Flickr's has only digits, Google's also letters.
    Query and rank are unknown (-1).
    """
    path = root / "meta" / "train.txt"
    content = read_bytes(path)
    listing = parse_listing(path, content, "n", _WNID_DIGITS, "n01440764/name.jpg 0")
    check_labels(path, listing.label, listing.line, len(wnids))
    named = np.array([int(wnid[1:]) for wnid in wnids], np.int32)
    wrong = np.flatnonzero(named[listing.label] != listing.number)
    if len(wrong):
        raise DataError(
            f"{path}, line {listing.line[wrong[0]]}: the folder is "
            f"n{listing.number[wrong[0]]:08d}, but label {listing.label[wrong[0]]} is "
            f"{wnids[listing.label[wrong[0]]]}"
        )
    numeric = re.compile(rb"(?s:.*)/[0-9]+\.[^/]*")
    origins = ["flickr" if numeric.fullmatch(file) else "google" for file in listing.files.tolist()]
    places = {source: place for place, source in enumerate(sources)}
    source = np.array([places.get(origin, -1) for origin in origins], np.int8)
    rows = np.argsort(source, kind="stable")
    rows = rows[source[rows] >= 0]
    nothing = np.full(len(rows), -1, np.int32)
    return ListColumns(
        np.char.add(b"train/", listing.files[rows]),
        listing.label[rows],
        source[rows],
        nothing,
        nothing,
        listing.line[rows],
        (content,),
        tuple(np.bincount(source[rows], minlength=len(sources)).tolist()),
        (path,) * len(sources),
    )


def _first_there(root: Path, places: Sequence[str]) -> Path:
    return next((root / place for place in places if is_there(root / place)), root / places[0])
