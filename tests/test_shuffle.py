"""An order that is computed place by place has each place once, and no pattern."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from harness.samplers import generator
from harness.shuffle import shuffled


@given(st.integers(1, 5_000), st.integers(0, 2**62))
def test_every_place_comes_once(size: int, seed: int) -> None:
    order = shuffled(0, size, size, generator(seed))
    assert order.dtype == np.int64
    assert np.array_equal(np.sort(order), np.arange(size))


@given(st.integers(1, 5_000), st.data())
def test_a_part_is_that_of_the_whole(size: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, size))
    count = data.draw(st.integers(0, size - first))
    whole = shuffled(0, size, size, generator(3))
    part = shuffled(first, count, size, generator(3))
    assert np.array_equal(part, whole[first : first + count])


def test_any_place_holds_any_number_beside_any_other() -> None:
    size = 1 << 23
    drawn = [shuffled(size // 3, 2, size, generator(seed)) for seed in range(4_000)]
    one, other = np.array(drawn).T * 8 // size
    assert chisquare(np.histogram2d(one, other, bins=8)[0].ravel()).pvalue > 0.001


def test_neighbours_and_passes_have_nothing_in_common() -> None:
    size = 100_003
    one, other = (shuffled(0, size, size, generator(0, number)) for number in range(2))
    pairs = {
        "place": (one, np.arange(size)),
        "next": (one[1:], one[:-1]),
        "second next": (one[2:], one[:-2]),
        "pass": (one, other),
    }
    for name, (left, right) in pairs.items():
        assert abs(np.corrcoef(left, right)[0, 1]) * size**0.5 < 4, name
    boxes = np.histogram2d(np.arange(size), one, bins=20)[0]
    assert chisquare(boxes.ravel()).pvalue > 0.001
