"""Reads the text lists of a WebVision info folder fast, and says which line is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.data.editions import WEBVISION1
from harness.errors import DataError

# The longest list of 2.0 has 16 million lines, about 800 MB.
MAX_LIST_BYTES = 2**31
CHUNK_BYTES = 2**24
_SHOWN = 80
_SPACE, _NEWLINE, _SLASH, _DOT, _ZERO = b" \n/.0"

# A plain file name: no folder, no space or NUL, and no dot at its end, which rules out ".." too.
NAME = r"[^/\\\s\x00]+(?<!\.)"
LABEL_DIGITS = 9

Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]


class Listing(NamedTuple):
    """The N lines of a list of training pictures.

    ``files`` are the paths as they stand there, as bytes; ``number`` is the number in the folder's
    name, that of the query or the WordNet id.
    """

    files: NDArray[np.bytes_]
    number: NDArray[np.int32]
    label: NDArray[np.int32]


def read_bytes(path: Path, layout: str = WEBVISION1.layout) -> bytes:
    """Return the list's bytes; ``layout`` says what belongs there where it is missing.

    Raises:
        DataError: The list is missing, unreadable or too large to be one.
    """
    try:
        size = path.stat().st_size
        if size > MAX_LIST_BYTES:
            raise DataError(f"{path} has {size} bytes: no WebVision list is that large")
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} is missing: {layout}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; {layout}") from error


def parse_lines(path: Path, content: bytes, line: str, example: str) -> list[tuple[str, ...]]:
    """Return what the groups of the pattern ``line`` (two at least) match on every line.

    Raises:
        DataError: There is no line, or one that is not like ``example``.
    """
    return _by_pattern(path, content.rstrip(b"\r\n"), line, example, 1)


def parse_listing(
    path: Path,
    content: bytes,
    start: str,
    digits: tuple[int, int],
    example: str,
    ending: Literal["/NAME", ".json"] = "/NAME",
) -> Listing:
    """Return the lines ``<start><number><ending> <label>`` of a list of training pictures.

    ``digits`` bounds the number's length. Lines that are written exactly so are taken apart by
    numpy, in pieces that bound the memory; any other piece goes line by line.

    Raises:
        DataError: There is no line, or one that is not like ``example``.
    """
    after = rf"/{NAME}" if ending == "/NAME" else re.escape(ending)
    pattern = (
        rf"({re.escape(start)}([0-9]{{{digits[0]},{digits[1]}}}){after})"
        rf"[ \t]+([0-9]{{1,{LABEL_DIGITS}}})[ \t]*"
    )
    pieces: list[Listing] = []
    lines = 0
    for piece in _pieces(content):
        found = _plain(piece, start.encode(), digits, ending)
        if found is None:
            rows = _by_pattern(path, piece.removesuffix(b"\n"), pattern, example, lines + 1)
            files, numbers, labels = zip(*rows, strict=True)
            found = Listing(
                np.array([file.encode() for file in files]),
                np.array(numbers).astype(np.int32),
                np.array(labels).astype(np.int32),
            )
        pieces.append(found)
        lines += len(found.label)
    if len(pieces) == 1:
        return pieces[0]
    return Listing(*(np.concatenate(column) for column in zip(*pieces, strict=True)))


def _pieces(content: bytes) -> Iterator[bytes]:
    """Whole lines, about CHUNK_BYTES at a time; one empty piece where there is nothing."""
    stop = len(content.rstrip(b"\r\n"))
    start = 0
    while start < stop or start == 0:
        end = content.find(b"\n", min(start + CHUNK_BYTES, stop), stop)
        end = stop if end < 0 else end + 1
        yield content[start:end]
        start = max(end, 1)


def _plain(piece: bytes, start: bytes, digits: tuple[int, int], ending: str) -> Listing | None:
    """Take lines apart that have one space, one newline and ASCII only; None for any other."""
    if not piece.isascii() or b"\\" in piece:
        return None
    text = np.frombuffer(piece if piece.endswith(b"\n") else piece + b"\n", np.uint8)
    ends, spaces = np.flatnonzero(text == _NEWLINE), np.flatnonzero(text == _SPACE)
    begins = np.concatenate([[0], ends[:-1] + 1])
    blanks = np.count_nonzero(text <= _SPACE)
    if len(spaces) != len(ends) or blanks != 2 * len(ends):
        return None
    if np.any(spaces <= begins + len(start)) or np.any(ends <= spaces):
        return None
    stops = _folder_ends(text, spaces, start) if ending == "/NAME" else _suffixes(text, spaces)
    if np.any(text[begins[:, None] + np.arange(len(start))] != np.frombuffer(start, np.uint8)):
        stops = None
    if stops is None:
        return None
    number = _decimals(text, begins + len(start), stops, digits)
    label = _decimals(text, spaces + 1, ends, (1, LABEL_DIGITS))
    if number is None or label is None:
        return None
    return Listing(np.array(piece.split()[::2]), number, label)


def _folder_ends(text: Bytes, spaces: Places, start: bytes) -> Places | None:
    """Where the folder of each line ends, before a plain file name."""
    slashes = np.flatnonzero(text == _SLASH)
    depth = start.count(b"/") + 1
    if len(slashes) != depth * len(spaces):
        return None
    last = slashes[depth - 1 :: depth]
    plain = np.all(last + 1 < spaces) and np.all(last[1:] > spaces[:-1])
    return last if plain and not np.any(text[spaces - 1] == _DOT) else None


def _suffixes(text: Bytes, spaces: Places) -> Places | None:
    """Where each line's ``.json`` begins."""
    suffix = np.frombuffer(b".json", np.uint8)
    begins = spaces - len(suffix)
    if begins[0] < 0 or np.any(text[begins[:, None] + np.arange(len(suffix))] != suffix):
        return None
    return begins


