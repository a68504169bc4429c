"""Faults in lists that make scores wrong: certain ones raise an error, likely ones a warning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.data.webvision.lists.parse import shown
from harness.errors import DataError
from harness.samples import WebClass

ILSVRC_PICTURES = 50  # of each class, in the whole validation set


def refuse_repeated(
    names: Sequence[bytes], labels: Sequence[object], where: Callable[[int], str]
) -> None:
    """Raise DataError if a picture is listed twice: it would count twice, or for two classes.

    ``where`` returns the list and line of a row.
    """
    if len(set(names)) == len(names):
        return
    first: dict[bytes, int] = {}
    for row, name in enumerate(names):
        before = first.setdefault(name, row)
        if before != row:
            same = labels[row] == labels[before]
            label = "the same label" if same else f"label {labels[before]}, here {labels[row]}"
            raise DataError(
                f"{where(row)}: {shown(name)} is listed before, {where(before)}, with {label}; a "
                "picture that is scored must have one line: remove the wrong one"
            )


def empty_classes(
    place: Path, split: str, label: NDArray[np.int32], classes: Sequence[WebClass]
) -> list[str]:
    """Return a warning if classes have no picture in a split that is scored.

    If only the first class has none, the list may count from 1 and lack the last class, or it may
    just lack the first. A label that proves the former is refused when lists are read.
    """
    empty = np.flatnonzero(np.bincount(label, minlength=len(classes)) == 0)
    if not len(empty):
        return []
    first = classes[empty[0]]
    if len(empty) == 1 and not empty[0] and len(classes) > 1:
        return [
            f"{place}: of {len(classes)} classes only the first, label 0, {first.wnid} "
            f"{first.lemmas}, has no picture in {split}; if the list counts its labels from 1, all "
            "scores are wrong: subtract 1 from each; otherwise scores cover only the other classes"
        ]
    return [
        f"{place}: {len(empty)} of {len(classes)} classes have no picture in {split}, the first is "
        f"{first.wnid} {first.lemmas}; scores cover only the other classes"
    ]


def uneven_classes(place: Path, label: NDArray[np.int32], classes: Sequence[WebClass]) -> list[str]:
    """Return a warning if classes do not have the 50 pictures of ILSVRC-12's validation set."""
    counts = np.bincount(label, minlength=len(classes))
    odd = np.flatnonzero((counts > 0) & (counts != ILSVRC_PICTURES))
    if not len(odd):
        return []
    first = classes[odd[0]]
    return [
        f"{place}: {len(odd)} of {np.count_nonzero(counts)} classes do not have the "
        f"{ILSVRC_PICTURES} pictures of ILSVRC-12's validation set, the first is {first.wnid} "
        f"{first.lemmas} with {counts[odd[0]]}; the scores are not comparable with published ones"
    ]
