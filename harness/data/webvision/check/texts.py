"""Counts the texts of a source: the share of its pictures with title, description and tags."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.pictures.loader import prefetch
from harness.data.pictures.strings import Strings
from harness.data.webvision.check.images import Step
from harness.data.webvision.check.names import TrainList
from harness.data.webvision.check.report import Findings, TextCount
from harness.data.webvision.index.texts import text_at
from harness.data.webvision.lists.parse import Listing
from harness.data.webvision.lists.texts import metadata_folder, read_json, text_of
from harness.errors import DataError
from harness.machine.cores import cores

SHOWN = 3
_OFTEN = 1_000


def count_texts(
    root: Path, found: TrainList, path: Path, places: Listing, findings: Findings, step: Step
) -> TextCount:
    """Read the metadata of one source, each JSON file once.

    ``path`` is the metadata list and ``places`` its lines, one for each of ``found``; ``step`` is
    called with (files read, files in all).
    """
    folder = metadata_folder(root, found.source)
    seen = np.zeros(3, np.int64)
    ids = np.zeros(3, np.int64)  # entries with an id; id equal at position - 1; at position
    broken: list[str] = []
    outside: list[str] = []
    groups = list(_groups(places))
    # Files are read ahead in threads; parsing them holds Python's lock.
    files = prefetch((partial(_read, folder / name) for name, _ in groups), cores())
    for number, ((name, rows), objects) in enumerate(zip(groups, files, strict=True), start=1):
        step(number, len(groups))
        if isinstance(objects, DataError):
            broken.append(str(objects))
            continue
        for row in rows:
            position = int(places.label[row])
            if not 1 <= position <= len(objects):
                outside.append(
                    f"{path}, line {places.line[row]}: {name} {position} points outside the "
                    f"file's {len(objects)} entries, which are counted from 1"
                )
                continue
            text = text_of(objects[position - 1])
            seen += [bool(text.title), bool(text.description), bool(text.tags)]
            ids += _ids(objects, position, found.files[row])
    shares = (seen / max(1, len(places.label))).tolist()
    count = TextCount(
        source=found.source,
        title=shares[0],
        description=shares[1],
        tags=shares[2],
        position_base=None if not ids[0] else 1 if ids[1] >= ids[2] else 0,
        other_ids=int(ids[0] - ids[1]),
        broken_files=len(broken),
    )
    if len(broken) == len(groups):
        findings.add("warning", f"{broken[0]} (so are all {len(groups)} of {found.source})")
    else:
        _note(count, broken, outside, findings)
    return count


def count_packed(
    found: TrainList, packed: Strings, rows: NDArray[np.int64], step: Step
) -> TextCount:
    """Count the texts of one source in an index; ``rows`` are its rows there."""
    seen = np.zeros(3, np.int64)
    for number, row in enumerate(rows.tolist()):
        if number % _OFTEN == 0:
            step(number, len(rows))
        text = text_at(packed, row)
        seen += [bool(text.title), bool(text.description), bool(text.tags)]
    shares = (seen / max(1, len(rows))).tolist()
    return TextCount(
        source=found.source,
        title=shares[0],
        description=shares[1],
        tags=shares[2],
        position_base=None,
        other_ids=0,
        broken_files=0,
    )


def _read(path: Path) -> list[Any] | DataError:
    try:
        return read_json(path)
    except DataError as error:
        return error


def _groups(places: Listing) -> Iterator[tuple[str, list[int]]]:
    """The lines of each JSON file, by its name."""
    order = np.argsort(places.number, kind="stable")
    edges = np.flatnonzero(np.diff(places.number[order])) + 1
    for rows in np.split(order, edges):
        name: str = places.files[rows[0]].decode().rpartition("/")[2]
        yield name, rows.tolist()


def _ids(objects: list[Any], position: int, name: bytes) -> tuple[bool, bool, bool]:
    """Whether the entry has an id, whether the id is the picture's, and whether the next one is."""
    stem = name.decode("utf-8", "replace").rpartition("/")[2].rpartition(".")[0]
    here, after = (_id(objects, place) for place in (position - 1, position))
    return here is not None, here == stem, after == stem


def _id(objects: list[Any], place: int) -> str | None:
    entry = objects[place] if place < len(objects) else None
    found = entry.get("id") if isinstance(entry, dict) else None
    return str(found) if isinstance(found, (str, int)) else None


def _note(count: TextCount, broken: list[str], outside: list[str], findings: Findings) -> None:
    for lines, what in ((broken, "files are broken"), (outside, "lines point outside their file")):
        for line in lines[:SHOWN]:
            findings.add("error", f"texts: {line}")
        if lines[SHOWN:]:
            findings.add("error", f"texts of {count.source}: {len(lines) - SHOWN} more {what}")
    if count.position_base == 0:
        text = f"train_meta_list_{count.source}.txt counts its positions from 0, not from 1"
        findings.add("error", text)
    elif count.other_ids:
        text = f"texts of {count.source}: {count.other_ids} pictures have the text of another id"
        findings.add("warning", text)
