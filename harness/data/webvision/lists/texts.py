"""Reads titles, descriptions and tags for the lines of WebVision's training lists."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.webvision.lists.columns import first_folder
from harness.data.webvision.lists.editions import WEBVISION1, Edition
from harness.data.webvision.lists.parse import Listing, parse_listing, read_bytes
from harness.errors import DataError
from harness.samples import Text
from harness.store.reading import read_plain

# One query's metadata is a few megabytes.
MAX_JSON_BYTES = 2**28


def read_texts(
    root: Path,
    lines: Mapping[str, int],
    rows: NDArray[np.int64],
    edition: Edition = WEBVISION1,
) -> list[Text]:
    """Return the texts of ``rows``, which are numbered through the sources' lists in order.

    ``lines`` maps each source to the number of lines in its list of pictures.

    Raises:
        DataError: A list or a JSON file is missing or broken, a list has another number of lines
            than there are pictures, or a line points past the end of a JSON file.
    """
    texts = [Text()] * len(rows)
    first = 0
    for source, count in lines.items():
        path = meta_list(root, source)
        places = read_places(path, count, edition, source)
        folder = metadata_folder(root, source)
        inside = np.flatnonzero((rows >= first) & (rows < first + count))
        wanted = rows[inside] - first
        order = np.argsort(places.number[wanted], kind="stable")
        objects: list[Any] = []
        file = Path()
        for number, line in zip(inside[order].tolist(), wanted[order].tolist(), strict=True):
            name = places.files[line].decode().rpartition("/")[2]
            if name != file.name:
                file = folder / name
                objects = read_json(file)
            position = int(places.label[line])
            if not 1 <= position <= len(objects):
                raise DataError(
                    f"{path}, line {places.line[line]}: {file.relative_to(root)} {position} points "
                    f"outside the file's {len(objects)} entries, which are counted from 1"
                )
            texts[number] = text_of(objects[position - 1])
        first += count
    return texts


def meta_list(root: Path, source: str) -> Path:
    """Return the list that gives the JSON file and position of each training picture."""
    return root / "info" / f"train_meta_list_{source}.txt"


def metadata_folder(root: Path, source: str) -> Path:
    """Return the folder of one source's JSON files; several places are in use."""
    places = (root / source, root / "meta" / source, root / f"{source}_json")
    filled = (place for place in places if next(place.glob("q*.json"), None))
    return next(filled, places[0])


def read_places(path: Path, count: int, edition: Edition, source: str) -> Listing:
    """Read a metadata list: ``files`` are JSON files, ``label`` the positions in them from 1.

    Raises:
        DataError: It is missing or malformed, or does not have ``count`` lines.
    """
    content = read_bytes(path, edition.layout)
    found = parse_meta_list(path, content, edition, source)
    if len(found.label) != count:
        raise DataError(
            f"{path} has {len(found.label)} lines, train_filelist_{source}.txt has {count}; line i "
            "of one belongs to line i of the other: unpack info.tar again"
        )
    return found


def parse_meta_list(path: Path, content: bytes, edition: Edition, source: str) -> Listing:
    """Parse lines like ``google/q0001.json 12``."""
    folder = first_folder(content, (source, *edition.source(source).folders))
    example = f"{folder}/q{1:0{edition.query_digits}d}.json 12"
    return parse_listing(path, content, f"{folder}/q", (1, 6), example, ".json")


def read_json(path: Path) -> list[Any]:
    """Return the entries of one query's metadata; broken UTF-8 is replaced.

    Raises:
        DataError: The file is missing, too large, not JSON or not a list.
    """
    try:
        objects = json.loads(read_plain(path, MAX_JSON_BYTES).decode("utf-8-sig", errors="replace"))
    except FileNotFoundError:
        raise DataError(
            f"{path} is missing, and this run needs texts: unpack google_meta.tar and "
            "flickr_meta.tar so that ROOT/google/q0001.json exists"
        ) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON ({error}); unpack it again") from error
    if not isinstance(objects, list):
        raise DataError(f"{path} holds a {type(objects).__name__}, not a list of entries")
    return objects


def text_of(entry: Any) -> Text:
    """Return title, description and tags of an entry; tags may be a list or one string."""
    if not isinstance(entry, dict):
        return Text()
    tags = entry.get("tags")
    if isinstance(tags, str):
        tags = tags.split()
    elif not isinstance(tags, list):
        tags = []
    return Text(
        title=_string(entry.get("title")),
        description=_string(entry.get("description")),
        tags=tuple(_string(tag) for tag in tags if isinstance(tag, str) and tag),
    )


def _string(value: Any) -> str:
    """The text without lone surrogates, which JSON allows and UTF-8 does not."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""
