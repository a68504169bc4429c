"""Small copies of large photographs, below the home: a camera's picture takes 0.2 s to decode.

A copy is named by the content of its original, so that equal ones are made once, and ends in its
own digest, so that a damaged one is made again. All copies may be deleted at any time.
"""

from __future__ import annotations

from pathlib import Path

import simplejpeg

from harness.data.own_pictures.formats import as_web_picture
from harness.data.pictures.decode import Pixels, decode, resize
from harness.data.pictures.digests import DIGEST_BYTES, digest_of
from harness.store.files import atomic_write
from harness.store.reading import read_plain

FOLDER = "pictures-512"  # another name for copies that are made otherwise
LARGE = 768  # pixels; a picture whose short side is longer is read from its copy
SHORT_SIDE = 512  # of a copy: more than twice the usual input's side
QUALITY = 95
MOST_BYTES = 64 << 20


def is_large(width: int, height: int) -> bool:
    """Return whether a picture of so many pixels is read from a copy."""
    return min(width, height) > LARGE


def copy_path(home: Path, digest: bytes) -> Path:
    """Return the path of the copy of a picture with this content."""
    name = digest.hex()
    return home / FOLDER / name[:2] / f"{name}.jpg"


def small_copy(path: Path, original: bytes | None, *, plain: bool) -> bytes | None:
    """Return the copy at ``path``, made of ``original`` if it is missing or damaged.

    Returns None if it is not there and no original is given. ``plain``: decode reads the original
    as it is. Raises BrokenImageError if the original is not whole, HarnessError if the copy cannot
    be written.
    """
    try:
        content = read_plain(path, MOST_BYTES)
        if digest_of(content[:-DIGEST_BYTES]) == content[-DIGEST_BYTES:]:
            return content[:-DIGEST_BYTES]
    except OSError:
        pass
    return None if original is None else write_copy(path, _pixels(original, plain=plain))


def write_copy(path: Path, pixels: Pixels) -> bytes:
    """Shrink a decoded picture, write its copy and return it."""
    height, width = pixels.shape[:2]
    factor = SHORT_SIDE / min(height, width)
    small = resize(pixels, round(height * factor), round(width * factor))
    copy: bytes = simplejpeg.encode_jpeg(small, QUALITY, colorsubsampling="444")
    atomic_write(path, lambda file: file.write(copy + digest_of(copy)))
    return copy


def _pixels(original: bytes, *, plain: bool) -> Pixels:
    return decode(original if plain else as_web_picture(original))
