"""Checks the index of archives: what has changed since indexing, and what it can read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.data.webvision.check.images import SplitPictures, Step
from harness.data.webvision.check.names import TrainList
from harness.data.webvision.check.report import ArchiveCount, Findings, TextCount
from harness.data.webvision.check.texts import count_packed
from harness.data.webvision.index.changes import (
    archives_in,
    changed_archives,
    changed_lists,
    lists_lie_in,
    new_archives,
    remedy,
)
from harness.data.webvision.index.open import (
    FOLDER,
    MARKER,
    IndexedSplit,
    Members,
    open_columns,
    read_marker,
    root_of,
)
from harness.errors import DataError
from harness.samplers import Rows
from harness.store.reading import look_for


@dataclass(frozen=True, kw_only=True)
class Archives:
    """An index on disk; ``current`` is whether its lists have not changed since."""

    root: Path  # where the archives are
    index: Path
    about: dict[str, Any]
    changed: dict[str, str]  # what is wrong with an archive, by its name
    current: bool

    def split(self, name: str) -> IndexedSplit:
        """Open one split; raises DataError if it is missing or damaged."""
        return open_columns(self.index, self.about, name)

    def listed(
        self, split: str, lists: Sequence[TrainList], where: Callable[[int], str]
    ) -> SplitPictures:
        """Return the pictures of a split, of train those of ``lists``; ``where`` names their lines.

        Raises:
            DataError: The split is not in the index, or damaged.
        """
        found = self.split(split)
        rows = np.arange(len(found))
        if lists:
            rows = np.concatenate([rows_of(found, known) for known in lists])
        store = found.store.take(rows)
        tars = [name for name, *_ in self.about["tars"]]
        bad = [-1, *(tars.index(name) for name in self.changed)]
        missing = np.flatnonzero(np.isin(found.places.shard[rows], bad))
        return SplitPictures(split, store, lambda row: f"{where(row)}: {store.where(row)}", missing)

    def texts(self, known: TrainList, step: Step) -> TextCount | None:
        """Count the texts of one source; None if the index has none of it."""
        found = self.split("train")
        if found.packed_texts is None or known.source not in found.text_sources:
            return None
        return count_packed(known, found.packed_texts, rows_of(found, known), step)

    def counts(self) -> tuple[ArchiveCount, ...]:
        """Count the entries in each archive; archives that are not in the index come last."""
        entries = np.zeros(len(self.about["tars"]), np.int64)
        for split in self.about["splits"]:
            shard = self.split(split).places.shard
            entries += np.bincount(shard[shard >= 0], minlength=len(entries))
        counts = [
            ArchiveCount(
                name=name,
                bytes=size,
                entries=count,
                state="changed or gone" if name in self.changed else "as indexed",
            )
            for (name, size, _), count in zip(self.about["tars"], entries.tolist(), strict=True)
        ]
        return (
            *counts,
            *(
                ArchiveCount(
                    name=path.name, bytes=path.stat().st_size, entries=0, state="not indexed"
                )
                for path in new_archives(self.root, self.about)
            ),
        )


def is_indexed(root: Path) -> bool:
    """Return whether there is a finished index in ``root``, of any version."""
    return look_for(root / FOLDER / MARKER)


def find_archives(root: Path, findings: Findings) -> Archives | None:
    """Return the finished index in ``root`` and report what has changed; None if there is none.

    Raises:
        DataError: The index cannot be read.
    """
    index = root / FOLDER
    if not is_indexed(root):
        tars = archives_in(root)
        if tars:
            findings.add(
                "note",
                f"{root} holds archives, the first is {tars[0].name}; after {remedy(root, index)}"
                " runs read them without unpacking",
            )
        return None
    about = read_marker(index)
    place = root_of(index, about)
    changed = changed_archives(place, about)
    lists = list(changed_lists(place, index, about))
    for text in (*changed.values(), *lists):
        findings.add("error", f"{text}; run {remedy(place, index)}")
    for text in Members(**about["members"]).oddities():
        findings.add("note", text)
    if lists:
        findings.add("note", "pictures are not checked: the lists have changed since indexing")
    return Archives(root=place, index=index, about=about, changed=changed, current=not lists)


def lists_root(root: Path, archives: Archives | None) -> Path:
    """Return the folder that holds info/, which may be the index."""
    return root if archives is None else lists_lie_in(archives.root, archives.index)


def rows_of(found: IndexedSplit, known: TrainList) -> Rows:
    """Return the rows of the index that correspond to the lines of one source's list.

    Raises:
        DataError: The index has no list of that source.
    """
    if known.source not in found.source_names:
        raise DataError(f"the index has no list of {known.source}")
    first = np.searchsorted(found.source, found.source_names.index(known.source))
    rows: Rows = first + known.rows
    return rows
