"""Checks the pictures of a split, in folders or in archives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from harness.data.pictures.digests import DigestingStore, digests_file, save_digests
from harness.data.pictures.inventory import inventory_of
from harness.data.pictures.store import FolderStore, TarStore
from harness.data.pictures.strings import Strings
from harness.data.webvision.check.images import SplitPictures, Step, Together, count_images
from harness.data.webvision.check.names import TrainList
from harness.data.webvision.check.parts import Pass
from harness.data.webvision.check.report import ImageCount
from harness.data.webvision.lists.columns import ListColumns, eval_list
from harness.store.reading import is_there

EvalName = Literal["val", "test"]


def count_train_images(at: Pass, lists: Sequence[TrainList]) -> ImageCount | None:
    """Check the pictures that the training lists name; None if none are checked."""
    edges = np.cumsum([0, *(len(found.label) for found in lists)])

    def where(row: int) -> str:
        place = int(np.searchsorted(edges, row, side="right")) - 1
        return lists[place].where(row - int(edges[place]))

    return _count_images(at, "train", lists, np.concatenate([f.files for f in lists]), where)


def _count_images(
    at: Pass,
    split: str,
    lists: Sequence[TrainList],
    files: NDArray[np.bytes_],
    where: Callable[[int], str],
) -> ImageCount | None:
    """Check pictures in folders or in archives; None if the index was made from other lists."""
    if at.images == "none" or (at.archives and not at.archives.current):
        return None
    if at.archives:
        listed = at.archives.listed(split, lists, where)
    else:
        store = FolderStore(at.root, Strings.of_array(files))
        listed = SplitPictures(split, store, lambda row: f"{where(row)}: {store.name(row)}", None)
    step = partial(at.progress, f"pictures of {split}")
    if at.images == "all" and at.home:
        return _digest_images(at, at.home, listed, step)
    return count_images(listed, at.images, at.findings, step, at.ranks)


def _digest_images(at: Pass, home: Path, listed: SplitPictures, step: Step) -> ImageCount:
    """Check all pictures, and save the digests of what was read."""
    store = listed.store
    assert isinstance(store, (FolderStore, TarStore))
    seen = inventory_of(store)
    digesting = DigestingStore(store, seen)
    missing = np.flatnonzero(seen.size < 0) if listed.missing is None else listed.missing
    listed = listed._replace(store=digesting, missing=missing)
    count = count_images(listed, at.images, at.findings, step, at.ranks)
    _merge(digesting, at.ranks)
    path = digests_file(home, at.root, listed.split)
    own = (path, store, seen, digesting.digest, digesting.known)
    at.ranks.together(lambda: save_digests(*own) if at.ranks.rank == 0 else None)
    known = int(np.count_nonzero(digesting.known))
    text = f"{listed.split}: {path} has digests of {known} of {len(store)} pictures"
    at.findings.add(
        "note", f"{text}; runs identify the data by them" if known == len(store) else text
    )
    return count


def _merge(digesting: DigestingStore, ranks: Together) -> None:
    """Give the first process the digests of all; the others keep their own."""
    own = np.flatnonzero(digesting.known)
    for part in ranks.collect((own, digesting.digest[own])):
        rows, digest = cast("tuple[NDArray[np.int64], NDArray[np.uint8]]", part)
        digesting.digest[rows], digesting.known[rows] = digest, True


def eval_root(at: Pass, split: EvalName) -> Path:
    """Return the folder of the list of val or test: 2.0 has it beside info.tar, not in it."""
    places = (
        place for place in (at.place, at.root) if is_there(eval_list(place, at.edition, split))
    )
    return next(places, at.place)


def count_eval_images(at: Pass, split: EvalName, columns: ListColumns | None) -> ImageCount | None:
    """Check the pictures of val or test; None if none are checked."""
    if columns is None:
        return None
    path, line = columns.paths[0], columns.line
    return _count_images(at, split, (), columns.files, lambda row: f"{path}, line {line[row]}")
