"""Test on several crops of one image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from harness.knobs import check_fields
from harness.values import Corner, View, Views

CENTER: tuple[Corner, ...] = ("center",)
FIVE: tuple[Corner, ...] = ("top_left", "top_right", "bottom_left", "bottom_right", "center")

CROPS: dict[int, tuple[tuple[Corner, ...], tuple[bool, ...]]] = {
    1: (CENTER, (False,)),
    2: (CENTER, (False, True)),
    5: (FIVE, (False,)),
    10: (FIVE, (False, True)),
}


@dataclass(frozen=True, kw_only=True)
class MultiCrop:
    """Test on the four corners and the centre of every view, each also mirrored: ten crops.

    ``crops`` 5 omits the mirrored ones, 2 the corners, 1 both. A view that is already a corner or
    mirrored does not change, and no view is used twice.

    **Source:** Malong deck, "Results: Single Model, 10 Crops". The slide does not say which
    ten; these are the usual ones.
    """

    crops: Literal[1, 2, 5, 10] = 10

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, views: Views) -> Views:
        """Return the crops of every view, unmirrored before mirrored."""
        return tuple(dict.fromkeys(crop for view in views for crop in multi_crop(view, self.crops)))


def multi_crop(view: View, crops: int) -> Views:
    """Return ``crops`` views for a centre view, or any other view unchanged.

    **Source:** see ``MultiCrop``.
    """
    if view.crop != "center" or view.flip:
        return (view,)
    corners, flips = CROPS[crops]
    return tuple(replace(view, crop=corner, flip=flip) for flip in flips for corner in corners)
