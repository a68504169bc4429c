"""Ten shapes; a class is one of them with specific proportions, colours and marks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from harness.data.synthweb.pen import Colour, Pen, Point, rgb

Mark = Literal["plain", "spots", "stripes", "band", "saddle"]


@dataclass(frozen=True, kw_only=True)
class Look:
    """How one class, or one picture of it, is drawn.

    ``long`` (limbs), ``slim`` (height of the body) and ``part`` (the telling part: bill, mane,
    spout, mast) are factors around 1; ``hue`` and ``accent`` are turns of the colour wheel.
    """

    hue: float
    saturation: float
    value: float
    accent: float
    mark: Mark
    long: float
    slim: float
    part: float

    @property
    def body(self) -> Colour:
        """The main colour."""
        return rgb(self.hue, self.saturation, self.value)

    @property
    def shade(self) -> Colour:
        """The main colour in shadow, for parts behind and below."""
        return rgb(self.hue, self.saturation + 0.1, self.value * 0.62)

    @property
    def signal(self) -> Colour:
        """The colour of marks and distinctive parts."""
        return rgb(self.accent, 0.75, 0.35 if self.value > 0.55 else 0.95)


def bird(pen: Pen, look: Look) -> None:
    """A bird in profile: long legs and neck make a wader."""
    leg, neck, high = 0.45 * look.long, 0.45 * look.long, 0.3 * look.slim
    for x in (-0.12, 0.1):
        pen.stroke((x, 0.1), (x + 0.04, 0.3 + leg), 0.06, look.signal)
    pen.polygon([(-0.45, -0.05), (-1.0, 0.12 * look.part), (-0.4, 0.2)], look.shade)
    pen.ellipse((0, 0), (0.55, high), look.body, turn=-0.15)
    _mark(pen, look, (-0.05, 0.0), (0.48, 0.85 * high))
    pen.stroke((0.4, -0.05), (0.58, -0.15 - neck), 0.16, look.body)
    head: Point = (0.6, -0.2 - neck)
    bill = 0.18 + 0.28 * look.part
    pen.polygon(
        [
            (head[0] + 0.08, head[1] - 0.07),
            (head[0] + bill, head[1] + 0.08),
            (head[0], 0.1 + head[1]),
        ],
        look.signal,
    )
    pen.ellipse(head, (0.17, 0.15), look.body)
    pen.ellipse((head[0] + 0.05, head[1] - 0.04), (0.035, 0.035), (20, 20, 20))


def beast(pen: Pen, look: Look) -> None:
    """A four-legged animal in profile; ``part`` sizes mane, ears and tail."""
    high, leg = 0.3 * look.slim, 0.5 * look.long
    for x in (-0.5, -0.32, 0.3, 0.46):
        pen.stroke((x, 0.05), (x + 0.03, 0.15 + leg), 0.13, look.shade)
    pen.stroke((-0.6, -0.1), (-0.95, -0.1 + 0.3 * look.part), 0.08, look.shade)
    pen.ellipse((-0.05, 0), (0.66, high), look.body)
    _mark(pen, look, (-0.05, 0.0), (0.6, 0.9 * high))
    pen.ellipse((0.62, -0.22), (0.16 + 0.13 * look.part,) * 2, look.shade)
    pen.ellipse((0.68, -0.24), (0.24, 0.2), look.body)
    ear = 0.1 + 0.16 * look.part
    for x in (0.54, 0.72):
        pen.polygon([(x - 0.07, -0.36), (x, -0.4 - ear), (x + 0.08, -0.36)], look.signal)
    pen.ellipse((0.88, -0.16), (0.1, 0.08), look.signal)


def wings(pen: Pen, look: Look) -> None:
    """A spread insect from above; ``part`` sizes the hind wings, ``slim`` the fore wings."""
    hind = 0.28 + 0.2 * look.part
    for side in (-1, 1):
        pen.ellipse((side * 0.42, 0.34), (hind, 0.3), look.shade, turn=side * 0.7)
        pen.ellipse((side * 0.5, -0.28), (0.52, 0.32 * look.slim), look.body, turn=-side * 0.5)
        _mark(pen, look, (side * 0.52, -0.28), (0.36, 0.22 * look.slim))
        pen.ellipse((side * 0.45, 0.36), (0.1 * look.part, 0.09), look.signal)
        pen.stroke((0, -0.4), (side * 0.25, -0.5 - 0.3 * look.long), 0.04, (30, 25, 25))
    pen.ellipse((0, 0), (0.09, 0.3 + 0.25 * look.long), (40, 32, 30))


def fruit(pen: Pen, look: Look) -> None:
    """A round fruit with a stalk; ``long`` stretches it, ``part`` sizes leaf and stalk."""
    wide, high = 0.62 * look.slim, 0.55 * look.long
    pen.stroke((0, -high + 0.1), (0.1, -high - 0.3 * look.part), 0.1, (90, 65, 35))
    pen.ellipse((0.28, -high - 0.05), (0.28 * look.part, 0.11), rgb(0.3, 0.6, 0.55), turn=-0.5)
    pen.ellipse((0, 0), (wide, high), look.shade)
    pen.ellipse((-0.04, -0.04), (wide * 0.93, high * 0.93), look.body)
    _mark(pen, look, (0, 0), (wide * 0.8, high * 0.8))
    pen.ellipse((-0.25, -0.25), (0.1, 0.07), rgb(look.hue, 0.15, 1.0), turn=0.7)


def strings(pen: Pen, look: Look) -> None:
    """A stringed instrument upright; ``part`` sizes the upper bout, ``long`` the neck."""
    neck = 0.65 + 0.3 * look.long
    pen.stroke((0, 0.2), (0, -neck), 0.13, (60, 42, 30))
    pen.ellipse((0, -neck), (0.13, 0.13), look.signal)
    pen.ellipse((0, 0.02), (0.24 + 0.12 * look.part, 0.3), look.shade)
    pen.ellipse((0, 0.5), (0.46 * look.slim, 0.38), look.body)
    _mark(pen, look, (0, 0.55), (0.34 * look.slim, 0.28))
    pen.ellipse((0, 0.2), (0.12, 0.12), (25, 20, 18))
    pen.stroke((-0.17, 0.66), (0.17, 0.66), 0.07, (35, 28, 22))


def fish(pen: Pen, look: Look) -> None:
    """A fish in profile; ``part`` sizes the fins, ``long`` the tail."""
    high, tail = 0.34 * look.slim, 0.3 * look.long
    pen.polygon([(-0.5, 0), (-0.98, -tail - 0.1), (-0.85, 0), (-0.98, tail)], look.shade)
    fin = 0.2 + 0.3 * look.part
    pen.polygon([(-0.2, -0.8 * high), (0.02, -high - fin), (0.22, -0.8 * high)], look.signal)
    pen.polygon([(0.0, 0.8 * high), (-0.1, high + 0.6 * fin), (0.2, 0.8 * high)], look.shade)
    pen.ellipse((0.1, 0), (0.72, high), look.body)
    _mark(pen, look, (0.05, 0.0), (0.6, 0.88 * high))
    pen.ellipse((0.6, -0.07), (0.05, 0.05), (15, 15, 15))


def car(pen: Pen, look: Look) -> None:
    """A car in profile; ``slim`` is the height, ``part`` the length of the cabin."""
    high, cabin = 0.3 * look.slim, 0.3 + 0.28 * look.part
    top = -0.1 - high
    pen.polygon(
        [(-cabin - 0.12, 0), (-cabin, top - 0.12), (cabin - 0.15, top - 0.12), (cabin + 0.1, 0)],
        look.shade,
    )
    pen.polygon(
        [(-cabin, -0.04), (-cabin + 0.06, top), (cabin - 0.2, top), (cabin - 0.02, -0.04)],
        (190, 215, 225),
    )
    pen.polygon([(-0.95, -0.05), (0.9, -0.05), (1.0, 0.3), (-1.0, 0.3)], look.body)
    _mark(pen, look, (0, 0.12), (0.8, 0.16))
    for x in (-0.55, 0.58):
        pen.ellipse((x, 0.34), (0.21 * look.long, 0.21 * look.long), (25, 25, 28))
        pen.ellipse((x, 0.34), (0.09, 0.09), look.signal)


def boat(pen: Pen, look: Look) -> None:
    """A sailing boat; ``part`` sizes the second sail, ``long`` the mast."""
    mast = 0.5 + 0.4 * look.long
    pen.stroke((0, 0.4), (0, -mast), 0.06, (80, 60, 40))
    pen.polygon([(0.05, -mast), (0.05, 0.3), (0.75 * look.slim, 0.3)], look.body)
    pen.polygon([(-0.05, -mast * look.part), (-0.05, 0.3), (-0.6, 0.3)], look.signal)
    _mark(pen, look, (0.22, 0.05), (0.18 * look.slim, 0.24))
    pen.polygon([(-0.9, 0.38), (0.95, 0.34), (0.65, 0.7), (-0.7, 0.7)], look.shade)


def pot(pen: Pen, look: Look) -> None:
    """A vessel; ``long`` is its height, ``part`` sizes spout and handle."""
    wide, high = 0.45 * look.slim, 0.3 + 0.32 * look.long
    grip = 0.18 + 0.17 * look.part
    pen.ellipse((-wide, 0), (grip, 0.3), look.shade)
    pen.ellipse((-wide, 0), (grip * 0.6, 0.18), rgb(look.accent, 0.2, 0.85))
    pen.polygon(
        [(wide * 0.7, 0.1), (wide + 0.5 * look.part, -0.35), (wide * 0.8, -0.2)], look.shade
    )
    pen.polygon(
        [
            (-wide * 0.75, -high),
            (wide * 0.75, -high),
            (wide, 0.3 * high),
            (wide * 0.7, high),
            (-wide * 0.7, high),
            (-wide, 0.3 * high),
        ],
        look.body,
    )
    _mark(pen, look, (0, 0.1), (wide * 0.8, 0.75 * high))
    pen.ellipse((0, -high), (wide * 0.75, 0.1), look.signal)


def bug(pen: Pen, look: Look) -> None:
    """A beetle or spider from above; ``long`` sizes the legs, ``part`` the head."""
    reach = 0.35 + 0.4 * look.long
    for side in (-1, 1):
        for angle in (-0.7, -0.1, 0.5, 1.0):
            knee = (side * reach * 0.7 * math.cos(angle), reach * math.sin(angle))
            pen.stroke((0, 0.1), knee, 0.07, look.shade)
            pen.stroke(knee, (knee[0] + side * 0.25, knee[1] + 0.2), 0.05, look.shade)
    pen.ellipse((0, -0.48), (0.14 + 0.14 * look.part, 0.14 + 0.1 * look.part), look.signal)
    pen.ellipse((0, 0.15), (0.42 * look.slim, 0.52), look.body)
    _mark(pen, look, (0, 0.15), (0.34 * look.slim, 0.44))
    pen.stroke((0, -0.3), (0, 0.66), 0.04, look.shade)


def _mark(pen: Pen, look: Look, centre: Point, radii: Point) -> None:
    """Draw the class's marks inside an ellipse."""
    (x, y), (wide, high) = centre, radii
    if look.mark == "spots":
        for dx, dy in (
            (-0.6, -0.1),
            (-0.3, 0.4),
            (-0.2, -0.45),
            (0.1, 0.0),
            (0.4, 0.45),
            (0.45, -0.4),
            (0.75, 0.05),
        ):
            spot = (x + dx * wide, y + dy * high)
            pen.ellipse(spot, (0.13 * wide + 0.02, 0.17 * high + 0.02), look.signal)
    elif look.mark == "stripes":
        for dx in (-0.65, -0.25, 0.15, 0.55):
            half = 0.95 * high * math.sqrt(1 - dx * dx)
            middle = x + dx * wide
            pen.stroke(
                (middle - 0.03, y - half), (middle + 0.03, y + half), 0.17 * wide, look.signal
            )
    elif look.mark == "band":
        pen.stroke((x + 0.1 * wide, y - high), (x + 0.1 * wide, y + high), 0.5 * wide, look.signal)
    elif look.mark == "saddle":
        pen.ellipse((x, y - 0.45 * high), (0.8 * wide, 0.5 * high), look.signal)


