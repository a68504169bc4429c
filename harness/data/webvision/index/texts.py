"""Packs titles, descriptions and tags of all rows into one file beside the index."""

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
from harness.data.webvision.index.lists import Listed, Lists
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


class Packed(NamedTuple):
    """Where each row's text lies in the file, ``(N,)`` each, and what went wrong how often.

    ``sources`` are those that have texts at all.
    """

    start: NDArray[np.int64]
    length: NDArray[np.int32]
    problems: Counter[str]
    sources: tuple[str, ...]


def text_at(texts: Strings, row: int) -> Text:
    """Return the text of ``row``; empty where the row has none."""
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
        """Note a JSON member; its source is told by its folders, or by the archive's name."""
        *folders, base = name.decode("utf-8", "replace").split("/")
        for source in self._sources:
            if any(part.startswith(source) for part in (*folders, archive.name)):
                self._members[source, base] = Member(archive, offset, size)
                return

    def has(self, source: str) -> bool:
        """Say whether there is any metadata of ``source``."""
        inside = any(name == source for name, _ in self._members)
        folder = metadata_folder(self._root, source)
        return inside or next(folder.glob("q*.json"), None) is not None

    def read(self, source: str, base: str) -> list[Any] | None:
        """Return the entries of one query; None where they are missing, too large or broken."""
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
    listed: Listed,
    metadata: Metadata,
    progress: Callable[[int], object],
) -> Packed | None:
    """Write the texts of the training rows to ``path``, query by query.

    Each is JSON: title, description, tags. Returns None where no source has metadata. A JSON file
    that is missing or broken, and a position outside of one, cost their rows the text only.

    Raises:
        DataError: A metadata list has other than one line per picture, or a malformed one.
    """
    sources = [
        (name, count)
        for name, count in zip(listed.source_names, listed.lines, strict=True)
        if look_for(meta_list(lists.root, name)) and metadata.has(name)
    ]
    if not sources:
        return None
    size = len(listed.label)
    packed = Packed(
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
    packed: Packed,
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
            text = _encoded(text_of(entries[position - 1]))
            file.write(text)
            packed.start[first + line], packed.length[first + line] = at, len(text)
            at += len(text)


def _encoded(text: Text) -> bytes:
    if text == Text():
        return b""
    content = json.dumps(text, ensure_ascii=False, separators=(",", ":"))
    return content.encode("utf-8", "replace")  # lone halves of surrogate pairs come from the web
