"""Drawings that are not classes: second senses of a name, and pictures outside the vocabulary."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness.data.synthweb.pen import Pen, rgb
from harness.data.synthweb.shapes import Look, car

GREY = (70, 72, 78)


def _tower(pen: Pen) -> None:
    pen.stroke((-0.2, 0.95), (-0.2, -0.75), 0.16, (235, 180, 30))
    pen.stroke((-0.65, -0.6), (0.95, -0.6), 0.12, (235, 180, 30))
    pen.stroke((-0.2, -0.95), (0.9, -0.6), 0.04, GREY)
    pen.stroke((0.7, -0.55), (0.7, 0.2), 0.04, GREY)
    pen.polygon([(0.55, 0.2), (0.85, 0.2), (0.85, 0.45), (0.55, 0.45)], GREY)
    pen.polygon([(-0.75, -0.62), (-0.5, -0.62), (-0.5, -0.3), (-0.75, -0.3)], GREY)


def _car(pen: Pen) -> None:
    car(
        pen,
        Look(
            hue=0.4,
            saturation=0.7,
            value=0.4,
            accent=0.6,
            mark="plain",
            long=1.1,
            slim=0.8,
            part=0.9,
        ),
    )


def _crown(pen: Pen) -> None:
    rim = [
        (-0.75, 0.5),
        (-0.85, -0.45),
        (-0.4, 0.0),
        (0, -0.7),
        (0.4, 0.0),
        (0.85, -0.45),
        (0.75, 0.5),
    ]
    pen.polygon(rim, (225, 175, 40))
    pen.polygon([(-0.75, 0.3), (0.75, 0.3), (0.75, 0.55), (-0.75, 0.55)], (150, 25, 45))
    for x in (-0.85, 0.0, 0.85):
        pen.ellipse((x, -0.55 if x else -0.8), (0.1, 0.1), (200, 40, 60))


def _person(pen: Pen) -> None:
    pen.polygon([(-0.6, 1.0), (-0.45, 0.1), (0.45, 0.1), (0.6, 1.0)], (35, 45, 90))
    pen.ellipse((0, -0.25), (0.32, 0.4), (225, 180, 150))
    pen.polygon([(-0.4, -0.45), (0.4, -0.45), (0.28, -0.75), (-0.28, -0.75)], (240, 240, 245))
    pen.stroke((0, 0.2), (0, 0.9), 0.06, (225, 190, 60))


def _screen(pen: Pen) -> None:
    pen.polygon([(-0.75, -0.7), (0.75, -0.7), (0.75, 0.3), (-0.75, 0.3)], (50, 52, 58))
    pen.polygon([(-0.66, -0.62), (0.66, -0.62), (0.66, 0.22), (-0.66, 0.22)], (95, 160, 225))
    pen.polygon([(-0.75, 0.34), (0.75, 0.34), (0.95, 0.65), (-0.95, 0.65)], (175, 178, 185))


def _hammer(pen: Pen) -> None:
    pen.stroke((0, 0.95), (0, -0.4), 0.16, (165, 110, 55))
    pen.polygon([(-0.6, -0.75), (0.45, -0.75), (0.45, -0.35), (-0.6, -0.4)], GREY)


def _diamond(pen: Pen) -> None:
    pen.polygon([(0, -0.9), (0.6, -0.15), (0, 0.5), (-0.6, -0.15)], (230, 60, 60))
    pen.polygon([(0, -0.9), (0.6, -0.15), (0, -0.15)], (250, 205, 60))
    pen.stroke((0, 0.5), (-0.3, 0.95), 0.05, GREY)


def _chip(pen: Pen) -> None:
    pen.polygon([(-0.95, -0.3), (0.95, -0.3), (0.95, 0.35), (-0.95, 0.35)], (30, 110, 60))
    for x in (-0.65, -0.22, 0.22, 0.65):
        pen.polygon(
            [(x - 0.15, -0.15), (x + 0.15, -0.15), (x + 0.15, 0.15), (x - 0.15, 0.15)], (28, 28, 30)
        )
    pen.stroke((-0.9, 0.35), (0.9, 0.35), 0.1, (220, 190, 80))


SENSES: dict[str, Callable[[Pen], None]] = {
    "tower": _tower,
    "car": _car,
    "crown": _crown,
    "person": _person,
    "screen": _screen,
    "hammer": _hammer,
    "diamond": _diamond,
    "chip": _chip,
}


def _menu(pen: Pen, rng: np.random.Generator) -> None:
    ink = rgb(rng.random(), 0.4, 0.3)
    pen.polygon([(-0.9, -1.1), (0.9, -1.1), (0.9, 1.1), (-0.9, 1.1)], (245, 242, 232))
    for y in np.arange(-0.9, 1.0, rng.uniform(0.17, 0.3)):
        pen.stroke((-0.75, y), (rng.uniform(-0.2, 0.75), y), 0.08, ink)


def _portrait(pen: Pen, rng: np.random.Generator) -> None:
    skin = rgb(0.07, rng.uniform(0.25, 0.6), rng.uniform(0.4, 0.95))
    pen.ellipse((0, 1.05), (0.9, 0.65), rgb(rng.random(), 0.6, rng.uniform(0.2, 0.9)))
    pen.ellipse((0, -0.2), (0.55, 0.7), rgb(0.08, 0.5, rng.uniform(0.05, 0.5)))
    pen.ellipse((0, -0.1), (0.42, 0.55), skin)
    for x in (-0.17, 0.17):
        pen.ellipse((x, -0.2), (0.07, 0.05), (30, 25, 30))
    pen.stroke((-0.15, 0.2), (0.15, 0.2), 0.07, (150, 50, 60))


def _chart(pen: Pen, rng: np.random.Generator) -> None:
    pen.polygon([(-1, -1), (1, -1), (1, 1), (-1, 1)], (240, 242, 245))
    hue = rng.random()
    for x in np.linspace(-0.75, 0.75, int(rng.integers(3, 8))):
        pen.stroke((x, 0.8), (x, rng.uniform(-0.8, 0.6)), 0.18, rgb(hue + 0.2 * x, 0.6, 0.75))


def _house(pen: Pen, rng: np.random.Generator) -> None:
    wall, roof = rgb(rng.random(), 0.3, 0.8), rgb(rng.uniform(-0.05, 0.1), 0.6, 0.5)
    wide = rng.uniform(0.5, 0.85)
    pen.polygon([(-wide, -0.1), (wide, -0.1), (wide, 0.8), (-wide, 0.8)], wall)
    pen.polygon([(-wide - 0.1, -0.1), (0, -rng.uniform(0.5, 0.9)), (wide + 0.1, -0.1)], roof)
    for x in (-0.5, 0.0, 0.5):
        pen.stroke((x * wide, 0.15), (x * wide, 0.4), 0.2, (60, 80, 110))


def _flowers(pen: Pen, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(3, 8))):
        x, y, size = rng.uniform(-0.8, 0.8), rng.uniform(-0.8, 0.6), rng.uniform(0.1, 0.28)
        pen.stroke((x, y), (x * 0.6, 1.1), 0.05, (60, 120, 50))
        petals = rgb(rng.random(), 0.7, 0.9)
        for turn in np.arange(0, 6.28, 1.26):
            pen.ellipse(
                (x + size * np.cos(turn), y + size * np.sin(turn)), (size * 0.6,) * 2, petals
            )
        pen.ellipse((x, y), (size * 0.5, size * 0.5), (240, 210, 60))


OUTSIDE: dict[str, Callable[[Pen, np.random.Generator], None]] = {
    "menu": _menu,
    "portrait": _portrait,
    "chart": _chart,
    "house": _house,
    "flowers": _flowers,
}