Draw = Callable[[Pen, Look], None]

# One row per group of the class table: body plan, hue, saturation, value, accent, length of limbs.
_GROUPS: tuple[tuple[Draw, float, float, float, float, float], ...] = (
    (bird, 0.02, 0.30, 0.85, 0.08, 1.3),
    (beast, 0.10, 0.55, 0.85, 0.06, 0.9),
    (wings, 0.09, 0.75, 0.90, 0.62, 1.0),
    (fruit, 0.06, 0.80, 0.85, 0.25, 1.0),
    (strings, 0.07, 0.75, 0.60, 0.55, 1.0),
    (fish, 0.56, 0.35, 0.65, 0.08, 1.0),
    (car, 0.00, 0.75, 0.80, 0.15, 1.0),
    (boat, 0.15, 0.12, 0.95, 0.60, 1.0),
    (pot, 0.58, 0.35, 0.85, 0.02, 1.0),
    (bug, 0.33, 0.60, 0.45, 0.12, 0.7),
    (beast, 0.07, 0.45, 0.60, 0.02, 0.6),
    (bird, 0.12, 0.70, 0.80, 0.98, 0.5),
    (bird, 0.08, 0.35, 0.45, 0.14, 0.8),
    (wings, 0.50, 0.45, 0.70, 0.95, 1.5),
    (fish, 0.12, 0.85, 0.95, 0.65, 0.7),
    (fruit, 0.28, 0.65, 0.60, 0.14, 1.5),
    (beast, 0.08, 0.25, 0.75, 0.70, 1.3),
    (car, 0.13, 0.70, 0.90, 0.60, 1.35),
    (pot, 0.38, 0.50, 0.50, 0.13, 1.7),
    (bug, 0.05, 0.50, 0.40, 0.00, 1.3),
)

