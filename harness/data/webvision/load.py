"""Loads a split of an edition for a run, from folders or from archives."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from harness.data.webvision.ilsvrc import ILSVRC, read_ilsvrc
from harness.data.webvision.indexed import is_indexed, lists_of_indexed, read_indexed
from harness.data.webvision.lists.classes import read_classes, read_synsets
from harness.data.webvision.lists.editions import Edition
from harness.data.webvision.lists.soundness import empty_classes, uneven_classes
from harness.data.webvision.reader import (
    Split,
    as_split,
    missing_files,
    read_split,
    refuse_empty_classes,
    select_labels,
)
from harness.data.webvision.selection import Selection, select
from harness.errors import DataError, NoLabelsError
from harness.samples import Samples
from harness.terminal import note

if TYPE_CHECKING:
    from harness.spec import RunSpec


def load(spec: RunSpec, split: str, edition: Edition) -> Samples:
    """Read what ``--data`` names, from an index if there is one, otherwise from folders.

    Raises:
        DataError: The folder is not named, or does not have the edition's layout.
        NoLabelsError: The labels of the split are not public; it reads the pictures without them.
    """
    if not spec.data or not spec.data.path:
        raise DataError(
            f"--data {edition.name} needs a folder, for example "
            f"--data {edition.name}:/data/webvision"
        )
    root = Path(spec.data.path).expanduser()
    lists = lists_of_indexed(root) if is_indexed(root) else root
    chosen = select(spec.data.options, edition, lists)
    if split == ILSVRC and chosen.ilsvrc:
        return _checked(_load_ilsvrc(lists, edition, chosen, chosen.ilsvrc))
    read = partial(_read, root, lists, as_split(split), edition, chosen)
    try:
        return _checked(read())
    except NoLabelsError as error:
        raise NoLabelsError(str(error), lambda: _checked(read(labelled=False))) from error


def _read(
    root: Path,
    lists: Path,
    split: Split,
    edition: Edition,
    chosen: Selection,
    *,
    labelled: bool = True,
) -> Samples:
    if is_indexed(root):
        return _load_indexed(root, lists, split, edition, chosen, labelled=labelled)
    return read_split(
        root,
        split,
        sources=chosen.sources,
        classes=chosen.classes,
        edition=replace(edition, title=chosen.title),
        labelled=labelled,
    )


def _checked(samples: Samples) -> Samples:
    if samples.store is None:
        missing_files(samples)
    _note_doubts(samples)
    return samples


def _note_doubts(samples: Samples) -> None:
    """Print what may make the scores of a split wrong."""
    if samples.split == "train" or not samples.has_labels:
        return
    doubts = empty_classes(samples.root, samples.split, samples.label, samples.classes)
    if samples.split == ILSVRC:
        doubts = uneven_classes(samples.root, samples.label, samples.classes)
    for doubt in doubts:
        _note_once(doubt)


@cache
def _note_once(doubt: str) -> None:
    note(f"warning: {doubt}")


def _load_indexed(
    root: Path, lists: Path, split: Split, edition: Edition, chosen: Selection, *, labelled: bool
) -> Samples:
    listed = read_classes(lists, edition)
    kept = select_labels(root, chosen.classes, edition, len(listed[0]))
    layout = replace(edition, title=chosen.title)
    samples = read_indexed(root, split, layout, listed, kept, chosen.sources, labelled=labelled)
    if split == "train":
        refuse_empty_classes(root, samples.label, samples.classes, chosen.sources)
    return samples


def _load_ilsvrc(lists: Path, edition: Edition, chosen: Selection, pictures: Path) -> Samples:
    vocabulary, _ = read_classes(lists, edition)
    kept = select_labels(lists, chosen.classes, edition, len(vocabulary))
    return read_ilsvrc(
        pictures,
        tuple(vocabulary[k] for k in kept),
        numbered=read_synsets(lists, edition).wnids if edition.ilsvrc_numbers else None,
        edition=chosen.title,
    )
