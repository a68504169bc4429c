"""Test at several sizes of one image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field, PositiveFloat

from harness.knobs import check_fields
from harness.values import View, Views

STEP = 8  # pixels: most networks halve their input at least three times


@dataclass(frozen=True, kw_only=True)
class MultiScale:
    """Test every view at several sizes: ``scale_view`` by each of ``scales``.

    Before or after ``MultiCrop`` it gives the same views. No view is used twice: scales that differ
    by less than a step of 8 pixels count as one.

    **Source:** PCI deck, "Solution Techniques 4/4": "Multi-scale test". The scales are not on the
    slide; 224, 256 and 288 pixels for a network of 224 are assumed, since networks that are
    tested at larger sizes than trained gain most up to there.
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
    """Return a view of the same part of the image, larger or smaller by about ``scale``.

    ``size`` changes in steps of 8 pixels, so a scale of 1 changes nothing, and is at least 8;
    ``short_side`` changes in proportion.

    **Source:** see ``MultiScale``.
    """
    size = max(STEP, view.size + STEP * round((scale - 1) * view.size / STEP))
    return replace(view, short_side=round(view.short_side * size / view.size), size=size)
