"""Inception-v2, that is GoogLeNet with batch normalisation ("BN-Inception"), which is not in timm.

Importing this file registers it: ``timm.create_model("inception_v2", num_classes=1000)``.

**Source:** Malong deck, Tables 1 and 3 ("Inception_v2"); Ioffe and Szegedy, "Batch Normalization",
2015, appendix, figure 5, whose output sizes all hold here. Two of its widths are those of the
Caffe network in general use: the pooled branches of 4c and 4d have 128 channels, not 96, so that
these two modules give 608 channels, not 576, and 4e gives 1,056, not 1,024. No auxiliary
classifiers; no biases before the batch normalisations (the Caffe network has them, and 11,295,240
parameters with 1,000 outputs; this one 11,285,224).
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from timm.layers import ClassifierHead, ConvNormAct  # type: ignore[attr-defined]
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn
from torch.nn import functional

from harness.networks.default_config import default_config


class Widths(NamedTuple):
    """Output channels of one module's branches; 0: the branch has no (1 x 1) convolution.

    ``three`` and ``double`` are (1 x 1 before, 3 x 3), and ``double`` has two of the latter.
    """

    one: int
    three: tuple[int, int]
    double: tuple[int, int]
    pool: Literal["avg", "max"]
    projection: int
    stride: Literal[1, 2] = 1


MODULES = {
    "3a": Widths(64, (64, 64), (64, 96), "avg", 32),
    "3b": Widths(64, (64, 96), (64, 96), "avg", 64),
    "3c": Widths(0, (128, 160), (64, 96), "max", 0, stride=2),
    "4a": Widths(224, (64, 96), (96, 128), "avg", 128),
    "4b": Widths(192, (96, 128), (96, 128), "avg", 128),
    "4c": Widths(160, (128, 160), (128, 160), "avg", 128),
    "4d": Widths(96, (128, 192), (160, 192), "avg", 128),
    "4e": Widths(0, (128, 192), (192, 256), "max", 0, stride=2),
    "5a": Widths(352, (192, 320), (160, 224), "avg", 128),
    "5b": Widths(352, (192, 320), (192, 224), "max", 128),
}


class Pool(nn.Module):
    """A 3 x 3 pooling with the output size of a padded 3 x 3 convolution of the same stride."""

    def __init__(self, kind: Literal["avg", "max"], stride: int) -> None:
        super().__init__()
        self.kind = kind
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, H, W)`` to ``(B, C, ceil(H / stride), ceil(W / stride))``."""
        if self.kind == "avg":
            return functional.avg_pool2d(x, 3, self.stride, padding=1)
        if self.stride == 1:
            return functional.max_pool2d(x, 3, 1, padding=1)
        # Even sizes as in Caffe: no padding, rounded up. Odd sizes would lose a row that way.
        padding = (x.shape[-2] % 2, x.shape[-1] % 2)
        return functional.max_pool2d(x, 3, 2, padding=padding, ceil_mode=True)


class InceptionModule(nn.Module):
    """Up to four parallel branches, concatenated along the channels."""

    def __init__(self, channels: int, widths: Widths) -> None:
        super().__init__()
        before, after = widths.three
        double_before, double_after = widths.double
        stride = widths.stride
        self.branches = nn.ModuleList()
        if widths.one:
            self.branches.append(ConvNormAct(channels, widths.one, 1))
        self.branches.append(
            nn.Sequential(
                ConvNormAct(channels, before, 1),
                ConvNormAct(before, after, 3, stride=stride),
            )
        )
        self.branches.append(
            nn.Sequential(
                ConvNormAct(channels, double_before, 1),
                ConvNormAct(double_before, double_after, 3),
                ConvNormAct(double_after, double_after, 3, stride=stride),
            )
        )
        pooled: list[nn.Module] = [Pool(widths.pool, stride)]
        if widths.projection:
            pooled.append(ConvNormAct(channels, widths.projection, 1))
        self.branches.append(nn.Sequential(*pooled))
        self.num_features = widths.one + after + double_after + (widths.projection or channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, H, W)`` to ``(B, num_features, ceil(H / stride), ceil(W / stride))``."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class InceptionV2(nn.Module):
    """Inception-v2 with timm's interface, for inputs of 32 pixels or more."""

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.in_chans = in_chans
        self.drop_rate = drop_rate
        self.stem = nn.Sequential(
            ConvNormAct(in_chans, 64, 7, stride=2),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            ConvNormAct(64, 64, 1),
            ConvNormAct(64, 192, 3),
            nn.MaxPool2d(3, 2, ceil_mode=True),
        )
        self.blocks = nn.Sequential()
        channels = 192
        for name, widths in MODULES.items():
            module = InceptionModule(channels, widths)
            self.blocks.add_module(name, module)
            channels = module.num_features
        self.num_features = self.head_hidden_size = channels
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        self.head = ClassifierHead(
            channels, num_classes, pool_type=global_pool, drop_rate=drop_rate
        )

    def get_classifier(self) -> nn.Module:
        """Return the last layer."""
        classifier: nn.Module = self.head.fc
        return classifier

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replace the last layer; with 0 outputs, the network returns the pooled features."""
        self.num_classes = num_classes
        self.head.reset(num_classes, pool_type=global_pool)

    def forward_features(self, x: Tensor) -> Tensor:
        """Map images ``(B, C, H, W)`` to ``(B, 1024, h, w)``, h about H / 32: 7 for 224."""
        features: Tensor = self.blocks(self.stem(x))
        return features

    def forward_head(self, x: Tensor, *, pre_logits: bool = False) -> Tensor:
        """Pool, and classify unless ``pre_logits``: ``(B, 1024)`` or ``(B, K)``."""
        pooled: Tensor = self.head(x, pre_logits=pre_logits)
        return pooled

    def forward(self, x: Tensor) -> Tensor:
        """Map images ``(B, C, H, W)`` to logits ``(B, K)``."""
        return self.forward_head(self.forward_features(x))


default_cfgs = generate_default_cfgs(
    {"inception_v2.untrained": default_config(first_conv="stem.0.conv", classifier="head.fc")}
)


@register_model
def inception_v2(*, pretrained: bool = False, **options: Any) -> InceptionV2:
    """Return an ``InceptionV2``; there are no pretrained weights."""
    network: InceptionV2 = build_model_with_cfg(InceptionV2, "inception_v2", pretrained, **options)
    return network
