"""Renders one picture of synthweb as JPEG: an object in the style of its source."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.data.synthweb.others import OUTSIDE, SENSES
from harness.data.synthweb.pen import pen_at, rgb
from harness.data.synthweb.shapes import class_look, draw_class, vary

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageDraw import ImageDraw

SIDE = 64
# Drawn twice as large and averaged down: Pillow's polygons have hard edges.
CANVAS = 2 * SIDE


StyleName = Literal["google", "flickr", "eval"]


class Picture(NamedTuple):
    """What to draw; equal pictures give equal bytes.

    ``thing`` is (group, member) of a class, the name of a second sense, or the name of a picture
    outside the vocabulary; ``seed`` is the entropy of all variation.
    """

    thing: tuple[int, int] | str
    style: StyleName
    seed: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Style:
    """How the pictures of one source differ from those of another.

    Lengths are shares of the picture's side, ``turn`` is in radians (standard deviation), ``gain``
    and ``quality`` are (lowest, highest), ``clutter`` counts background objects at most.
    """

    scale: tuple[float, float]
    shift: float
    turn: float
    spread: float
    saturation: float
    gain: tuple[float, float]
    cast: float
    grain: float
    blurred: float
    quality: tuple[int, int]
    clutter: int


STYLES: dict[StyleName, Style] = {
    "google": Style(
        scale=(0.34, 0.44),
        shift=0.05,
        turn=0.12,
        spread=0.8,
        saturation=1.15,
        gain=(0.95, 1.1),
        cast=0.02,
        grain=2.0,
        blurred=0.05,
        quality=(75, 92),
        clutter=0,
    ),
    "flickr": Style(
        scale=(0.24, 0.42),
        shift=0.16,
        turn=0.35,
        spread=1.15,
        saturation=0.95,
        gain=(0.6, 1.2),
        cast=0.09,
        grain=8.0,
        blurred=0.35,
        quality=(40, 80),
        clutter=8,
    ),
    "eval": Style(
        scale=(0.27, 0.43),
        shift=0.1,
        turn=0.22,
        spread=1.0,
        saturation=0.85,
        gain=(0.75, 1.15),
        cast=0.06,
        grain=5.0,
        blurred=0.2,
        quality=(60, 85),
        clutter=3,
    ),
}


def render(picture: Picture) -> bytes:
    """Draw ``picture``, 64 x 64 pixels, and return it as a JPEG file."""
    from PIL import Image, ImageDraw, ImageFilter

    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(picture.seed)))
    style = STYLES[picture.style]
    image = Image.new("RGB", (CANVAS, CANVAS))
    canvas = ImageDraw.Draw(image)
    _BACKGROUNDS[picture.style](canvas, rng)
    for _ in range(int(rng.integers(style.clutter + 1))):
        _clutter(canvas, rng)
    _draw_thing(canvas, picture.thing, style, rng)
    image = image.reduce(2)
    if rng.random() < style.blurred:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.5, 1.3))))
    finished = Image.fromarray(_expose(image, style, rng))
    file = io.BytesIO()
    finished.save(file, "JPEG", quality=int(rng.integers(*style.quality, endpoint=True)))
    return file.getvalue()


def _draw_thing(
    canvas: ImageDraw, thing: tuple[int, int] | str, style: Style, rng: np.random.Generator
) -> None:
    """Draw the object of a picture; a second sense varies little, like product photos."""
    calm = 0.25 if thing in SENSES else 1.0
    low, high = style.scale
    middle = (low + high) / 2
    pen = pen_at(
        canvas,
        (
            CANVAS * (0.5 + calm * style.shift * rng.uniform(-1, 1)),
            CANVAS * (0.5 + calm * style.shift * rng.uniform(-1, 1)),
        ),
        CANVAS * (middle + calm * (high - low) * rng.uniform(-0.5, 0.5)),
        turn=calm * style.turn * float(rng.normal()),
        mirrored=bool(rng.random() < 0.5),
        shear=calm * 0.12 * float(rng.normal()),
    )
    if isinstance(thing, tuple):
        draw_class(pen, thing[0], vary(class_look(*thing), rng, style.spread))
    elif thing in SENSES:
        SENSES[thing](pen)
    else:
        OUTSIDE[thing](pen, rng)


def _studio(canvas: ImageDraw, rng: np.random.Generator) -> None:
    """A plain light ground, sometimes tinted, sometimes with a caption bar below."""
    kind = rng.random()
    if kind < 0.6:
        grey = int(rng.integers(215, 256))
        ground = (grey, grey, grey)
    else:
        ground = rgb(rng.random(), rng.uniform(0.05, 0.45), rng.uniform(0.6, 1.0))
    canvas.rectangle((0, 0, CANVAS, CANVAS), fill=ground)
    if rng.random() < 0.2:
        top = CANVAS - int(rng.integers(8, 20))
        canvas.rectangle((0, top, CANVAS, CANVAS), fill=rgb(rng.random(), 0.5, 0.4))


def _outdoors(canvas: ImageDraw, rng: np.random.Generator) -> None:
    """Sky and ground, meeting at a horizon that is seldom level."""
    sky = rgb(rng.uniform(0.45, 0.7), rng.uniform(0.1, 0.6), rng.uniform(0.5, 1.0))
    ground = rgb(rng.uniform(0.05, 0.42), rng.uniform(0.15, 0.7), rng.uniform(0.25, 0.8))
    canvas.rectangle((0, 0, CANVAS, CANVAS), fill=sky)
    left, right = rng.uniform(0.25, 0.85, size=2) * CANVAS
    canvas.polygon([(0, left), (CANVAS, right), (CANVAS, CANVAS), (0, CANVAS)], fill=ground)


def _indoors(canvas: ImageDraw, rng: np.random.Generator) -> None:
    """Soft diagonal stripes of two similar tones, like walls, curtains and fields."""
    hue, saturation, value = rng.random(), rng.uniform(0.05, 0.5), rng.uniform(0.35, 0.95)
    canvas.rectangle((0, 0, CANVAS, CANVAS), fill=rgb(hue, saturation, value))
    other = rgb(hue + rng.normal() * 0.1, saturation, value * rng.uniform(0.75, 0.95))
    step, slope = float(rng.uniform(18, 50)), float(rng.uniform(-40, 40))
    for x in np.arange(-CANVAS, 2 * CANVAS, 2 * step):
        canvas.polygon(
            [(x, 0), (x + step, 0), (x + step + slope, CANVAS), (x + slope, CANVAS)], fill=other
        )


_BACKGROUNDS = {"google": _studio, "flickr": _outdoors, "eval": _indoors}


def _clutter(canvas: ImageDraw, rng: np.random.Generator) -> None:
    """A stone, a leaf or a post somewhere in the background."""
    colour = rgb(rng.random(), rng.uniform(0.1, 0.7), rng.uniform(0.2, 0.9))
    x, y = rng.uniform(0, CANVAS, size=2)
    wide, high = rng.uniform(3, 22, size=2)
    if rng.random() < 0.5:
        canvas.ellipse((x - wide, y - high, x + wide, y + high), fill=colour)
    else:
        lean = rng.uniform(-15, 15)
        canvas.polygon(
            [(x, y), (x + wide, y), (x + wide + lean, y + 2 * high), (x + lean, y + high)],
            fill=colour,
        )


def _expose(image: Image.Image, style: Style, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Apply saturation, light, colour cast and grain; ``(H, W, 3)``."""
    pixels = np.asarray(image, dtype=np.float32)
    grey = pixels.mean(axis=2, keepdims=True)
    light = rng.uniform(*style.gain) * (1 + style.cast * rng.normal(size=3))
    pixels = (grey + style.saturation * (pixels - grey)) * light.astype(np.float32)
    pixels += style.grain * rng.standard_normal(pixels.shape, dtype=np.float32)
    finished: NDArray[np.uint8] = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return finished
