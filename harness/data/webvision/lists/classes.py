"""The classes of a data set, selections of them, and the mapping between two editions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.data.webvision.lists.editions import WEBVISION1, Edition
from harness.data.webvision.lists.parse import ListTable, parse_lines, read_bytes
from harness.errors import DataError
from harness.samples import WebClass
from harness.store.reading import is_there

SYNSET_LINE = rb"(n[0-9]{8})[ \t]+(.+)"
# The official preprocess.py writes only the ids.
BARE_SYNSET_LINE = rb"(n[0-9]{8})([ \t].*)?"
SYNSET_EXAMPLE = "n01440764 tench, Tinca tinca"
MAX_CLASSES = 1_000_000


class Synsets(NamedTuple):
    """The K classes of synsets.txt in the order of their labels, and the list's bytes."""

    path: Path
    wnids: tuple[str, ...]
    words: tuple[str, ...]
    content: bytes


def read_synsets(root: Path, edition: Edition = WEBVISION1) -> Synsets:
    """Read info/synsets.txt, or the version that preprocess.py writes.

    Raises:
        DataError: It is missing or malformed, or has a WordNet id twice.
    """
    path, line = root / "info" / "synsets.txt", SYNSET_LINE
    prepared = root / "meta" / "synsets.txt"
    if edition.rearranged and not is_there(path) and is_there(prepared):
        path, line = prepared, BARE_SYNSET_LINE
    content = read_bytes(path, edition.layout)
    found = parse_lines(path, content, line, SYNSET_EXAMPLE)
    wnids = _distinct_wnids(found)
    return Synsets(path, wnids, tuple(map(_words, found.columns[1])), content)


def read_classes(root: Path, edition: Edition = WEBVISION1) -> tuple[tuple[WebClass, ...], bytes]:
    """Return the classes in the order of their labels, with glosses, and synsets.txt's bytes."""
    synsets = read_synsets(root, edition)
    known = _glosses(root, synsets)
    named = zip(synsets.wnids, synsets.words, strict=True)
    classes = (WebClass(w, words or known[w][0], known[w][1]) for w, words in named)
    return tuple(classes), synsets.content


def map_classes(from_wnids: Sequence[str], to_wnids: Sequence[str]) -> NDArray[np.int32]:
    """Return the index in ``to_wnids`` of each of ``from_wnids``, ``(K,)``; -1 if it is not there.

    This is the only way to compare labels of two editions: WebVision 1.0 and 2.0 share 1,000
    classes and number them differently.

    >>> map_classes(["n01443537", "n01440764"], ["n01440764", "n02128925"]).tolist()
    [-1, 0]
    """
    places = {wnid: place for place, wnid in enumerate(to_wnids)}
    if len(places) < len(to_wnids):
        twice = next(wnid for wnid in to_wnids if to_wnids.count(wnid) > 1)
        raise DataError(
            f"{twice} is listed twice among {len(to_wnids)} classes; list each class once"
        )
    return np.array([places.get(wnid, -1) for wnid in from_wnids], np.int32)


def parse_class_numbers(text: str) -> tuple[int, ...] | None:
    """Parse ``0-49,77`` to labels in ascending order; None if it is malformed.

    >>> parse_class_numbers("7,0-2")
    (0, 1, 2, 7)
    """
    numbers: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"([0-9]{1,6})(?:-([0-9]{1,6}))?", part.strip())
        if not match or int(match[2] or match[1]) < int(match[1]):
            return None
        numbers.extend(range(int(match[1]), int(match[2] or match[1]) + 1))
        if len(numbers) > MAX_CLASSES:
            return None
    return tuple(sorted(numbers)) if len(set(numbers)) == len(numbers) else None


def format_class_numbers(numbers: Sequence[int]) -> str:
    """Format labels in ascending order as short ranges.

    >>> format_class_numbers([0, 1, 2, 7])
    '0-2,7'
    """
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in parts)


def read_wnids(path: Path, synsets: Synsets) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Read a file with a WordNet id at the start of each line: the ids in order, and their labels.

    Raises:
        DataError: The file is missing, a line does not start with an id, or an id is listed twice
            or is not in the data.
    """
    content = read_bytes(path, "wnids=FILE names a file with a WordNet id on each line")
    found = parse_lines(path, content, BARE_SYNSET_LINE, "n01440764")
    wnids = _distinct_wnids(found)
    labels = map_classes(wnids, synsets.wnids)
    absent = np.flatnonzero(labels < 0)
    if len(absent):
        raise DataError(
            f"{found.where(int(absent[0]))}: {wnids[absent[0]]} is not in {synsets.path}; "
            f"{len(absent)} of {len(wnids)} classes are not; remove them"
        )
    return wnids, tuple(labels.tolist())


def _distinct_wnids(found: ListTable) -> tuple[str, ...]:
    """The first column; raises DataError if an id is listed twice."""
    wnids = tuple(wnid.decode() for wnid in found.columns[0])
    first: dict[str, int] = {}
    for row, wnid in enumerate(wnids):
        if first.setdefault(wnid, row) != row:
            raise DataError(
                f"{found.where(row)}: {wnid} is on line {found.line[first[wnid]]} as well; list "
                "each class once"
            )
    return wnids


def wnids_word(wnids: Sequence[str]) -> str:
    """Return the leaderboard's name of a list of classes: their number and a digest."""
    digest = hashlib.sha256("\n".join(wnids).encode()).hexdigest()
    return f"{len(wnids)} classes {digest[:8]}"


def _words(text: bytes) -> str:
    """Decode words for people and text encoders; bytes that are not UTF-8 are replaced."""
    return text.decode("utf-8", "replace").strip()


def _glosses(root: Path, synsets: Synsets) -> dict[str, tuple[str, str]]:
    """Lemmas and gloss of each class, from info/glosses.txt if it exists, otherwise from timm."""
    path = root / "info" / "glosses.txt"
    if is_there(path):
        wnids, words = parse_lines(path, read_bytes(path), SYNSET_LINE, "n01440764 a fish").columns
        brought = dict(zip((wnid.decode() for wnid in wnids), map(_words, words), strict=True))
        return {wnid: ("", brought.get(wnid, "")) for wnid in synsets.wnids}
    known, ids = _imagenet()
    found = {}
    for wnid in synsets.wnids:
        text = known.label_name_to_description(wnid, detailed=True) if wnid in ids else ""
        lemmas, _, gloss = text.partition(": ")
        found[wnid] = (lemmas, gloss)
    return found


@cache  # parsing timm's three lists takes 40 ms, and each split of a run asks for them
def _imagenet() -> tuple[Any, frozenset[str]]:
    """Return timm's lemmas and glosses of ImageNet-22k, and the ids that it has."""
    from timm.data.imagenet_info import ImageNetInfo

    known: Any = ImageNetInfo("imagenet22k")
    return known, frozenset(known.label_names())
