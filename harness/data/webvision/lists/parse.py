"""A fast parser for the text lists of a WebVision info folder; errors name the line.

A list is a text file with one entry per line. Lines end in LF, CRLF or CR. Empty lines, blanks
(spaces and tabs) at either end of a line and a byte order mark are skipped. The last run of blanks
separates the last column; all other bytes belong to the entry unchanged, whether they are UTF-8 or
not. Lines are counted from 1, as in an editor.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.data.webvision.lists.editions import WEBVISION1
from harness.errors import DataError
from harness.store.reading import read_plain

# The longest list of 2.0 has 16 million lines, about 800 MB.
MAX_LIST_BYTES = 2**31
CHUNK_BYTES = 2**24
# A file name has 255 bytes at most. One endless line would make numpy's columns as wide.
MAX_PATH_BYTES = 512
_SHOWN = 80
_SPACE, _NEWLINE, _SLASH, _DOT, _ZERO = b" \n/.0"
_BLANKS = b" \t"
_MARK = b"\xef\xbb\xbf"  # UTF-8's byte order mark
# First bytes of files that are not lists: UTF-16 and UTF-32, gzip, zip, xz and zstd.
_WIDE = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_COMPRESSED = (b"\x1f\x8b", b"PK\x03\x04", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd")

# A file name: no folder, not "." or "..", no blank at its ends. If it has several words, the last
# is not a number: a line that ends in two numbers has a column too many.
_WORD = rb"[^/\x00\r\n \t]+"
NAME = rb"(?!\.{1,2}(?:/|[ \t]+\S+$|$))(?:[^/\x00\r\n]*[ \t](?![0-9]+(?:[ \t]|$)))?" + _WORD
LABEL_DIGITS = 9
LABEL = rb"([0-9]{1,%d})" % LABEL_DIGITS

Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]


class Listing(NamedTuple):
    """The N entries of a list of training pictures or of their texts.

    ``files`` are the paths as listed, as bytes; ``number`` is the number in the folder's name, of
    the query or the WordNet id; ``line`` is an entry's line number, from 1.
    """

    files: NDArray[np.bytes_]
    number: NDArray[np.int32]
    label: NDArray[np.int32]
    line: NDArray[np.int32]

    def take(self, rows: NDArray[np.int64]) -> Listing:
        """Return the entries of ``rows``."""
        return Listing(self.files[rows], self.number[rows], self.label[rows], self.line[rows])


class ListTable(NamedTuple):
    """The N entries of a short list: columns of N byte strings each, and line numbers from 1."""

    path: Path
    columns: tuple[tuple[bytes, ...], ...]
    line: NDArray[np.int32]

    def where(self, row: int) -> str:
        """Return the list and line of an entry, for messages."""
        return f"{self.path}, line {self.line[row]}"

    def numbers(self, column: int) -> NDArray[np.int32]:
        """Return a column of decimal numbers."""
        return np.array([int(text) for text in self.columns[column]], np.int32)


def read_bytes(path: Path, layout: str = WEBVISION1.layout) -> bytes:
    """Return the list's bytes without a byte order mark; ``layout`` is added to errors.

    Raises:
        DataError: The list is missing, unreadable, too large, compressed, or in an encoding that
            does not keep ASCII.
    """
    try:
        content = read_plain(path, MAX_LIST_BYTES)
    except FileNotFoundError:
        raise DataError(f"{path} is missing: {layout}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; {layout}") from error
    if content.startswith(_COMPRESSED):
        raise DataError(f"{path} is compressed; unpack it to a plain text file of the same name")
    if content.startswith(_WIDE) or b"\x00" in content[:64]:
        raise DataError(f"{path} is not UTF-8 text, probably UTF-16; save it as UTF-8")
    return content.removeprefix(_MARK)


def parse_lines(path: Path, content: bytes, line: bytes, example: str) -> ListTable:
    """Return the groups that the pattern ``line`` matches on every line that is not blank.

    A group without a match is empty.

    Raises:
        DataError: There is no entry, or a line is not like ``example``.
    """
    numbers, rows = _by_pattern(path, content, line, example, 1)
    if not rows:
        raise _empty(path, example)
    return ListTable(path, tuple(zip(*rows, strict=True)), np.array(numbers, np.int32))


def parse_listing(
    path: Path,
    content: bytes,
    start: str,
    digits: tuple[int, int],
    example: str,
    ending: Literal["/NAME", ".json"] = "/NAME",
) -> Listing:
    """Parse the lines ``<start><number><ending> <label>`` of a list of training pictures.

    ``digits`` bounds the number's length. Lines in exactly this form are parsed by numpy, in pieces
    that bound the memory; any other piece is parsed line by line, with the same result.

    Raises:
        DataError: There is no entry, or a line is not like ``example``.
    """
    number = rb"([0-9]{%d,%d})" % digits
    after = rb"/" + NAME if ending == "/NAME" else re.escape(ending.encode())
    pattern = rb"(" + re.escape(start.encode()) + number + after + rb")[ \t]+" + LABEL
    pieces: list[Listing] = []
    for piece, first in _pieces(content):
        found = _plain(piece, start.encode(), digits, ending, first)
        if found is None:
            found = _listing(*_by_pattern(path, piece, pattern, example, first))
        if len(found.label):
            pieces.append(found)
    if not pieces:
        raise _empty(path, example)
    if len(pieces) == 1:
        return pieces[0]
    return Listing(*(np.concatenate(column) for column in zip(*pieces, strict=True)))


def split_lines(path: Path, content: bytes) -> Listing:
    """Split each line into a name, which may hold any characters, and a final number.

    ``number`` is -1 for all entries.

    Raises:
        DataError: There is no entry, or a line does not have these two columns.
    """
    pattern = rb"([^\x00\r\n]*[^\x00\r\n \t])()[ \t]+" + LABEL
    pieces = [
        _listing(*_by_pattern(path, piece, pattern, "name 0", first))
        for piece, first in _pieces(content)
    ]
    found = Listing(*(np.concatenate(column) for column in zip(*pieces, strict=True)))
    if not len(found.label):
        raise _empty(path, "name 0")
    return found


def shown(name: bytes) -> str:
    """Format bytes of a list for a message: quoted, shortened, without control characters."""
    text = repr(name[:_SHOWN].decode("utf-8", "surrogateescape")).replace("\\udc", "\\x")
    return text if len(name) <= _SHOWN else f"{text[:-1]}...{text[-1]}"


def _listing(lines: list[int], rows: list[tuple[bytes, ...]]) -> Listing:
    """Turn the groups (path, number, label) into columns; an empty number is -1."""
    return Listing(
        np.array([row[0] for row in rows], np.bytes_),
        np.array([int(row[1] or -1) for row in rows], np.int32),
        np.array([int(row[2]) for row in rows], np.int32),
        np.array(lines, np.int32),
    )


def _pieces(content: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield whole lines, about CHUNK_BYTES at a time, with the number of the first line."""
    stop = _end(content)
    start, line = 0, 1
    while start < stop or start == 0:
        end = content.find(b"\n", min(start + CHUNK_BYTES, stop), stop)
        end = stop if end < 0 else end + 1
        piece = content[start:end]
        yield piece, line
        start = max(end, 1)
        if start < stop:
            line += piece.count(b"\n") if b"\r" not in piece else len(piece.splitlines())


