"""Joins titles, descriptions and tags to the lines of WebVision's training lists."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
    texts = [Text()] * len(rows)
    first = 0
    for source, count in lines.items():
        path = root / "info" / f"train_meta_list_{source}.txt"
        places = _places(path, source, count)
        inside = np.flatnonzero((rows >= first) & (rows < first + count)).tolist()
        by_file: dict[str, list[int]] = {}
        for number in inside:
            by_file.setdefault(places[rows[number] - first][0], []).append(number)
        for file, numbers in by_file.items():
            objects = _read_json(root / file)
            for number in numbers:
                line = int(rows[number]) - first
                position = int(places[line][1])
                if not 1 <= position <= len(objects):
                    raise DataError(
                        f"{path}, line {line + 1}: {file} {position} points outside the file's "
                        f"{len(objects)} entries, which are counted from 1"
                    )
                texts[number] = _text(objects[position - 1])
        first += count
    return texts


def _places(path: Path, source: str, count: int) -> list[tuple[str, ...]]:
    """The (JSON file, position) of each line."""
    line = rf"({source}/q\d{{1,6}}\.json)[ \t]+(\d{{1,9}})[ \t]*"
    found = parse_lines(path, read_bytes(path), line, f"{source}/q0001.json 12")
    if len(found) != count:
        raise DataError(
            f"{path} has {len(found)} lines, train_filelist_{source}.txt has {count}; line i of "
            "one belongs to line i of the other: unpack info.tar again"
        )
    return found


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
