"""Reading one picture from the web, and cutting a square out of it."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from harness.values import View

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
MAX_PIXELS = 64 << 20  # larger pictures are refused before a pixel is decoded
MAX_BYTES = 64 << 20
CROP_TRIES = 10
CROP_RATIOS = (3 / 4, 4 / 3)

Pixels = NDArray[np.uint8]

# What Pillow warns of, read_image refuses or converts; a filter per call would not be thread-safe.
warnings.filterwarnings("ignore", module=r"PIL\.")


class BrokenImageError(Exception):
    """A file that is no picture, or only a part of one."""


class Box(NamedTuple):
    """A rectangle in pixels; fractions of a pixel are allowed."""

    left: float
    top: float
    right: float
    bottom: float


def read_image(path: Path) -> Image.Image:
    """Decode a picture to RGB; raises BrokenImageError where the file is none or is cut short.

    Transparency is dropped, 16-bit greys are scaled to 8, and an EXIF orientation is not applied:
    as torchvision's ``ImageFolder`` does, which published results were made with, but for the
    greys, which it clips to white.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BrokenImageError(f"larger than {MAX_BYTES >> 20} MiB")
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise BrokenImageError(f"{image.width}x{image.height} pixels are too many")
            return _rgb(image)
    except UnidentifiedImageError as error:
        raise BrokenImageError("not a picture") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise BrokenImageError(reason or str(error) or type(error).__name__) from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit greys, which convert() would clip at 255
        greys = np.asarray(image).astype(np.int64) >> 8
        image = Image.fromarray(greys.clip(0, 255).astype(np.uint8))
    return image.convert("RGB")


def cut(image: Image.Image, box: Box, size: int, *, flip: bool) -> Pixels:
    """Resize a rectangle to ``(size, size, 3)`` with antialiasing, maybe mirrored."""
    crop = image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    pixels = np.asarray(crop)
    return pixels[:, ::-1] if flip else pixels


def random_box(width: int, height: int, min_area: float, draws: NDArray[np.float64]) -> Box:
    """Choose a random rectangle of area ``min_area`` to 1 and ratio 3:4 to 4:3.

    ``draws`` is ``(CROP_TRIES, 4)``, uniform in [0, 1): area, ratio, left, top. Falls back to the
    largest centred rectangle of an allowed ratio, as everyone's random resized crop does.
    """
    low, high = (math.log(ratio) for ratio in CROP_RATIOS)
    for area_draw, ratio_draw, left_draw, top_draw in draws.tolist():
        area = width * height * (min_area + area_draw * (1 - min_area))
        ratio = math.exp(low + ratio_draw * (high - low))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left = int(left_draw * (width - w + 1))
            top = int(top_draw * (height - h + 1))
            return Box(left, top, left + w, top + h)
    ratio = min(max(width / height, CROP_RATIOS[0]), CROP_RATIOS[1])
    w, h = min(width, round(height * ratio)), min(height, round(width / ratio))
    left, top = (width - w) // 2, (height - h) // 2
    return Box(left, top, left + w, top + h)


def view_box(width: int, height: int, view: View) -> Box:
    """Return the rectangle of the original picture that a view shows.

    Equal to resizing the short side to ``view.short_side`` and cutting the square out, in one
    resampling.
    """
    scale = min(width, height) / view.short_side
    side = min(view.size * scale, width, height)
    right, bottom = width - side, height - side
    left, top = {
        "center": (right / 2, bottom / 2),
        "top_left": (0.0, 0.0),
        "top_right": (right, 0.0),
        "bottom_left": (0.0, bottom),
        "bottom_right": (right, bottom),
    }[view.crop]
    return Box(left, top, left + side, top + side)
