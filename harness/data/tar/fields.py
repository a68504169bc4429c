"""The fields of tar headers: names, numbers, checksums, pax records."""

from __future__ import annotations

import zlib

import numpy as np

BLOCK = 512
_BLANK = b" " * 8
_ADLER = 65_521
_OCTAL = 8 ** np.arange(5, -1, -1, dtype=np.int32)


def usual_names(headers: list[bytes]) -> list[bytes]:
    """Return the names of the first headers, up to a special one or one with a wrong checksum."""
    rows = np.frombuffer(b"".join(headers), np.uint8).reshape(-1, BLOCK)
    digits = rows[:, 148:154] - np.uint8(ord("0"))
    stated = digits @ _OCTAL
    field = rows[:, 148:156].sum(axis=1, dtype=np.int32)
    summed = rows.sum(axis=1, dtype=np.int32) - field + sum(_BLANK)
    usual = (digits < 8).all(axis=1) & (summed == stated)
    usual &= np.isin(rows[:, 135], (0, ord(" "))) & (rows[:, 345] == 0)
    usual &= ~np.isin(rows[:, 0], (0, ord("."), ord("/"))) & (rows[:, 99] == 0)
    count = len(usual) if usual.all() else int(usual.argmin())
    names: list[bytes] = rows[:count, :100].copy().view("S100").ravel().tolist()
    together = b"\n".join(names)
    if b".." in together or b"\0" in together:
        odd = [place for place, name in enumerate(names) if b".." in name or b"\0" in name]
        del names[odd[0] :]
    return names


def has_valid_checksum(header: bytes) -> bool:
    """Return whether the checksum is the sum of the bytes, with its own bytes taken as spaces."""
    stated = header[148:154]
    if len(header) != BLOCK or not stated.isdigit():
        return False
    # The low half of Adler-32 is that sum plus 1, modulo a prime beyond any real header's sum.
    summed = zlib.adler32(header[:148] + _BLANK + header[156:]) & 0xFFFF
    try:
        return summed == (int(stated, 8) + 1) % _ADLER
    except ValueError:
        return False


def has_rare_checksum(header: bytes) -> bool:
    """Return whether a checksum in another format is that sum, or the sum of signed bytes."""
    if len(header) != BLOCK:
        return False
    counted = memoryview(header[:148] + _BLANK + header[156:])
    try:
        return number(header[148:156]) in (sum(counted), sum(counted.cast("b")))
    except ValueError:
        return False


def number(field: bytes) -> int:
    """Read an octal number or GNU's base 256; raises ValueError if it is neither, or negative."""
    if field[0] & 0x80:
        if field[0] != 0x80:
            raise ValueError
        return int.from_bytes(field[1:], "big")
    digits = field.partition(b"\0")[0].strip(b" ")
    return int(digits_of(digits), 8) if digits else 0


def digits_of(field: bytes) -> bytes:
    """Return ``field`` if it holds only digits; raises ValueError otherwise."""
    if not field.isdigit():  # int() also accepts signs and underscores
        raise ValueError
    return field


def name_of(header: bytes) -> bytes:
    """Return the member's name; the two parts of a long POSIX name are joined."""
    name = header[:100].partition(b"\0")[0]
    # GNU's format stores times in the field that holds the first part of a name in POSIX.
    if header[345] and header[257:263] == b"ustar\0":
        name = header[345:500].partition(b"\0")[0] + b"/" + name
    return name


def pax_records(content: bytes) -> dict[bytes, bytes]:
    """Read the ``LENGTH KEY=VALUE`` lines of a pax header; raises ValueError if one is broken."""
    records: dict[bytes, bytes] = {}
    at = 0
    while at < len(content) and content[at]:
        space = content.index(b" ", at)
        stop = at + int(digits_of(content[at:space]))
        key, equals, value = content[space + 1 : stop - 1].partition(b"=")
        if not equals or content[stop - 1 : stop] != b"\n":
            raise ValueError
        records[key] = value
        at = stop
    return records


def round_up(size: int) -> int:
    """Round up to whole blocks."""
    return (size + BLOCK - 1) // BLOCK * BLOCK
