from __future__ import annotations

import numpy as np
import pytest

from harness.errors import PluginError
from harness.tricks.noise.top_ranked import WEBVISION2_CLASS_SIZE, KeepTopRanked


def test_the_count_follows_the_mean_class_size(make_samples):
    # 12 samples of 3 classes, 4 a class: round(3500 / 3215.3 * 4) = 4 and round(2.49) = 2.
    samples = make_samples([0] * 9 + [1] * 2 + [2], num_classes=8)
    assert KeepTopRanked()(samples).subset.tolist() == [0] * 4 + [-1] * 5 + [0] * 3
    assert KeepTopRanked(count=2_000)(samples).subset.tolist() == [0] * 2 + [-1] * 7 + [0] * 3
    assert KeepTopRanked(count=1)(samples).subset.tolist() == [0] + [-1] * 8 + [0, -1, 0]
    assert samples.subset.tolist() == [0] * 12


def test_on_webvision_2_the_count_is_the_decks(make_samples):
    size = round(2 * WEBVISION2_CLASS_SIZE)
    samples = make_samples(np.repeat([0, 1], [size - 10, 10]))
    assert np.count_nonzero(KeepTopRanked()(samples).subset[: size - 10] == 0) == 3_500


def test_what_was_left_out_stays_out_and_is_not_counted(make_samples):
    subset = np.array([-1, 1, 0, 2, -1, 0], np.int8)
    kept = KeepTopRanked(count=2_000)(make_samples([0, 0, 0, 0, 0, 1], subset=subset))
    # Four samples of two classes: round(2000 / 3215.3 * 2) = 1 a class.
    assert kept.subset.tolist() == [-1, 1, -1, -1, -1, 0]


def test_nothing_left_stays_nothing(make_samples):
    kept = KeepTopRanked()(make_samples([0, 1], subset=np.full(2, -1, np.int8)))
    assert kept.subset.tolist() == [-1, -1]


def test_a_count_below_one_is_refused():
    with pytest.raises(PluginError, match="count must be an int > 0, got 0"):
        KeepTopRanked(count=0)
