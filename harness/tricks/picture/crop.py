"""What every picture trick does with a crop: see whether it is meant, draw, compute, write back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.samplers import generator
from harness.values import Picture

if TYPE_CHECKING:
    from torch import Tensor

Operation: TypeAlias = "Callable[[Tensor], Tensor]"
"""Maps pixels ``(3, H, W)`` uint8 to pixels of the same shape and type."""


def draws(picture: Picture, trick: type) -> np.random.Generator:
    """Return the generator of this trick for this crop, from ``picture.seed`` alone.

    Every class has a stream of its own: adding a trick does not change what the others draw.
    """
    return generator(picture.seed, int.from_bytes(trick.__name__.encode(), "big"))


def is_meant(picture: Picture, views: tuple[int, ...]) -> bool:
    """Return whether a trick for these ``views`` changes the crop; none named means all."""
    return not views or picture.view in views


def changed(picture: Picture, operation: Operation) -> Picture:
    """Return the crop after an operation of torchvision on ``(3, H, W)`` uint8."""
    import torch

    pixels = picture.pixels if picture.pixels.flags.writeable else picture.pixels.copy()
    found = operation(torch.from_numpy(pixels).permute(2, 0, 1))
    after: NDArray[np.uint8] = np.ascontiguousarray(found.permute(1, 2, 0).numpy())
    return picture._replace(pixels=after)


def operations() -> Any:
    """Return torchvision's functions on pictures, loaded when they are first used.

    They draw nothing; torchvision's own random transforms draw from torch's global generator.
    """
    from torchvision.transforms.v2 import functional

    return functional
