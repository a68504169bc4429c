"""Reads a split of WebVision from the index of its tar archives; nothing is unpacked."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.data.pictures.names import Names
from harness.data.webvision.context import context_digest
from harness.data.webvision.index.changes import lists_lie_in, refuse_changes
from harness.data.webvision.index.open import (
    FOLDER,
    MARKER,
    IndexedSplit,
    index_folder,
    open_index,
    read_marker,
    root_of,
)
from harness.data.webvision.lists.columns import eval_list, refuse_unlabelled, train_list
from harness.data.webvision.lists.editions import Edition
from harness.data.webvision.lists.queries import read_queries
from harness.data.webvision.reader import lists_fingerprint
from harness.errors import DataError, NoLabelsError
from harness.samples import Queries, Samples, Text, WebClass
from harness.store.reading import look_for

MAX_MISSING = 0.01

T = TypeVar("T", bound=np.generic)


def is_indexed(root: Path) -> bool:
    """Return whether the data set's folder holds a finished index."""
    return look_for(root / FOLDER / MARKER)


def lists_of_indexed(root: Path) -> Path:
    """Return the folder that holds info/: that of the archives, or the index if it has copies.

    Raises:
        DataError: An archive or a list is missing or has changed since it was indexed.
    """
    index = root / FOLDER
    about = read_marker(index)
    place = root_of(index, about)
    refuse_changes(place, index, about)
    return lists_lie_in(place, index)


def read_indexed(  # noqa: PLR0913 - what to read, and how
    root: Path,
    split: str,
    edition: Edition,
    listed: tuple[Sequence[WebClass], bytes],
    kept: Sequence[int],
    sources: Sequence[str],
    *,
    labelled: bool = True,
) -> Samples:
    """Read one split from the index; the columns stay memory-mapped if all rows are kept.

    ``listed`` are the edition's classes and the bytes of synsets.txt, ``kept`` the labels to keep,
    in their new order. Without ``labelled``, all pictures are kept, with the label -1.

    Raises:
        DataError: The index is damaged, of another edition or without a source's list, an archive
            or a list has changed, or more than 1 % of the entries are not in any archive.
        NoLabelsError: The labels of this split are not public.
    """
    _refuse_unlisted(root, split, edition, labelled=labelled)
    vocabulary, synsets = listed
    found = open_index(root, split)
    _check_edition(found, edition, root)
    if split == "train":
        _check_sources(found, sources, root)
    if labelled and len(found) and found.label.min() < 0:
        refuse_unlabelled(lists_of_indexed(root), edition)
        raise NoLabelsError(f"{root} was indexed without labels of {split}; score val instead")
    rows = _rows(found, split, sources, kept, len(vocabulary)) if labelled else None
    label = _take(found.label, rows) if labelled else np.full(len(found), -1, np.int32)
    if labelled and list(kept) != list(range(len(vocabulary))):
        places = np.full(len(vocabulary), -1, np.int32)
        places[list(kept)] = np.arange(len(kept))
        label = places[label]
    missing = np.flatnonzero(_take(found.places.shard, rows) < 0)
    names = Names(found.names, rows)
    if len(missing) > MAX_MISSING * len(label):
        raise DataError(
            f"{len(missing)} of {len(label)} pictures of {split} are not in any archive of "
            f"{root}, the first is {names[int(missing[0])]}; fetch the missing archives and run "
            "harness data index again"
        )
    classes = tuple(vocabulary[k] for k in kept)
    return Samples(
        split=split,
        root=root,
        files=names,
        label=label,
        source=_source(found, rows, sources) if split == "train" else _take(found.source, rows),
        query=_take(found.query, rows),
        rank=_take(found.rank, rows),
        weight=np.ones(len(label), np.float32),
        subset=np.zeros(len(label), np.int8),
        classes=classes,
        source_names=tuple(sources) if split == "train" else found.source_names,
        fingerprint=lists_fingerprint(
            edition.title, split, sources, kept, _digests(root, split, edition, synsets, sources)
        ),
        edition=edition.title,
        store=found.store if rows is None else found.store.take(rows),
        read_texts=partial(_read_texts, root, found, rows, sources) if split == "train" else None,
        read_queries=partial(_read_queries, root, edition) if split == "train" else None,
        read_context=partial(_context, root, edition, sources, classes),
    )


