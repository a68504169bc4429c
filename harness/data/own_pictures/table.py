"""Pictures listed in a table: columns path and label, optionally split, clean_label and more."""

from __future__ import annotations

import csv
import difflib
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from harness.data.own_pictures.listed import SPLIT_NAMES, Listed, as_label
from harness.errors import DataError, unknown
from harness.store.reading import read_plain
from harness.terminal import visible

NEEDED = ("path", "label")
OPTIONAL = ("split", "clean_label", "text", "weight")
SEPARATORS = (",", ";", "\t")
MOST_BYTES = 1 << 30
MOST_CELL = 1 << 20  # characters
_MARK = b"\xef\xbb\xbf"  # UTF-8's byte order mark
_WIDE = (b"\xff\xfe", b"\xfe\xff")  # UTF-16's
_ALIKE = 0.75  # of a misspelt column's name


class _Line(NamedTuple):
    """A line's number, from 1, and its cells by column."""

    number: int
    cells: dict[str, str]


def read_table(path: Path) -> Listed:
    """Read a table of pictures; paths are relative to its folder, or absolute.

    Columns are separated by commas, semicolons or tabs, as the first line shows. A byte order mark
    is skipped, and bytes that are not UTF-8 are kept as they are in names.

    Raises:
        DataError: The table is missing, empty or in UTF-16; a column is missing; a cell is empty
            or wrong; or a picture is listed twice with different words.
    """
    lines = _lines(path)
    columns = lines[0].cells.keys()
    for line in lines:
        for name in NEEDED:
            if not line.cells[name].strip():
                raise _wrong(path, line, f"{name} is empty")
    split = [_split(path, line) for line in lines]
    some = next((row for row, part in enumerate(split) if part), None)
    gap = next((row for row, part in enumerate(split) if not part), None)
    if some is not None and gap is not None:
        raise _wrong(path, lines[gap], "split is empty, but other lines have one")
    if "test" not in split and "val" not in split:
        split = [""] * len(lines)  # train alone does not say what to test
    listed = Listed(
        path=path,
        root=path.parent,
        files=[_file(path, line) for line in lines],
        label=[as_label(line.cells["label"]) for line in lines],
        split=split,
        clean=[as_label(line.cells["clean_label"]) for line in lines]
        if "clean_label" in columns
        else None,
        text=[line.cells["text"].strip() for line in lines] if "text" in columns else None,
        weight=[_weight(path, line) for line in lines] if "weight" in columns else None,
        lines=[line.number for line in lines],
    )
    _refuse_repeated(listed)
    return listed


def _lines(path: Path) -> list[_Line]:
    """Return the lines that are not empty, below the line of names."""
    content = _content(path)
    text = content.removeprefix(_MARK).decode("utf-8", "surrogateescape")
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(SEPARATORS, key=first.count)
    csv.field_size_limit(MOST_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    names: list[str] = []
    lines: list[_Line] = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if not names:
                names = _names(path, cells)
                continue
            if len(cells) != len(names):
                raise DataError(
                    f"{visible(path)}, line {reader.line_num} has {len(cells)} cells, the first "
                    f"line {len(names)}; put quotes around a cell that contains {separator!r}"
                )
            lines.append(_Line(reader.line_num, dict(zip(names, cells, strict=True))))
    except csv.Error as error:
        raise DataError(f"{visible(path)}, line {reader.line_num}: {error}") from error
    if not lines:
        raise DataError(
            f"{visible(path)} lists no pictures; write a line path,label and more below"
        )
    return lines


def _content(path: Path) -> bytes:
    example = "a table with columns path,label"
    try:
        content = read_plain(path, MOST_BYTES)
    except IsADirectoryError:
        raise DataError(
            f"{visible(path)} is a folder; name {example}, or write folder:{visible(path)}"
        ) from None
    except FileNotFoundError:
        raise DataError(f"{visible(path)} does not exist; name {example}") from None
    except OSError as error:
        raise DataError(f"{visible(path)} cannot be read: {error.strerror}") from error
    if content.startswith(_WIDE) or b"\x00" in content:
        raise DataError(f"{visible(path)} is not UTF-8 text, probably UTF-16; save it as UTF-8")
    return content


def _names(path: Path, cells: Sequence[str]) -> list[str]:
    """Return the columns' names in lower case; raises DataError for those that are wrong."""
    names = [cell.strip().lower() for cell in cells]
    where = f"{visible(path)}, first line"
    missing = [name for name in NEEDED if name not in names]
    if missing:
        found = unknown("column", missing[0], names, listing="there").removeprefix("unknown ")
        raise DataError(f"{where}: no {visible(found)}; {missing[0]} is needed")
    known = (*NEEDED, *OPTIONAL)
    twice = next((name for name in known if names.count(name) > 1), None)
    if twice:
        raise DataError(f"{where}: column {twice} is repeated; keep one")
    for name in names:
        near = difflib.get_close_matches(name, OPTIONAL, n=1, cutoff=_ALIKE)
        if name not in known and near and near[0] not in names:
            raise DataError(f"{where}: column {visible(name)!r} is not known; call it {near[0]}")
    return names


def _file(path: Path, line: _Line) -> str:
    """Return the picture's file, with ``~`` spelt out."""
    text = line.cells["path"].strip()
    if "\0" in text:
        raise _wrong(path, line, "path holds a NUL")
    if not text.startswith("~"):
        return text
    try:
        return str(Path(text).expanduser())
    except RuntimeError as error:
        raise _wrong(path, line, f"path {text!r}: {error}") from error


def _split(path: Path, line: _Line) -> str:
    text = line.cells.get("split", "").strip()
    if text and text.lower() not in SPLIT_NAMES:
        raise _wrong(path, line, unknown("split", text, ("train", "val", "test")))
    return SPLIT_NAMES.get(text.lower(), "")


def _weight(path: Path, line: _Line) -> float:
    text = line.cells["weight"].strip()
    try:
        weight = float(text) if text else 1.0
    except ValueError:
        raise _wrong(path, line, f"weight {text!r} is not a number") from None
    if not (math.isfinite(weight) and weight >= 0):
        raise _wrong(path, line, f"weight {text} must be finite and not below 0")
    return weight


def _refuse_repeated(listed: Listed) -> None:
    """Refuse a file that is listed twice with different labels, splits or clean labels."""
    seen: dict[str, int] = {}
    columns = {"label": listed.label, "split": listed.split, "clean_label": listed.clean}
    for row, file in enumerate(listed.files):
        first = seen.setdefault(str(listed.root / file), row)
        for name, column in columns.items():
            if column and column[first] != column[row]:
                assert listed.lines
                raise DataError(
                    f"{listed.where(row)} is listed before, in line {listed.lines[first]}, with "
                    f"another {name}: {visible(column[first])!r}, now {visible(column[row])!r}"
                )


def _wrong(path: Path, line: _Line, what: str) -> DataError:
    return DataError(f"{visible(path)}, line {line.number}: {visible(what)}")
