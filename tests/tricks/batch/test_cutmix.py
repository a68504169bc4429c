from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from timm.data.mixup import rand_bbox

from harness.errors import PluginError
from harness.tricks.batch.cutmix import Box, CutMix, box_at, cut_mix


def test_a_box_by_hand(batch):
    partners = torch.tensor([1, 0, 2, 3, 4, 5])
    mixed = cut_mix(batch, Box(2, 6, 0, 4), partners)  # 16 of 64 pixels: share 3/4
    torch.testing.assert_close(mixed.images[0, :, 2:6, :4], batch.images[1, :, 2:6, :4])
    outside = torch.ones(8, 8, dtype=torch.bool)
    outside[2:6, :4] = False
    torch.testing.assert_close(mixed.images[0][:, outside], batch.images[0][:, outside])
    # Weights 1 and 0.5: 0.75 + 0.125 and 0.375 + 0.25.
    torch.testing.assert_close(mixed.weights[:2], torch.tensor([0.875, 0.625]))
    torch.testing.assert_close(
        mixed.targets[0], torch.tensor([0.75 / 0.875, 0.125 / 0.875, 0.0, 0.0])
    )
    torch.testing.assert_close(mixed.targets[2:], batch.targets[2:])


def test_the_box_is_that_of_timm():
    """The same centre, the same share, the same cut at the edges."""
    for seed in range(50):
        share = np.random.default_rng(seed).random()
        np.random.seed(seed)  # noqa: NPY002 - timm draws from there
        theirs = rand_bbox((2, 3, 20, 30), share)
        np.random.seed(seed)  # noqa: NPY002
        row, column = np.random.randint(0, 20), np.random.randint(0, 30)  # noqa: NPY002
        # The middle of the pixel, so that rounding down finds it.
        side = math.sqrt(1 - share)
        assert box_at((row + 0.5) / 20, (column + 0.5) / 30, side, 20, 30) == theirs


def test_shares_are_the_area_that_is_left(batch):
    batch = replace(batch, weights=torch.ones(6), targets=torch.eye(6))
    for seed in range(30):
        mixed = CutMix()(replace(batch, seed=seed))
        kept = (mixed.images == batch.images).all(dim=1).float().mean(dim=(1, 2))
        own = mixed.targets.diagonal()
        torch.testing.assert_close(kept, own)


def test_only_a_share_of_the_batches_is_mixed(batch):
    trick = CutMix(probability=0.25)
    mixed = [trick(given) is not given for s in range(300) for given in [replace(batch, seed=s)]]
    assert sum(mixed) / 300 == pytest.approx(0.25, abs=0.08)


def test_the_layout_of_the_pictures_stays(batch):
    assert CutMix()(batch).images.stride() == batch.images.stride()


def test_wrong_values_are_refused():
    with pytest.raises(PluginError, match="alpha must be > 0, got"):
        CutMix(alpha=0)
    with pytest.raises(PluginError, match="probability must be in"):
        CutMix(probability=1.5)
