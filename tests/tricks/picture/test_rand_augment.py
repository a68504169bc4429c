from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import RandAugment as Torchvision

from harness.errors import PluginError
from harness.tricks.picture.rand_augment import OPERATIONS, SIGNED, RandAugment, augment
from harness.values import Picture

NAMES = {
    "color": "Color", "shear_x": "ShearX", "shear_y": "ShearY",
    "translate_x": "TranslateX", "translate_y": "TranslateY", "autocontrast": "AutoContrast",
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("magnitude", [0, 9, 30])
def test_every_operation_is_torchvisions_of_its_magnitude(name, magnitude):
    theirs = Torchvision(magnitude=magnitude, fill=128)
    known = NAMES.get(name, name.capitalize())
    magnitudes, signed = theirs._AUGMENTATION_SPACE[known]
    assert signed == (name in SIGNED)
    pixels = torch.from_numpy(
        np.random.default_rng(0).integers(256, size=(3, 20, 28), dtype=np.uint8)
    )
    values = magnitudes(31, 20, 28)
    value = float(values[magnitude]) if values is not None else 0.0
    for sign in (1, -1) if signed else (1,):
        expected = theirs._apply_image_or_video_transform(
            pixels,
            known,
            sign * value,
            interpolation=InterpolationMode.NEAREST,
            fill={torch.Tensor: [128.0] * 3},
        )
        found = augment(pixels, name=name, strength=sign * magnitude / 30)
        # Solarize: 255 (1 - s) here, linspace in float32 there.
        assert (found != expected).float().mean() < 0.02, name


def test_operations_are_drawn_uniformly_and_either_way():
    pixels = np.zeros((9, 9, 3), np.uint8)
    pixels[4, 4] = 255
    grey = 0
    for seed in range(600):
        after = RandAugment(count=1, magnitude=30.0)(Picture(pixels, seed)).pixels
        grey += int((after == 128).any())
    # Shears, translations and rotation: 5 of 14 bring in grey.
    assert 0.3 < grey / 600 < 0.42


def test_no_strength_changes_only_what_has_none():
    pixels = np.random.default_rng(0).integers(40, 200, size=(3, 40, 40), dtype=np.uint8)
    changed = {
        name
        for name in OPERATIONS
        if not torch.equal(
            augment(torch.from_numpy(pixels.copy()), name=name, strength=0.0),
            torch.from_numpy(pixels.copy()),
        )
    }
    assert changed == {"autocontrast", "equalize"}


def test_wrong_values_are_refused():
    with pytest.raises(PluginError, match="magnitude must be in"):
        RandAugment(magnitude=31.0)
    with pytest.raises(PluginError, match=r"augment knows identity, .* not 'blur'"):
        augment(torch.zeros(3, 4, 4, dtype=torch.uint8), name="blur", strength=1.0)
