from __future__ import annotations

import pytest

from harness.errors import PluginError
from harness.tricks.testing.crops import MultiCrop
from harness.values import View

CENTRE = View(short_side=256, size=224)


def test_ten_crops_are_four_corners_and_the_centre_each_mirrored():
    views = MultiCrop()((CENTRE,))
    assert len(views) == len(set(views)) == 10
    assert {view.crop for view in views} == {
        "center",
        "top_left",
        "top_right",
        "bottom_left",
        "bottom_right",
    }
    assert sum(view.flip for view in views) == 5
    assert {(view.short_side, view.size) for view in views} == {(256, 224)}


def test_fewer_crops():
    assert MultiCrop(crops=1)((CENTRE,)) == (CENTRE,)
    assert MultiCrop(crops=2)((CENTRE,)) == (CENTRE, View(short_side=256, size=224, flip=True))
    assert [view.flip for view in MultiCrop(crops=5)((CENTRE,))] == [False] * 5


def test_several_scales_are_cropped_each():
    scales = (CENTRE, View(short_side=320, size=288))
    views = MultiCrop()(scales)
    assert [view.size for view in views] == [224] * 10 + [288] * 10


def test_cropping_twice_changes_nothing():
    once = MultiCrop()((CENTRE,))
    assert MultiCrop()(once) == once


def test_another_number_is_refused():
    with pytest.raises(PluginError, match="crops must be one of 1, 2, 5, 10, got"):
        MultiCrop(crops=7)
