"""Pictures in every format that Pillow reads, and photographs that are stored on their side.

``harness.data.pictures.decode`` reads the formats of the web and applies no EXIF orientation, as
published results need. A user's own pictures may be in other formats, and phones turn theirs by
EXIF: such a picture is handed on as a BMP of its upright pixels.
"""

from __future__ import annotations

import math
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageOps, UnidentifiedImageError

from harness.data.pictures.decode import FORMATS, rgb
from harness.data.pictures.limits import (
    MAX_BYTES,
    BrokenImageError,
    refuse_shape,
    refuse_size,
    room,
)

# They need other programs or libraries, or only name their files.
_NOT_READ = {"EPS", "WMF", "MPEG", "BUFR", "GRIB", "HDF5"}
_ORIENTATION = 0x0112  # EXIF's tag; 1 is upright
_BMP_PIXELS = MAX_BYTES // 3 - 4096  # of a BMP that may still be decoded

# What the readers of rarer formats raise for a file that is cut or odd.
_BROKEN = (
    *(OSError, ValueError, SyntaxError, EOFError, TypeError, LookupError, ArithmeticError),
    *(struct.error, Image.DecompressionBombError),
)

warnings.filterwarnings("ignore", module=r"PIL\.")  # as harness.data.pictures.decode does


class Look(NamedTuple):
    """Width and height of an upright picture in pixels; ``plain``: decode reads it as it is."""

    width: int
    height: int
    plain: bool


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(sorted(set(Image.OPEN) - _NOT_READ))


@cache
def _suffixes() -> frozenset[str]:
    named = Image.registered_extensions()
    known = set(_formats())
    return frozenset(suffix for suffix, form in named.items() if form in known)


def is_picture_name(name: str) -> bool:
    """Return whether a file counts as a picture: by a suffix that Pillow supports."""
    return Path(name).suffix.lower() in _suffixes()


def look_at_header(data: bytes) -> Look:
    """Read a picture's header; raises BrokenImageError if there is none or it costs too much."""
    with _opened(data) as image:
        turned = image.getexif().get(_ORIENTATION, 1)
        width, height = image.size
        if turned in (5, 6, 7, 8) and image.format != "TIFF":  # Pillow turns TIFFs itself
            width, height = height, width
        form = "JPEG" if image.format == "MPO" else image.format  # a phone's, with its depth
        return Look(width, height, form in FORMATS and turned not in range(2, 9))


def as_web_picture(data: bytes) -> bytes:
    """Return a picture of any format as an upright BMP; one over 21 million pixels is shrunk.

    Raises BrokenImageError if it is not a whole picture.
    """
    content = BytesIO()
    with _opened(data) as image, room(*image.size):
        whole = rgb(ImageOps.exif_transpose(image))
        factor = math.ceil(math.sqrt(whole.width * whole.height / _BMP_PIXELS))
        (whole.reduce(factor) if factor > 1 else whole).save(content, "BMP")
    return content.getvalue()


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    """Open a picture of any format; any fault in it becomes a BrokenImageError."""
    refuse_size(data)
    try:
        with Image.open(BytesIO(data), formats=_formats()) as image:
            refuse_shape(*image.size)
            yield image
    except UnidentifiedImageError as error:
        raise BrokenImageError("not a picture") from error
    except _BROKEN as error:
        if "out of memory" in str(error):
            raise MemoryError(str(error)) from error
        raise BrokenImageError(str(error) or type(error).__name__) from error
