"""A digest of the data beside the pictures: texts, queries, their map to classes, and glosses."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from harness.data.webvision.lists.editions import Edition
from harness.data.webvision.lists.parse import MAX_LIST_BYTES
from harness.data.webvision.lists.queries import MAP_NAME
from harness.data.webvision.lists.texts import meta_list, metadata_folder
from harness.errors import DataError
from harness.samples import WebClass
from harness.store.reading import read_plain
from harness.store.record import digest
from harness.store.seals import file_seal

READERS = 8  # threads


def context_digest(
    lists: Path,
    edition: Edition,
    sources: Sequence[str],
    classes: Sequence[WebClass],
    texts: Mapping[str, Any] | None = None,
) -> str:
    """Return a digest of everything that noise handling may read beside the pictures.

    It covers the classes with their glosses, the lists of queries and their map, and the texts:
    the digests of an index's text columns (``texts``), or else the metadata lists and the names
    and contents of the JSON files, which a process reads for this once (1 s for each GB and core
    where they are in the page cache). A missing file is recorded as missing.

    Raises:
        DataError: A file exists but cannot be read.
    """
    info = [lists / "info" / name for name in (*edition.query_lists, MAP_NAME)]
    if texts is None:
        info += [meta_list(lists, source) for source in sources]
        texts = {source: _json_seals(metadata_folder(lists, source)) for source in sources}
    named = {path.name: _content(path) for path in info}
    return digest([list(map(list, classes)), list(sources), named, texts])


def _content(path: Path) -> str | None:
    try:
        return hashlib.sha256(read_plain(path, MAX_LIST_BYTES)).hexdigest()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def _json_seals(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """Name, size and digest of every query's JSON file."""
    paths = sorted(folder.glob("q*.json"))
    with ThreadPoolExecutor(READERS) as threads:
        return [
            (path.name, seal) for path, seal in zip(paths, threads.map(_seal, paths), strict=True)
        ]


def _seal(path: Path) -> dict[str, Any]:
    try:
        return file_seal(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
