"""Packs titles, descriptions and tags of all rows into one file of the index."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.data.pictures.strings import Strings
from harness.data.webvision.index.lists import ListedSplit, Lists
from harness.data.webvision.lists.editions import Edition
from harness.data.webvision.lists.texts import (
    MAX_JSON_BYTES,
    meta_list,
    metadata_folder,
    read_places,
    text_of,
)
from harness.samples import Text
from harness.store.files import atomic_write
from harness.store.reading import look_for, read_part, read_plain


class Member(NamedTuple):
    """A JSON file inside an archive."""

    path: Path
    offset: int
    size: int


class PackedTexts(NamedTuple):
    """Start and length of each row's text in the file, ``(N,)`` each, and counts of problems.

    ``sources`` are the sources that have texts.
    """

    start: NDArray[np.int64]
    length: NDArray[np.int32]
    problems: Counter[str]
    sources: tuple[str, ...]


def text_at(texts: Strings, row: int) -> Text:
    """Return the text of ``row``; empty if the row has none."""
    packed = texts[row]
    if not packed:
        return Text()
    title, description, tags = json.loads(packed)
    return Text(title, description, tuple(tags))


class Metadata:
    """The JSON files of all queries, in archives or unpacked."""

    def __init__(self, root: Path, edition: Edition) -> None:
        self._root = root
        self._sources = edition.source_names
        self._members: dict[tuple[str, str], Member] = {}

    def add(self, archive: Path, name: bytes, offset: int, size: int) -> None:
        """Record a JSON member; its source is in its folders' names or in the archive's name."""
        *folders, base = name.decode("utf-8", "replace").split("/")
        for source in self._sources:
            if any(part.startswith(source) for part in (*folders, archive.name)):
                self._members[source, base] = Member(archive, offset, size)
                return

    def has(self, source: str) -> bool:
        """Return whether there is any metadata of ``source``."""
        inside = any(name == source for name, _ in self._members)
        folder = metadata_folder(self._root, source)
        return inside or next(folder.glob("q*.json"), None) is not None

    def read(self, source: str, base: str) -> list[Any] | None:
        """Return the entries of one query; None if they are missing, too large or broken."""
        member = self._members.get((source, base))
        path = member.path if member else metadata_folder(self._root, source) / base
        try:
            if member is None:
                content = read_plain(path, MAX_JSON_BYTES)
            elif member.size <= MAX_JSON_BYTES:
                content = read_part(path, member.size, member.offset)
            else:
                return None
            entries = json.loads(content.decode("utf-8-sig", errors="replace"))
        except (OSError, ValueError, RecursionError):
            return None
        return entries if isinstance(entries, list) else None


def write_texts(
    path: Path,
    lists: Lists,
    listed: ListedSplit,
    metadata: Metadata,
    progress: Callable[[int], object],
) -> PackedTexts | None:
    """Write the texts of the training rows to ``path``, query by query.

    Each text is JSON: title, description, tags. Returns None if no source has metadata. Rows whose
    JSON file is missing or broken, or whose position is outside it, have no text.

    Raises:
        DataError: A metadata list does not have one line per picture, or has a malformed one.
    """
    sources = [
        (name, count)
        for name, count in zip(listed.source_names, listed.lines, strict=True)
        if look_for(meta_list(lists.root, name)) and metadata.has(name)
    ]
    if not sources:
        return None
    size = len(listed.label)
    packed = PackedTexts(
        np.zeros(size, np.int64),
        np.zeros(size, np.int32),
        Counter(),
        tuple(name for name, _ in sources),
    )
    firsts = dict(zip(listed.source_names, np.cumsum([0, *listed.lines]).tolist(), strict=False))

    def write(file: IO[bytes]) -> None:
        for name, count in sources:
            _write_source(file, lists, (name, count, firsts[name]), metadata, packed)
            progress(firsts[name] + count)

    atomic_write(path, write)
    return packed


def _write_source(
    file: IO[bytes],
    lists: Lists,
    source: tuple[str, int, int],
    metadata: Metadata,
    packed: PackedTexts,
) -> None:
    name, count, first = source
    places = read_places(meta_list(lists.root, name), count, lists.edition, name)
    at = file.tell()
    base: str | None = None
    entries: list[Any] | None = None
    for line in np.argsort(places.number, kind="stable").tolist():
        wanted = os.fsdecode(places.files[line]).rpartition("/")[2]
        if wanted != base:
            base, entries = wanted, metadata.read(name, wanted)
        position = int(places.label[line])
        if entries is None:
            packed.problems["rows whose JSON file is missing or broken"] += 1
        elif not 1 <= position <= len(entries):
            packed.problems["rows that point outside their JSON file"] += 1
        else:
            text = _encode(text_of(entries[position - 1]))
            file.write(text)
            packed.start[first + line], packed.length[first + line] = at, len(text)
            at += len(text)


def _encode(text: Text) -> bytes:
    if text == Text():
        return b""
    content = json.dumps(text, ensure_ascii=False, separators=(",", ":"))
    return content.encode("utf-8", "replace")  # web texts contain lone surrogates