def _end(content: bytes) -> int:
    """The offset at which the last line that is not blank ends."""
    stop = len(content)
    while stop:
        start = max(0, stop - CHUNK_BYTES)
        kept = content[start:stop].rstrip(b" \t\r\n")
        if kept:
            return start + len(kept)
        stop = start
    return 0


def _plain(
    piece: bytes, start: bytes, digits: tuple[int, int], ending: str, first: int
) -> Listing | None:
    """Parse lines with one space, one newline and no other blank; None if a line has others."""
    text = np.frombuffer(piece if piece.endswith(b"\n") else piece + b"\n", np.uint8)
    ends, spaces = np.flatnonzero(text == _NEWLINE), np.flatnonzero(text == _SPACE)
    begins = np.concatenate([[0], ends[:-1] + 1])
    blanks = np.count_nonzero(text <= _SPACE)
    if len(spaces) != len(ends) or blanks != 2 * len(ends):
        return None
    if np.any(spaces <= begins + len(start)) or np.any(ends <= spaces):
        return None
    if np.any(spaces - begins > MAX_PATH_BYTES):
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
    line = np.arange(first, first + len(ends), dtype=np.int32)
    return Listing(np.array(piece.split()[::2]), number, label, line)


def _folder_ends(text: Bytes, spaces: Places, start: bytes) -> Places | None:
    """The offset at which the folder of each line ends, before a plain file name."""
    slashes = np.flatnonzero(text == _SLASH)
    depth = start.count(b"/") + 1
    if len(slashes) != depth * len(spaces):
        return None
    last = slashes[depth - 1 :: depth]
    plain = np.all(last + 1 < spaces) and np.all(last[1:] > spaces[:-1])
    return last if plain and not np.any(text[spaces - 1] == _DOT) else None


def _suffixes(text: Bytes, spaces: Places) -> Places | None:
    """The offset at which each line's ``.json`` begins."""
    suffix = np.frombuffer(b".json", np.uint8)
    begins = spaces - len(suffix)
    if begins[0] < 0 or np.any(text[begins[:, None] + np.arange(len(suffix))] != suffix):
        return None
    return begins


def _decimals(
    text: Bytes, first: Places, after: Places, digits: tuple[int, int]
) -> NDArray[np.int32] | None:
    """The numbers between two offsets of each line; None if one is not a number."""
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
    path: Path, content: bytes, line: bytes, example: str, first: int
) -> tuple[list[int], list[tuple[bytes, ...]]]:
    """Match every line that is not blank; ``first`` is the line number of the first line."""
    numbers: list[int] = []
    rows: list[tuple[bytes, ...]] = []
    whole = re.compile(line).fullmatch
    for number, text in enumerate(content.splitlines(), start=first):
        entry = text.strip(_BLANKS)
        if (match := whole(entry)) and len(match[1]) <= MAX_PATH_BYTES:
            numbers.append(number)
            rows.append(match.groups(b""))
        elif entry.strip():
            raise DataError(f"{path}, line {number}: {shown(entry)} {_reason(entry, example)}")
    return numbers, rows


def _reason(entry: bytes, example: str) -> str:
    if len(entry) > MAX_PATH_BYTES:
        return f"has {len(entry)} bytes; its lines should be like {example!r}"
    leaves = entry.startswith(b"/") or b".." in re.split(rb"[/\\\s]", entry)
    return "points outside the data folder" if leaves else f"is not like {example!r}"


def _empty(path: Path, example: str) -> DataError:
    return DataError(f"{path} is empty; its lines should be like {example!r}")
