"""Reads WebVision's editions from folders: lists and labels at once, texts on demand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.data.pictures.names import Names
from harness.data.pictures.strings import Strings
from harness.data.webvision.context import context_digest
from harness.data.webvision.ilsvrc import ILSVRC
from harness.data.webvision.lists.classes import format_class_numbers, read_classes
from harness.data.webvision.lists.columns import (
    ListColumns,
    is_rearranged,
    read_eval,
    read_train,
    read_unlabelled,
    train_list,
)
from harness.data.webvision.lists.editions import WEBVISION1, Edition
from harness.data.webvision.lists.parse import shown
from harness.data.webvision.lists.queries import read_queries
from harness.data.webvision.lists.texts import read_texts
from harness.errors import DataError, NoLabelsError, unknown
from harness.samples import Samples, Text, WebClass
from harness.store.reading import is_there
from harness.store.record import digest

Split = Literal["train", "val", "test"]

SPLITS: tuple[Split, ...] = ("train", "val", "test")
SOURCES = WEBVISION1.source_names
EDITION = WEBVISION1.title
# Up to this number every file is looked for, above it an even spread of them.
ALL_FILES_UP_TO = 20_000


def read_split(  # noqa: PLR0913 - what to read, and how
    root: Path,
    split: Split,
    *,
    sources: Sequence[str] | None = None,
    classes: Sequence[int] | None = None,
    edition: Edition | str = WEBVISION1,
    allow_empty: bool = False,
    labelled: bool = True,
) -> Samples:
    """Read one split of a data set in the layout of ``edition``.

    ``sources`` chooses and orders the training lists. ``classes`` are the labels to keep; they are
    renumbered from 0 in this order. ``query`` is the number in the folder's name (from 1), ``rank``
    the position in that query's part of the list; both are -1 in val and test. If ``edition`` is a
    string, it is the title of another data set in WebVision 1.0's layout. Without ``labelled``, all
    pictures of val or test are read, whatever their class, with the label -1.

    Raises:
        NoLabelsError: The labels of test are not public.
        DataError: A list is missing, a line is malformed or its label out of range (list and line
            are named), or a class has no training sample and ``allow_empty`` is not set.
    """
    layout = replace(WEBVISION1, title=edition) if isinstance(edition, str) else edition
    sources = layout.source_names if sources is None else tuple(sources)
    vocabulary, synsets = read_classes(root, layout)
    kept = select_labels(root, classes, layout, len(vocabulary))
    if split == "train":
        columns = read_train(root, layout, sources, [known.wnid for known in vocabulary])
    elif labelled:
        columns = read_eval(root, layout, split, len(vocabulary))
    else:
        columns = read_unlabelled(root, layout, split)
    places = np.full(len(vocabulary), -1, np.int32)
    places[list(kept)] = np.arange(len(kept))
    label = places[columns.label] if labelled else columns.label
    rows = np.flatnonzero(label >= 0) if labelled else np.arange(len(label))
    chosen = rows if len(rows) < len(label) else None
    named = tuple(vocabulary[k] for k in kept)
    if split == "train" and not allow_empty:
        refuse_empty_classes(root, label[rows], named, sources)
    return Samples(
        split=split,
        root=root,
        files=Names(Strings.of_array(columns.files), chosen, columns.listed_in()),
        label=label[rows],
        source=columns.source[rows],
        query=columns.query[rows],
        rank=columns.rank[rows],
        weight=np.ones(len(rows), np.float32),
        subset=np.zeros(len(rows), np.int8),
        classes=named,
        source_names=sources if split == "train" else layout.source_names,
        fingerprint=lists_fingerprint(
            layout.title,
            split,
            sources,
            kept,
            [hashlib.sha256(content).hexdigest() for content in (synsets, *columns.content)],
        ),
        edition=layout.title,
        read_texts=_texts(root, layout, sources, columns, chosen) if split == "train" else None,
        read_queries=partial(read_queries, root, layout) if split == "train" else None,
        read_context=partial(context_digest, root, layout, sources, named),
    )


def missing_files(samples: Samples, *, sample_of: int = 2_000) -> list[str]:
    """Return the listed pictures that are missing, relative to the root.

    Looks for all pictures up to ``ALL_FILES_UP_TO``, else for ``sample_of`` evenly spread ones.

    Raises:
        DataError: More than 1 % of them are missing; the list and the first such line are named.
    """
    files = samples.files if isinstance(samples.files, Names) else Names.of(samples.files.tolist())
    if len(samples) <= ALL_FILES_UP_TO:
        looked = list(range(len(samples)))
    else:
        looked = np.linspace(0, len(samples) - 1, sample_of).astype(np.int64).tolist()
    store = files.store(samples.root)
    missing = [row for row in looked if not store.is_there(row)]
    if len(missing) * 100 > len(looked):
        raise DataError(
            f"{files.where(missing[0]) or samples.root}: {shown(store.raw_name(missing[0]))} is "
            f"not in {samples.root}; {len(missing)} of {len(looked)} pictures looked for are "
            "missing: unpack the archives of pictures there"
        )
    return [files[row] for row in missing]


def as_split(name: str) -> Split:
    """Return ``name`` if it is a split.

    Raises:
        NoLabelsError: It is "ilsvrc", which only exists if ``ilsvrc=`` was given.
        DataError: It is not a split.
    """
    for split in SPLITS:
        if split == name:
            return split
    if name == ILSVRC:
        raise NoLabelsError(
            "no pictures of ILSVRC-12 were given; add ilsvrc=FOLDER to --data of an edition of "
            "WebVision"
        )
    raise DataError(unknown("split", name, SPLITS))


def select_labels(
    root: Path, classes: Sequence[int] | None, layout: Edition, num_classes: int
) -> Sequence[int]:
    """Return the edition's labels to keep, in their new order.

    Raises:
        DataError: The edition does not have one of them, or one is given twice.
    """
    whole = layout.kept or range(num_classes)
    kept = whole if classes is None else classes
    inside = range(num_classes) if layout.kept is None else range(min(num_classes, whole.stop))
    if not kept or min(kept) < inside.start or max(kept) >= inside.stop:
        shown = format_class_numbers(kept) if len(kept) else "none"
        raise DataError(
            f"classes {shown} were asked for, but {root} has {inside.start}-{inside.stop - 1}; "
            "choose classes= in that range"
        )
    if len(set(kept)) < len(kept):
        raise DataError(
            f"classes {format_class_numbers(kept)} name a class twice; give each class once"
        )
    return kept


def lists_fingerprint(
    title: str, split: str, sources: Sequence[str], kept: Sequence[int], digests: Sequence[str]
) -> str:
    """Return the digest of a split's lists, the same for folders and for archives.

    ``digests`` are the SHA-256 of synsets.txt and of each list that names pictures and labels.
    """
    return digest([title, split, list(sources), list(kept), list(digests)])


def _texts(
    root: Path,
    layout: Edition,
    sources: Sequence[str],
    columns: ListColumns,
    rows: NDArray[np.int64] | None,
) -> Callable[[], list[Text]]:
    """Return a function that reads the texts of some or all rows, or says why it cannot."""
    if is_rearranged(root, layout) and not is_there(train_list(root, sources[0])):

        def refuse() -> list[Text]:
            raise DataError(
                f"the texts of {root} cannot be matched to its pictures: meta/train.txt does not "
                "give their queries; also unpack info.tar there"
            )

        return refuse
    lines = dict(zip(sources, columns.lines, strict=True))
    count = len(columns.label)
    return lambda: read_texts(root, lines, np.arange(count) if rows is None else rows, layout)


def refuse_empty_classes(
    root: Path, label: NDArray[np.int32], named: Sequence[WebClass], sources: Sequence[str]
) -> None:
    """Raise DataError if a class has no training sample; the first such class is named."""
    empty = np.flatnonzero(np.bincount(label, minlength=len(named)) == 0)
    if len(empty):
        first = named[empty[0]]
        raise DataError(
            f"{len(empty)} of {len(named)} classes of {root} have no training sample from "
            f"{' and '.join(sources)}, the first is {first.wnid} {first.lemmas}; choose other "
            "classes or sources"
        )
