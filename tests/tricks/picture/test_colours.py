"""Colour jitter, grey and blur, against their formulas."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch

from harness.errors import PluginError
from harness.tricks.picture.colour_jitter import ColourJitter, adjust
from harness.tricks.picture.gaussian_blur import GaussianBlur
from harness.tricks.picture.random_grey import RandomGrey
from harness.values import Picture


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(256, size=(32, 32, 3), dtype=np.uint8)


def test_one_pixel_by_hand():
    pixel = torch.tensor([100, 50, 200], dtype=torch.uint8).view(3, 1, 1)
    assert adjust(pixel, {"brightness": 1.5}).flatten().tolist() == [150, 75, 255]
    # Luma 0.2989 R + 0.587 G + 0.114 B, about 82; halfway there is half the saturation.
    luma = int(0.2989 * 100 + 0.587 * 50 + 0.114 * 200)
    half = [(part + luma) / 2 for part in (100, 50, 200)]
    np.testing.assert_allclose(adjust(pixel, {"saturation": 0.5}).flatten(), half, atol=1)
    h, s, v = colorsys.rgb_to_hsv(100 / 255, 50 / 255, 200 / 255)
    turned = [255 * part for part in colorsys.hsv_to_rgb((h + 0.25) % 1, s, v)]
    np.testing.assert_allclose(adjust(pixel, {"hue": 0.25}).flatten(), turned, atol=1.5)
    both = adjust(pixel, {"brightness": 0.5, "saturation": 0.0})
    assert both.flatten().tolist() == [41] * 3


def test_the_brightness_is_uniform_in_its_range():
    white = np.full((2, 2, 3), 100, np.uint8)
    trick = ColourJitter(contrast=0.0, saturation=0.0, hue=0.0, probability=1.0)
    found = np.array([trick(Picture(white, seed)).pixels[0, 0, 0] for seed in range(400)])
    assert 59 <= found.min() < 64
    assert 136 < found.max() <= 140
    assert found.mean() == pytest.approx(100, abs=3)


@pytest.mark.parametrize("kind", [ColourJitter, RandomGrey, GaussianBlur])
def test_a_share_of_the_crops_is_changed(kind, pixels):
    trick = kind(probability=0.3)
    changed = sum(trick(Picture(pixels, seed)).pixels is not pixels for seed in range(400))
    assert changed / 400 == pytest.approx(0.3, abs=0.08)


def test_grey_is_luma_in_all_channels(pixels):
    after = RandomGrey(probability=1.0)(Picture(pixels, 0)).pixels
    luma = pixels @ np.array([0.2989, 0.587, 0.114])
    np.testing.assert_allclose(after[..., 0], luma, atol=1)
    np.testing.assert_array_equal(after[..., :1].repeat(3, axis=2), after)


def test_a_blur_spreads_a_point_and_keeps_its_light():
    point = np.zeros((64, 64, 3), np.uint8)
    point[30:34, 30:34] = 255
    after = GaussianBlur(probability=1.0, least=6.0, most=6.0)(Picture(point, 0)).pixels
    assert after.max() < 255
    light = after[..., 0].astype(float)
    assert light.sum() == pytest.approx(16 * 255, rel=0.05)
    x = np.arange(64) - 31.5
    spread = np.sqrt((light.sum(0) * x**2).sum() / light.sum())
    # 6 pixels at 224 are 1.7 at 64; a kernel of 7 cuts the tails off; the square adds 1.25.
    assert 1.5 < spread < 2.1


def test_wrong_values_are_refused():
    with pytest.raises(PluginError, match=r"GaussianBlur: least 3.0 is above most 2.0"):
        GaussianBlur(least=3.0)
    with pytest.raises(PluginError, match="hue must be in"):
        ColourJitter(hue=0.6)
    with pytest.raises(PluginError, match="probability must be in"):
        RandomGrey(probability=0.0)
