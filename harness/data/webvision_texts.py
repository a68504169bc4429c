"""Joins titles, descriptions and tags to the lines of WebVision's training lists."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.data.webvision_lists import parse_lines, read_bytes
from harness.errors import DataError
from harness.samples import Text

# One query's metadata is a few megabytes.
MAX_JSON_BYTES = 2**28


def read_texts(root: Path, lines: Mapping[str, int], rows: NDArray[np.int64]) -> list[Text]:
    """Return the texts of ``rows``, which count through the lists of the sources in order.

    ``lines`` gives each source with the number of lines of its list of pictures.

    Raises:
        DataError: A list or a JSON file is missing or broken, its lines are not as many as there
            are pictures, or a line points past the end of a JSON file.
    """
    places = [place for source in lines for place in _places(root, source, lines[source])]
    wanted: dict[str, list[tuple[int, int]]] = {}
    for number, row in enumerate(rows.tolist()):
        wanted.setdefault(places[row].file, []).append((number, row))
    texts = [Text()] * len(rows)
    for file, asked in wanted.items():
        objects = _read_json(root / file)
        for number, row in asked:
            place = places[row]
            if not 1 <= place.position <= len(objects):
                raise DataError(
                    f"{place.listed}: {file} {place.position} points outside the file's "
                    f"{len(objects)} entries, which are counted from 1"
                )
            texts[number] = _text(objects[place.position - 1])
    return texts


class _Place(NamedTuple):
    """One line of a list of texts."""

    path: Path
    line: int
    file: str
    position: int

    @property
    def listed(self) -> str:
        return f"{self.path}, line {self.line}"


def _places(root: Path, source: str, lines: int) -> list[_Place]:
    path = root / "info" / f"train_meta_list_{source}.txt"
    pattern = rf"({source}/q\d{{1,6}}\.json)[ \t]+(\d{{1,9}})[ \t]*"
    found = parse_lines(path, read_bytes(path), pattern, f"{source}/q0001.json 12")
    if len(found) != lines:
        raise DataError(
            f"{path} has {len(found)} lines, train_filelist_{source}.txt has {lines}; line i of "
            "one belongs to line i of the other: unpack info.tar again"
        )
    return [
        _Place(path, line, file, int(position))
        for line, (file, position) in enumerate(found, start=1)
    ]


def _read_json(path: Path) -> list[Any]:
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise DataError(f"{path} has over {MAX_JSON_BYTES} bytes: no query has that much text")
        objects = json.loads(path.read_bytes().decode("utf-8-sig", errors="replace"))
    except FileNotFoundError:
        raise DataError(
            f"{path} is missing, and texts were asked for: unpack google_meta.tar and "
            "flickr_meta.tar so that ROOT/google/q0001.json exists"
        ) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON ({error}); unpack it again") from error
    if not isinstance(objects, list):
        raise DataError(f"{path} holds a {type(objects).__name__}, not a list of entries")
    return objects


def _text(entry: Any) -> Text:
    """What is there of title, description and tags; tags are a list or one string of words."""
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
        tags=tuple(tag for tag in tags if isinstance(tag, str) and tag),
    )


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""
