"""Testing on several crops of one picture."""

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
    """Look at every view's four corners and centre, each mirrored, too: ten crops.

    ``crops`` 5 leaves the mirrored ones out, 2 the corners, 1 both. A view that is a corner or
    mirrored already is passed on as it is, and no view is looked at twice.

    **Source:** Malong deck, "Results: Single Model, 10 Crops". Which ten is not on the slide; these
    are the usual ones.
    """

    crops: Literal[1, 2, 5, 10] = 10

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, views: Views) -> Views:
        """Return the crops of every view, unmirrored before mirrored."""
        return tuple(dict.fromkeys(crop for view in views for crop in multi_crop(view, self.crops)))


def multi_crop(view: View, crops: int) -> Views:
    """Return ``crops`` views for a centre view, and any other view alone."""
    if view.crop != "center" or view.flip:
        return (view,)
    corners, flips = CROPS[crops]
    return tuple(replace(view, crop=corner, flip=flip) for flip in flips for corner in corners)
