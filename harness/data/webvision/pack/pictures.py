"""Converts one picture for packing."""

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
    """How pictures are packed. ``short_side`` is in pixels; None leaves every picture unchanged.

    Larger pictures are shrunk by Pillow's Lanczos filter and written as JPEG of ``quality``;
    smaller ones are left unchanged. An archive has at most ``shard_bytes``, unless one picture has
    more.
    """

    short_side: int | None = 256
    quality: int = 90
    shard_bytes: int = 1 << 30


class PackedPicture(NamedTuple):
    """One picture for an archive; ``problem`` says why it cannot be packed, if so."""

    name: str
    data: bytes
    problem: str = ""


def make(store: FolderStore, packing: Packing, row: int) -> PackedPicture:
    """Read one picture and convert it as ``packing`` says."""
    name = store.raw_name(row).decode("utf-8", "surrogateescape")
    try:
        data = patiently(lambda: store.read(row), lambda: store.name(row))
    except OSError as error:
        return PackedPicture(
            name, b"", f"{store.name(row)} cannot be read: {error.strerror or error}"
        )
    if packing.short_side is None:
        problem = "" if is_picture(data[:16]) else f"{store.name(row)} is not a picture"
        return PackedPicture(name, data, problem)
    try:
        return PackedPicture(name, shrink(data, packing.short_side, packing.quality))
    except BrokenImageError as error:
        return PackedPicture(name, b"", f"{store.name(row)} is broken: {error}")


def shrink(data: bytes, short_side: int, quality: int) -> bytes:
    """Return a picture's file with a short side of ``short_side`` pixels at most, as JPEG.

    A picture that is small enough is returned unchanged.

    Raises:
        BrokenImageError: It is not a picture, or only part of one.
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
