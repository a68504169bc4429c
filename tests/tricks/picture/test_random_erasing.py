from __future__ import annotations

import numpy as np
import pytest

from harness.errors import PluginError
from harness.tricks.picture.random_erasing import RandomErasing
from harness.values import Picture


def rectangles(trick, count):
    """Heights and widths of what is changed in a crop of one colour."""
    plain = np.full((100, 100, 3), 7, np.uint8)
    for seed in range(count):
        changed = (trick(Picture(plain, seed)).pixels != 7).any(axis=2)
        if changed.any():
            rows, columns = (np.flatnonzero(changed.any(axis=axis)) for axis in (1, 0))
            yield np.ptp(rows) + 1, np.ptp(columns) + 1, changed.mean()


def test_area_and_aspect_are_in_their_ranges():
    found = list(rectangles(RandomErasing(probability=1.0), 200))
    assert len(found) == 200
    areas = [tall * wide / 10_000 for tall, wide, _ in found]
    assert min(areas) >= 0.018
    assert max(areas) <= 0.42
    assert np.mean(areas) == pytest.approx(0.2, abs=0.03)
    ratios = [tall / wide for tall, wide, _ in found]
    assert min(ratios) > 0.25
    assert max(ratios) < 1 / 0.25
    # The whole rectangle is noise, not its rim.
    assert all(share == pytest.approx(tall * wide / 10_000, rel=0.1) for tall, wide, share in found)


def test_half_of_the_crops_are_erased_by_default():
    assert 0.4 < len(list(rectangles(RandomErasing(), 200))) / 200 < 0.6


def test_what_never_fits_is_left_out():
    assert (
        list(rectangles(RandomErasing(probability=1.0, least=1.0, most=1.0, aspect=1.0), 5)) == []
    )


def test_areas_in_the_wrong_order_are_refused():
    with pytest.raises(PluginError, match=r"least 0.5 is above most 0.4"):
        RandomErasing(least=0.5)
