"""Draws filled shapes given in an object's own coordinates."""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.ImageDraw import ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]


def rgb(hue: float, saturation: float, value: float) -> Colour:
    """Convert hue (any real number, 1 is a full turn), saturation and value to 8-bit RGB."""
    red, green, blue = colorsys.hsv_to_rgb(
        hue % 1.0, min(max(saturation, 0.0), 1.0), min(max(value, 0.0), 1.0)
    )
    return round(255 * red), round(255 * green), round(255 * blue)


@dataclass(frozen=True)
class Pen:
    """Maps object coordinates ((0, 0) the middle, about -1 to 1, y down) to pixels and fills.

    ``matrix`` is ``(2, 2)``, ``origin`` is ``(2,)``, both in pixels per unit.
    """

    canvas: ImageDraw
    matrix: NDArray[np.float64]
    origin: NDArray[np.float64]

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        """Fill the polygon through ``points``."""
        self._fill(np.array(points), colour)

    def ellipse(self, centre: Point, radii: Point, colour: Colour, *, turn: float = 0.0) -> None:
        """Fill an ellipse whose axes are turned by ``turn`` radians."""
        circle = _circle() * radii
        if turn:
            cos, sin = math.cos(turn), math.sin(turn)
            circle = circle @ np.array([[cos, sin], [-sin, cos]])
        self._fill(circle + centre, colour)

    def stroke(self, start: Point, end: Point, width: float, colour: Colour) -> None:
        """Fill a straight bar of ``width`` from ``start`` to ``end``."""
        along = np.subtract(end, start)
        length = float(np.hypot(*along)) or 1.0
        across = np.array([-along[1], along[0]]) * (width / 2 / length)
        corners = np.array([start, end, end, start])
        self._fill(corners + across * np.array([[1], [1], [-1], [-1]]), colour)

    def _fill(self, points: NDArray[np.float64], colour: Colour) -> None:
        pixels = points @ self.matrix.T + self.origin
        self.canvas.polygon(pixels.ravel().tolist(), fill=colour)


def pen_at(
    canvas: ImageDraw, centre: Point, scale: float, *, turn: float, mirrored: bool, shear: float
) -> Pen:
    """Place an object: its middle at ``centre`` pixels, ``scale`` pixels to a unit."""
    cos, sin = math.cos(turn), math.sin(turn)
    flip = -1.0 if mirrored else 1.0
    matrix = scale * np.array([[cos, -sin], [sin, cos]]) @ np.array([[flip, shear], [0.0, 1.0]])
    return Pen(canvas, matrix, np.array(centre))


@cache
def _circle() -> NDArray[np.float64]:
    angles = np.linspace(0, 2 * math.pi, 18, endpoint=False)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)
