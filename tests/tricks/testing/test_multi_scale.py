from __future__ import annotations

import pytest

from harness.errors import PluginError
from harness.tricks.testing.crops import MultiCrop
from harness.tricks.testing.multi_scale import MultiScale, scale_view
from harness.values import View

CENTRE = View(short_side=256, size=224)


def test_a_network_of_224_is_tested_at_224_256_and_288():
    views = MultiScale()((CENTRE,))
    # 256/224 * 256 = 292.57 and 256/224 * 288 = 329.14
    assert [(view.short_side, view.size) for view in views] == [(256, 224), (293, 256), (329, 288)]


def test_a_scale_of_one_keeps_any_size():
    odd = View(short_side=341, size=299)
    assert scale_view(odd, 1.0) == odd
    assert scale_view(View(short_side=30, size=30), 1.0).size == 30


def test_sizes_change_in_steps_of_eight_and_never_vanish():
    small = View(short_side=37, size=32)
    assert [scale_view(small, s).size for s in (0.5, 0.9, 1.1, 1.13, 1.25)] == [16, 32, 32, 40, 40]
    assert scale_view(small, 0.01) == View(short_side=9, size=8)  # 37 * 8 / 32 = 9.25


@pytest.mark.parametrize("scale", [0.01, 0.5, 8 / 7, 9 / 7, 3.0])
def test_the_picture_always_holds_the_square_and_its_part_stays(scale):
    for size in (8, 30, 32, 64, 224, 299, 331):
        for over in (1.0, 8 / 7, 1.5):
            before = View(short_side=round(size * over), size=size)
            view = scale_view(before, scale)
            assert 8 <= view.size <= view.short_side
            off = view.short_side - before.short_side * view.size / before.size
            assert abs(off) <= 0.5  # of a pixel, by rounding


def test_scales_that_come_out_equal_are_looked_at_once():
    assert len(MultiScale()((View(short_side=37, size=32),))) == 2  # 32, and 40 twice
    assert MultiScale(scales=(1.0, 1.01))((CENTRE,)) == (CENTRE,)


def test_it_composes_with_ten_crops_in_any_order():
    scales, crops = MultiScale(), MultiCrop(crops=10)
    views = crops(scales((CENTRE,)))
    assert len(views) == len(set(views)) == 30
    assert set(scales(crops((CENTRE,)))) == set(views)


@pytest.mark.parametrize("scales", [(), (0.0,), (-1.0, 1.0), (float("nan"),), (float("inf"),)])
def test_bad_scales_are_refused(scales):
    with pytest.raises(PluginError, match=r"scales must (be > 0|have 1 or more values), got"):
        MultiScale(scales=scales)
