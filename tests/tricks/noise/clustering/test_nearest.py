from __future__ import annotations

import numpy as np
import pytest

from harness.tricks.noise.clustering import nearest as file
from harness.tricks.noise.clustering.nearest import nearest


def test_angles_count_not_lengths_by_hand():
    features = np.array([[1, 0], [9, 1], [0.1, 0.1], [0, 5]], np.float32)
    found = nearest(features, np.array([0]), np.arange(4), 2)
    assert sorted(found[0].tolist()) == [0, 1]


@pytest.mark.parametrize("block", [7, 40, 1_000])
def test_it_finds_what_sorting_all_cosines_finds(block, monkeypatch):
    monkeypatch.setattr(file, "BLOCK", block)
    features = np.random.default_rng(0).standard_normal((200, 16)).astype(np.float32)
    features[5] = 0  # a sample without features is as far from all
    rows, among = np.arange(0, 200, 3), np.arange(1, 200, 2)
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-30)
    expected = among[np.argsort(-(unit[rows] @ unit[among].T), axis=1)[:, :10]]
    found = nearest(features, rows, among, 10)
    assert found.shape == (len(rows), 10)
    for mine, right in zip(found, expected, strict=True):
        assert set(mine.tolist()) == set(right.tolist())


def test_features_are_only_read():
    features = np.random.default_rng(0).standard_normal((9, 4)).astype(np.float32)
    features.flags.writeable = False
    before = features.copy()
    assert nearest(features, np.arange(9), np.arange(9), 9).shape == (9, 9)
    np.testing.assert_array_equal(features, before)
