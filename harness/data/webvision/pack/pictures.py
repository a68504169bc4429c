"""What becomes of one picture when it is packed."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import NamedTuple

from PIL import Image

from harness.data.pictures.limits import BrokenImageError
from harness.data.pictures.store import FolderStore
from harness.data.webvision.index.open import is_picture
from harness.store.reading import patiently


@dataclass(frozen=True, kw_only=True)
class Packing:
    """What pictures become. A ``short_side`` of None, in pixels, leaves every byte as it is.

    Pictures are made smaller only, by Pillow's Lanczos filter, and written as JPEG of ``quality``;
    those that are small enough already stay as they are. An archive has ``shard_bytes`` at most,
    unless one picture alone has more.
    """

    short_side: int | None = 256
    quality: int = 90
    shard_bytes: int = 1 << 30


class Made(NamedTuple):
    """One picture as it goes into an archive; ``problem`` where it cannot."""

    name: str
    data: bytes
    problem: str = ""


def make(store: FolderStore, packing: Packing, row: int) -> Made:
    """Read one picture and make of it what ``packing`` asks for."""
    name = store.raw_name(row).decode("utf-8", "surrogateescape")
    try:
        data = patiently(lambda: store.read(row), lambda: store.name(row))
    except OSError as error:
        return Made(name, b"", f"{store.name(row)} cannot be read: {error.strerror or error}")
    if packing.short_side is None:
        return Made(name, data, "" if is_picture(data[:16]) else f"{store.name(row)} is no picture")
    try:
        return Made(name, shrink(data, packing.short_side, packing.quality))
    except BrokenImageError as error:
        return Made(name, b"", f"{store.name(row)} is broken: {error}")


def shrink(data: bytes, short_side: int, quality: int) -> bytes:
    """Return a picture's file with a short side of ``short_side`` pixels at most, as JPEG.

    One that is small enough already is returned as it is.

    Raises:
        BrokenImageError: It is no picture, or only a part of one.
    """
    from harness.data.pictures.decode import decode

    pixels = decode(data)
    height, width = pixels.shape[:2]
    short = min(height, width)
    if short <= short_side:
        return data
    size = (round(width * short_side / short), round(height * short_side / short))
    small = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)
    file = BytesIO()
    small.save(file, "JPEG", quality=quality)
    return file.getvalue()
