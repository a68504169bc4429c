"""RandAugment: a few random operations of one strength."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field, PositiveInt

from harness.errors import PluginError
from harness.knobs import check_fields
from harness.tricks.picture.crop import changed, draws, is_meant, operations
from harness.values import Picture

if TYPE_CHECKING:
    from torch import Tensor

GREY = [128.0, 128.0, 128.0]  # what comes in from outside the crop
OPERATIONS = (
    *("identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate", "brightness"),
    *("color", "contrast", "sharpness", "posterize", "solarize", "autocontrast", "equalize"),
)
SIGNED = OPERATIONS[1:10]


@dataclass(frozen=True, kw_only=True)
class RandAugment:
    """Apply ``count`` operations, each drawn anew and uniformly from ``OPERATIONS``.

    ``magnitude``, from 0 to 30, is the strength of all of them; ``augment`` says what it means for
    each. An operation with a direction goes either way with equal chance. ``views`` are the numbers
    of the crops that are changed; empty means all.

    **Source:** E. Cubuk et al., "RandAugment: Practical Automated Data Augmentation with a Reduced
    Search Space", NeurIPS 2020: the 14 operations, and 2 of them at magnitude 9 for ResNet-50 on
    ImageNet. The ranges are those of torchvision's RandAugment with its 31 magnitudes.
    """

    count: PositiveInt = 2
    magnitude: Annotated[float, Field(ge=0, le=30)] = 9.0
    views: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, picture: Picture) -> Picture:
        """Return the crop after the drawn operations."""
        if not is_meant(picture, self.views):
            return picture
        random = draws(picture, type(self))
        names = random.choice(np.array(OPERATIONS), self.count).tolist()
        signs = random.choice([-1.0, 1.0], self.count).tolist()
        for name, sign in zip(names, signs, strict=True):
            strength = self.magnitude / 30 * (sign if name in SIGNED else 1.0)
            picture = changed(picture, partial(augment, name=name, strength=strength))
        return picture


def augment(pixels: Tensor, *, name: str, strength: float) -> Tensor:
    """Apply one operation to ``(3, H, W)`` uint8; ``strength`` s is in [-1, 1].

    Shears by the factor 0.3 s around the upper left corner, translations by 150 / 331 s of the
    side, rotations by 30 s degrees; brightness, colour, contrast and sharpness by the factor
    1 + 0.9 s; posterizing to 8 - 4 s bits, solarizing from 255 (1 - s) on. Autocontrast, equalizing
    and the identity have no strength.

    Raises PluginError for another name.

    **Source:** see ``RandAugment``.
    """
    f = operations()
    height, width = pixels.shape[-2:]
    shear = math.degrees(math.atan(0.3 * strength))
    move = partial(f.affine, angle=0.0, scale=1.0, fill=GREY)
    still = partial(move, translate=[0, 0], center=[0.0, 0.0])
    shift, factor = 150 / 331 * strength, 1 + 0.9 * strength
    known: dict[str, Callable[[], Tensor]] = {
        "identity": lambda: pixels,
        "shear_x": lambda: still(pixels, shear=[shear, 0.0]),
        "shear_y": lambda: still(pixels, shear=[0.0, shear]),
        "translate_x": lambda: move(pixels, translate=[int(shift * width), 0], shear=[0.0, 0.0]),
        "translate_y": lambda: move(pixels, translate=[0, int(shift * height)], shear=[0.0, 0.0]),
        "rotate": lambda: f.rotate(pixels, angle=30 * strength, fill=GREY),
        "brightness": lambda: f.adjust_brightness(pixels, factor),
        "color": lambda: f.adjust_saturation(pixels, factor),
        "contrast": lambda: f.adjust_contrast(pixels, factor),
        "sharpness": lambda: f.adjust_sharpness(pixels, factor),
        "posterize": lambda: f.posterize(pixels, 8 - round(4 * strength)),
        "solarize": lambda: f.solarize(pixels, 255 * (1 - strength)),
        "autocontrast": lambda: f.autocontrast(pixels),
        "equalize": lambda: f.equalize(pixels),
    }
    if name not in known:
        raise PluginError(f"augment knows {', '.join(known)}, not {name!r}")
    return known[name]()
