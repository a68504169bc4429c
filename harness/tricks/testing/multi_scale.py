"""Testing at several sizes of one picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field, PositiveFloat

from harness.knobs import check_fields
from harness.values import View, Views

STEP = 8  # pixels: what most networks' first layers shrink by


@dataclass(frozen=True, kw_only=True)
class MultiScale:
    """Look at every view in several sizes: ``scale_view`` by each of ``scales``.

    Before or after ``MultiCrop`` it gives the same views. No view is looked at twice: scales that
    are nearer than a step of 8 pixels are one.

    **Source:** PCI deck, "Solution Techniques 4/4": "Multi-scale test". The scales are not on the
    slide; 224, 256 and 288 pixels for a network of 224 are assumed, since networks tested larger
    than they were trained gain most up to there.
    """

    scales: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)] = (
        1.0,
        8 / 7,
        9 / 7,
    )

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, views: Views) -> Views:
        """Return every view in every scale, one scale after another."""
        scaled = (scale_view(view, scale) for scale in self.scales for view in views)
        return tuple(dict.fromkeys(scaled))


def scale_view(view: View, scale: float) -> View:
    """Return a view of the same part of the picture, larger or smaller by about ``scale``.

    ``size`` changes in steps of 8 pixels, so that a scale of 1 changes nothing, and is at least 8;
    ``short_side`` keeps its proportion to it.
    """
    size = max(STEP, view.size + STEP * round((scale - 1) * view.size / STEP))
    return replace(view, short_side=round(view.short_side * size / view.size), size=size)
