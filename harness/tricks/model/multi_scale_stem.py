"""A first convolution with several kernel sizes."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Annotated, cast

from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional

from harness.errors import PluginError
from harness.knobs import check_fields


@dataclass(frozen=True, kw_only=True)
class MultiScaleStem:
    """Add the outputs of convolutions of other kernel sizes to those of the network's first one.

    The new ones have the first one's stride, channels and output size. With m of them,
    y = (conv(x) + sum_k conv_k(x)) / sqrt(1 + m). Their weights are drawn from torch's current
    random state so that each adds as much power as the first (by its raw weights, if a network
    standardises them): the activations keep their scale. Existing weights do not change. Returns a
    changed copy.

    **Source:** Malong deck, "Methodology: Multi-Scale Convolutional Kernel", about 0.5 %; 5 x 5 and
    9 x 9 beside Inception-v2's 7 x 7. How they are joined is not on the slide; the sum is assumed:
    it fits every network, a concatenation would change the next layer.
    """

    kernels: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (5, 9)

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, network: nn.Module) -> nn.Module:
        """Return the changed network; raises PluginError if it has no 2-D convolution."""
        network = copy.deepcopy(network)
        for name, module in network.named_modules():
            if isinstance(module, nn.Conv2d):
                stem = MultiScaleConv2d(module, self.kernels)
                if not name:
                    return stem
                parent, _, child = name.rpartition(".")
                setattr(network.get_submodule(parent), child, stem)
                return network
        raise PluginError(
            f"MultiScaleStem needs a first convolution, but {type(network).__name__} has none; "
            "choose a convolutional network"
        )


class MultiScaleConv2d(nn.Module):
    """The scaled sum of one convolution and others of different kernel sizes."""

    def __init__(self, first: nn.Conv2d, kernels: tuple[int, ...]) -> None:
        super().__init__()
        self.first = first
        self.others = nn.ModuleList(_beside(first, kernel) for kernel in kernels)
        self.scale = 1 / math.sqrt(1 + len(kernels))

    def forward(self, images: Tensor) -> Tensor:
        """Map ``(B, C, H, W)`` to the output shape of the first convolution."""
        total: Tensor = self.first(images)
        height, width = total.shape[-2:]
        for other in self.others:
            conv = cast("nn.Conv2d", other)
            top_bottom = _padding(self.first, conv, 0, images.shape[-2], height)
            left_right = _padding(self.first, conv, 1, images.shape[-1], width)
            total = total + other(functional.pad(images, (*left_right, *top_bottom)))
        return total * self.scale


def _beside(first: nn.Conv2d, kernel: int) -> nn.Conv2d:
    """Return an unpadded convolution of another size that adds as much power as ``first``."""
    other = nn.Conv2d(
        first.in_channels,
        first.out_channels,
        kernel,
        stride=first.stride,  # type: ignore[arg-type]
        groups=first.groups,
        bias=False,
        device=first.weight.device,
        dtype=first.weight.dtype,
    )
    power = first.weight.detach().float().square().mean().item()
    area = math.prod(first.kernel_size) / kernel**2
    nn.init.normal_(other.weight, std=math.sqrt(power * area))
    return other


def _padding(
    first: nn.Conv2d, other: nn.Conv2d, axis: int, size: int, wanted: int
) -> tuple[int, int]:
    """Return how to pad (or, below 0, crop) one axis so that ``other`` gives ``wanted`` places.

    The kernels' centres stay on those of ``first``. Its padding is in pixels or, as in
    TensorFlow's networks, what keeps size / stride places.
    """
    step = other.stride[axis]
    reach = first.dilation[axis] * (first.kernel_size[axis] - 1) + 1
    before = first.padding[axis] if isinstance(first.padding, tuple) else 0
    if not before:
        before = max((wanted - 1) * step + reach - size, 0) // 2
    before += (other.kernel_size[axis] - reach) // 2
    return int(before), (wanted - 1) * step + other.kernel_size[axis] - size - int(before)