def _refuse_unlisted(root: Path, split: str, edition: Edition, *, labelled: bool) -> None:
    """Refuse a split without a list, as the reader of folders does."""
    if split in read_marker(index_folder(root))["splits"]:
        return
    lists = lists_of_indexed(root)
    if split == "test" and labelled:
        refuse_unlabelled(lists, edition)
    path = (
        train_list(lists, edition.source_names[0])
        if split == "train"
        else eval_list(lists, edition, "val" if split == "val" else "test")
    )
    raise DataError(f"{path} is missing: {edition.layout}")


def _check_edition(found: IndexedSplit, edition: Edition, root: Path) -> None:
    same = "webvision1" if edition.name == "mini-webvision" else edition.name
    if found.edition != same:
        raise DataError(
            f"{root} holds an index of {found.edition}, but --data names {edition.name}; "
            f"use --data {found.edition}:{root}"
        )


def _check_sources(found: IndexedSplit, sources: Sequence[str], root: Path) -> None:
    lacking = [name for name in sources if name not in found.source_names]
    if lacking:
        raise DataError(
            f"{root} was indexed without info/train_filelist_{lacking[0]}.txt; add the file and "
            f"run harness data index {root}, or choose source={found.source_names[0]}"
        )


def _read_texts(
    root: Path, found: IndexedSplit, rows: NDArray[np.int64] | None, sources: Sequence[str]
) -> list[Text]:
    lacking = [name for name in sources if name not in found.text_sources]
    if lacking:
        raise DataError(
            f"the index of {root} has no texts of {lacking[0]}, and this run needs texts; put "
            f"{lacking[0]}_meta.tar there and run harness data index {root}"
        )
    return found.texts(np.arange(len(found)) if rows is None else rows)


def _read_queries(root: Path, edition: Edition) -> Queries:
    return read_queries(lists_of_indexed(root), edition)


def _rows(
    found: IndexedSplit, split: str, sources: Sequence[str], kept: Sequence[int], num_classes: int
) -> NDArray[np.int64] | None:
    """The rows of the wanted classes and sources; None if all rows are wanted."""
    wanted = np.ones(len(found), np.bool_)
    if len(kept) < num_classes:
        wanted &= np.isin(found.label, np.asarray(kept))
    if split == "train" and set(sources) != set(found.source_names):
        numbers = [found.source_names.index(name) for name in sources]
        wanted &= np.isin(found.source, numbers)
    return None if wanted.all() else np.flatnonzero(wanted)


def _source(
    found: IndexedSplit, rows: NDArray[np.int64] | None, sources: Sequence[str]
) -> NDArray[np.int8]:
    """The source of each row, as an index into ``sources``."""
    if tuple(sources) == found.source_names:
        return _take(found.source, rows)
    order = [sources.index(n) if n in sources else -1 for n in found.source_names]
    numbers: NDArray[np.int8] = np.array(order, np.int8)[_take(found.source, rows)]
    return numbers


def _take(column: NDArray[T], rows: NDArray[np.int64] | None) -> NDArray[T]:
    return column if rows is None else column[rows]


def _digests(
    root: Path, split: str, edition: Edition, synsets: bytes, sources: Sequence[str]
) -> list[str]:
    """The digests of the lists that define a split, as recorded in the index."""
    noted = read_marker(index_folder(root))["lists"]
    if split == "train":
        names = [train_list(Path(), source).as_posix() for source in sources]
    else:
        labels = ("info/test_labels.txt", *edition.test.lists)
        names = [n for n in (edition.val.lists if split == "val" else labels) if n in noted][:1]
    return [hashlib.sha256(synsets).hexdigest(), *(str(noted[name][2]) for name in names)]


def _context(
    root: Path, edition: Edition, sources: Sequence[str], classes: Sequence[WebClass]
) -> str:
    files = read_marker(index_folder(root))["files"]
    texts = {name: about for name, about in files.items() if name.startswith("train/text")}
    return context_digest(lists_of_indexed(root), edition, sources, classes, texts)