def _decimals(
    text: Bytes, first: Places, after: Places, digits: tuple[int, int]
) -> NDArray[np.int32] | None:
    """The numbers between two places of each line; None where one is not a number."""
    lengths = after - first
    if lengths.min() < digits[0] or lengths.max() > digits[1]:
        return None
    value = np.zeros(len(first), np.int32)
    for place in range(int(lengths.max())):
        inside = place < lengths
        digit = text[np.where(inside, first + place, first)] - np.uint8(_ZERO)
        if np.any(digit > 9):  # smaller bytes have wrapped round
            return None
        value = np.where(inside, value * 10 + digit, value)
    return value.astype(np.int32)


def _by_pattern(
    path: Path, content: bytes, line: str, example: str, first: int
) -> list[tuple[str, ...]]:
    """Match every line; ``first`` is the number of the first one in the list."""
    text = content.decode("utf-8", errors="replace").replace("\r\n", "\n").removesuffix("\r")
    if first == 1 and not text.strip():
        raise DataError(f"{path} is empty; its lines should be like {example!r}")
    found: list[tuple[str, ...]] = re.findall(f"^{line}$", text, flags=re.MULTILINE)
    if len(found) != text.count("\n") + 1:
        raise DataError(_first_wrong(path, text, line, example, first))
    return found


def _first_wrong(path: Path, text: str, line: str, example: str, first: int) -> str:
    whole = re.compile(line)
    for number, content in enumerate(text.split("\n"), start=first):
        if not whole.fullmatch(content):
            shown = content if len(content) <= _SHOWN else content[:_SHOWN] + "..."
            leaves = content.startswith(("/", "\\")) or ".." in re.split(r"[/\\\s]", content)
            why = "points outside the data folder" if leaves else f"is not like {example!r}"
            return f"{path}, line {number}: {shown!r} {why}"
    return f"{path}: its lines should be like {example!r}"


def split_lines(path: Path, content: bytes) -> tuple[NDArray[np.bytes_], NDArray[np.int32]]:
    """Return the first column of a list with its last, a number, whatever the first holds.

    Raises:
        DataError: A line has not these two columns.
    """
    firsts, numbers = [], []
    lines = 0
    pattern = rf"(\S+)[ \t]+([0-9]{{1,{LABEL_DIGITS}}})[ \t]*"
    for piece in _pieces(content):
        rows = _by_pattern(path, piece.removesuffix(b"\n"), pattern, "name 0", lines + 1)
        lines += len(rows)
        firsts.append(np.array([row[0].encode() for row in rows]))
        numbers.append(np.array([row[1] for row in rows]).astype(np.int32))
    return np.concatenate(firsts), np.concatenate(numbers)
