"""Reads the lists of an edition for indexing and packing.

The lists are in ROOT/info, or in ROOT/info.tar, whose text files are then copied to the index.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import numpy as np
from numpy.typing import NDArray

from harness.data.pictures.strings import Strings
from harness.data.tar.headers import TarWalk
from harness.data.tar.litter import is_litter
from harness.data.webvision.index.changes import INFO, Stamp, list_files, lists_lie_in, stamp
from harness.data.webvision.lists.classes import read_synsets
from harness.data.webvision.lists.columns import (
    check_labels,
    eval_folder,
    eval_list,
    parse_train_list,
    ranks,
    read_eval,
    read_names,
    train_list,
)
from harness.data.webvision.lists.editions import Edition, detect_edition
from harness.data.webvision.lists.parse import MAX_LIST_BYTES, read_bytes
from harness.errors import DataError
from harness.store.files import atomic_write
from harness.store.reading import is_there, look_for


@dataclass(frozen=True, kw_only=True)
class ListedSplit:
    """The N entries of one split, in the lists' order; every column is ``(N,)``.

    ``label`` is -1 if it is not public; ``query`` and ``rank`` are -1 in val and test. ``lines`` is
    the number of entries of each source.
    """

    split: str
    names: Strings
    label: NDArray[np.int32]
    query: NDArray[np.int32]
    rank: NDArray[np.int32]
    source: NDArray[np.int8]
    source_names: tuple[str, ...]
    lines: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Lists:
    """All splits that have a list, the edition, and the stamp of each list, by its path."""

    root: Path
    edition: Edition
    splits: tuple[ListedSplit, ...]
    stamps: dict[str, Stamp]

    @property
    def digests(self) -> dict[str, str]:
        """The SHA-256 of each list's content."""
        return {name: known.digest for name, known in self.stamps.items() if name != INFO}


def read_lists(root: Path, index: Path) -> Lists:
    """Read the lists below ``root``, or those of its info.tar, copied to ``index``.

    Raises:
        DataError: There are no lists, or one is malformed; list and line are named.
    """
    place = lists_lie_in(root, index)
    stamps = {}
    if place != root:
        stamps[INFO] = stamp(root / INFO)
        _copy_info(root / INFO, index)
    edition = detect_edition(place)
    # Stamped before they are read, so that a change during reading is detected later.
    stamps |= {name: stamp(path) for name, path in list_files(place, root, edition).items()}
    classes = len(read_synsets(place, edition).wnids)
    found = [
        _read_train(place, edition, classes),
        _read_eval((place, root), edition, "val", classes),
        _read_eval((place, root), edition, "test", classes),
    ]
    splits = tuple(listed for listed in found if listed is not None)
    if not splits:
        raise DataError(f"{place / 'info'} has neither training nor val lists; {edition.layout}")
    return Lists(root=place, edition=edition, splits=splits, stamps=stamps)


def _read_train(root: Path, edition: Edition, classes: int) -> ListedSplit | None:
    parts = []
    sources = [name for name in edition.source_names if is_there(train_list(root, name))]
    for name in sources:
        path = train_list(root, name)
        content = read_bytes(path, edition.layout)
        listing = parse_train_list(path, content, edition, name)
        check_labels(path, listing.label, listing.line, classes)
        names = Strings.of_array(listing.files)
        parts.append((names, listing.label, listing.number, ranks(listing.number)))
    if not parts:
        return None
    lines = tuple(len(part[0]) for part in parts)
    _, label, query, rank = zip(*parts, strict=True)
    return ListedSplit(
        split="train",
        names=Strings.concatenate([part[0] for part in parts]),
        label=np.concatenate(label),
        query=np.concatenate(query),
        rank=np.concatenate(rank),
        source=np.repeat(np.arange(len(lines), dtype=np.int8), lines),
        source_names=tuple(sources),
        lines=lines,
    )


def _read_eval(
    places: tuple[Path, Path], edition: Edition, split: Literal["val", "test"], classes: int
) -> ListedSplit | None:
    place = next((there for there in places if look_for(eval_list(there, edition, split))), None)
    if place is None:
        return None
    path = eval_list(place, edition, split)
    if split == "val" or is_there(place / "info" / "test_labels.txt"):
        columns = read_eval(place, edition, split, classes)
        files, label = columns.files, columns.label
    else:
        folder = eval_folder(place, edition, split).encode()
        names = read_names(path, edition).columns[0]
        files = np.array([folder + b"/" + name for name in names])
        label = np.full(len(files), -1, np.int32)
    nothing = np.full(len(label), -1, np.int32)
    return ListedSplit(
        split=split,
        names=Strings.of_array(files),
        label=label,
        query=nothing,
        rank=nothing,
        source=np.zeros(len(label), np.int8),
        source_names=edition.source_names,
        lines=(len(label),),
    )


def put_file(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` unless it is there already."""

    def write(file: IO[bytes]) -> None:
        file.write(content)

    if not (look_for(path) and path.read_bytes() == content):
        atomic_write(path, write)


def _copy_info(archive: Path, index: Path) -> None:
    """Copy info.tar's text files to ``index``/info; a picture is never unpacked."""
    found = False
    with archive.open("rb") as file:
        for name, offset, size in TarWalk(archive):
            folder, _, base = name.decode("utf-8", "replace").rpartition("/")
            if not base.endswith(".txt") or is_litter(name) or folder.count("/") > 1:
                continue
            if size > MAX_LIST_BYTES:
                raise DataError(
                    f"{archive}: {base} has {size} bytes, too many for a list; download it again"
                )
            file.seek(offset)
            put_file(index / "info" / base, file.read(size))
            found = True
    if not found:
        raise DataError(f"{archive} holds no list (*.txt): download it again")
