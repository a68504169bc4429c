"""Which classes a data set has, which of them are wanted, and how two vocabularies meet."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.data.webvision.lists.editions import WEBVISION1, Edition
from harness.data.webvision.lists.parse import Table, parse_lines, read_bytes
from harness.errors import DataError
from harness.samples import WebClass
from harness.store.reading import is_there

SYNSET_LINE = rb"(n[0-9]{8})[ \t]+(.+)"
# What the official preprocess.py writes: the ids alone.
BARE_SYNSET_LINE = rb"(n[0-9]{8})([ \t].*)?"
SYNSET_EXAMPLE = "n01440764 tench, Tinca tinca"
MAX_CLASSES = 1_000_000


class Synsets(NamedTuple):
    """The K classes of synsets.txt, whose place there is the label, and the list's bytes."""

    path: Path
    wnids: tuple[str, ...]
    words: tuple[str, ...]
    content: bytes


def read_synsets(root: Path, edition: Edition = WEBVISION1) -> Synsets:
    """Read info/synsets.txt, or what preprocess.py makes of it.

    Raises:
        DataError: It is missing or malformed, or names a WordNet id twice.
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
    """Return for each of ``from_wnids`` its place in ``to_wnids``, ``(K,)``; -1 where it has none.

    The only way from one edition's labels to another's: WebVision 1.0 and 2.0 share 1,000 classes
    and number them differently.

    >>> map_classes(["n01443537", "n01440764"], ["n01440764", "n02128925"]).tolist()
    [-1, 0]
    """
    places = {wnid: place for place, wnid in enumerate(to_wnids)}
    if len(places) < len(to_wnids):
        twice = next(wnid for wnid in to_wnids if to_wnids.count(wnid) > 1)
        raise DataError(
            f"{twice} stands twice among {len(to_wnids)} classes; a class has one place"
        )
    return np.array([places.get(wnid, -1) for wnid in from_wnids], np.int32)


def parse_class_numbers(text: str) -> tuple[int, ...] | None:
    """Read ``0-49,77`` as labels in rising order; None where it does not read so.

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
    """Write labels in rising order the short way.

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
    """Read a file that begins each line with a WordNet id: the ids in its order, and their labels.

    Raises:
        DataError: The file is missing, a line begins otherwise, an id stands there twice or the
            data do not have it.
    """
    content = read_bytes(path, "wnids=FILE names a file with a WordNet id on each line")
    found = parse_lines(path, content, BARE_SYNSET_LINE, "n01440764")
    wnids = _distinct_wnids(found)
    labels = map_classes(wnids, synsets.wnids)
    absent = np.flatnonzero(labels < 0)
    if len(absent):
        raise DataError(
            f"{found.where(int(absent[0]))}: {wnids[absent[0]]} is not in {synsets.path}; "
            f"{len(absent)} of {len(wnids)} classes are not"
        )
    return wnids, tuple(labels.tolist())


def _distinct_wnids(found: Table) -> tuple[str, ...]:
    """The first column; DataError if an id stands there twice."""
    wnids = tuple(wnid.decode() for wnid in found.columns[0])
    first: dict[str, int] = {}
    for row, wnid in enumerate(wnids):
        if first.setdefault(wnid, row) != row:
            raise DataError(
                f"{found.where(row)}: {wnid} stands on line {found.line[first[wnid]]} too; a class "
                "has one line"
            )
    return wnids


def wnids_word(wnids: Sequence[str]) -> str:
    """Name a list of classes on the leaderboard: how many, and a digest of which."""
    digest = hashlib.sha256("\n".join(wnids).encode()).hexdigest()
    return f"{len(wnids)} classes {digest[:8]}"


def _words(text: bytes) -> str:
    """Words for people and text encoders: bytes that are not UTF-8 are replaced."""
    return text.decode("utf-8", "replace").strip()


def _glosses(root: Path, synsets: Synsets) -> dict[str, tuple[str, str]]:
    """Lemmas and gloss: what the data set brings along, else WordNet's as timm has them."""
    path = root / "info" / "glosses.txt"
    if is_there(path):
        wnids, words = parse_lines(path, read_bytes(path), SYNSET_LINE, "n01440764 a fish").columns
        brought = dict(zip((wnid.decode() for wnid in wnids), map(_words, words), strict=True))
        return {wnid: ("", brought.get(wnid, "")) for wnid in synsets.wnids}
    from timm.data.imagenet_info import ImageNetInfo

    known: Any = ImageNetInfo("imagenet22k")
    names = set(known.label_names())
    found = {}
    for wnid in synsets.wnids:
        text = known.label_name_to_description(wnid, detailed=True) if wnid in names else ""
        lemmas, _, gloss = text.partition(": ")
        found[wnid] = (lemmas, gloss)
    return found
