"""Bounds on the cost of decoding a picture, checked in its header before a pixel is decoded.

A file of a few kilobytes can need gigabytes of memory or minutes of work: by its width and height,
by a shape so thin that resizing its short side makes it huge, or, for a progressive JPEG, by many
scans over all pixels.
"""

from __future__ import annotations

import struct
from contextlib import AbstractContextManager, nullcontext
from threading import Lock

import numpy as np

MAX_BYTES = 64 << 20
MAX_PIXELS = 64 << 20  # 192 MiB once decoded
MAX_RATIO = 200  # long side to short side: resizing the short side scales the long one too
MAX_SCANS = 100  # as in browsers; encoders write about ten
MAX_SCANNED = 16 * MAX_PIXELS  # pixels, over all scans
LARGE_PIXELS = 16 << 20  # larger pictures are decoded one at a time

_one_large = Lock()
_START_OF_SCAN = 0xDA
_NO_FRAMES = {0xC4, 0xC8, 0xCC}  # codes in the range of frame markers that are not frames
_BARE = {0x01, *range(0xD0, 0xD9)}  # markers without a length


class BrokenImageError(Exception):
    """The file is not a picture, is only part of one, or costs too much to decode."""


def refuse_size(data: bytes) -> None:
    """Raise BrokenImageError for a file over 64 MiB."""
    if len(data) > MAX_BYTES:
        raise BrokenImageError(f"larger than {MAX_BYTES >> 20} MiB")


def refuse_shape(width: int, height: int) -> None:
    """Raise BrokenImageError for too many pixels, or for sides of too extreme a ratio."""
    if width * height > MAX_PIXELS:
        raise BrokenImageError(f"{width}x{height} pixels are too many")
    if max(width, height) > MAX_RATIO * min(width, height):
        raise BrokenImageError(f"{width}x{height} pixels are too long and narrow")


def refuse_scans(data: bytes, width: int, height: int) -> None:
    """Raise BrokenImageError for a JPEG with too many scans."""
    if not _has_many_scans(data):
        return
    content = np.frombuffer(data, np.uint8)
    scans = np.count_nonzero((content[:-1] == 0xFF) & (content[1:] == _START_OF_SCAN))
    if scans > MAX_SCANS or scans * width * height > MAX_SCANNED:
        raise BrokenImageError(f"{scans} scans of {width}x{height} pixels are too many")


def room(width: int, height: int) -> AbstractContextManager[object]:
    """Return a context for decoding a picture: a lock if it is large, so that threads take turns.

    A progressive JPEG of 64 Mi pixels takes 9 bytes per pixel while decoding, 3 afterwards.
    """
    return _one_large if width * height > LARGE_PIXELS else nullcontext()


def _has_many_scans(data: bytes) -> bool:
    """Whether a JPEG may have more than one scan: progressive, or one scan per colour."""
    place, colours, progressive = 2, 0, False
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            place += 1
            continue
        marker = data[place + 1]
        if marker == 0xFF or marker in _BARE or not marker:
            place += 1 if marker == 0xFF else 2
            continue
        if marker == _START_OF_SCAN:
            return progressive or place + 4 >= len(data) or data[place + 4] < colours
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAMES and place + 9 < len(data):
            progressive, colours = progressive or marker & 3 == 2, data[place + 9]
        place += 2 + struct.unpack_from(">H", data, place + 2)[0]
    return True