# One row per member: hue offset, mark, slim, part. Any two differ in some and agree in others.
_MEMBERS: tuple[tuple[float, Mark, float, float], ...] = (
    (-0.025, "spots", 0.80, 1.35),
    (0.030, "spots", 1.15, 0.90),
    (0.000, "stripes", 0.85, 0.65),
    (0.015, "plain", 1.15, 0.60),
    (-0.010, "saddle", 1.00, 1.40),
)


def class_look(group: int, member: int) -> Look:
    """Return the look of a class without variation."""
    _, hue, saturation, value, accent, long = _GROUPS[group]
    offset, mark, slim, part = _MEMBERS[(member + group + 4) % len(_MEMBERS)]
    return Look(
        hue=hue + offset,
        saturation=saturation,
        value=value,
        accent=accent,
        mark=mark,
        long=long,
        slim=slim,
        part=part,
    )


def vary(look: Look, rng: np.random.Generator, spread: float) -> Look:
    """Return the look of one individual; ``spread`` 1 is the usual variation, 0 none."""
    hue, saturation, value, accent, long, slim, part = rng.normal(size=7) * spread
    return replace(
        look,
        hue=look.hue + 0.03 * hue,
        saturation=look.saturation + 0.1 * saturation,
        value=look.value + 0.08 * value,
        accent=look.accent + 0.04 * accent,
        long=look.long * math.exp(0.12 * long),
        slim=look.slim * math.exp(0.1 * slim),
        part=look.part * math.exp(0.18 * part),
    )


def draw_class(pen: Pen, group: int, look: Look) -> None:
    """Draw one individual of a class of ``group``."""
    _GROUPS[group][0](pen, look)
