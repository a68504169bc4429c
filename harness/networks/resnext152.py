"""ResNeXt-152 (32x4d), which timm does not have.

Importing this file registers it: ``timm.create_model("resnext152_32x4d", num_classes=1000)``.

**Source:** BigVideo deck, "Efficient & Powerful Networks": "ResNeXt152 variant (224), our primary
model", 81.53 % on ImageNet and 12 days on 64 GPUs; the deck does not say how it differs. This is
the plain one: ResNet-152's 3, 8, 36 and 3 blocks with the 32 groups of 4 channels of S. Xie et al.,
"Aggregated Residual Transformations for Deep Neural Networks", CVPR 2017; 60.0 million parameters
with 1,000 outputs.
"""

from __future__ import annotations

from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.resnet import Bottleneck, ResNet

from harness.networks.default_config import default_config

default_cfgs = generate_default_cfgs(
    {"resnext152_32x4d.untrained": default_config(first_conv="conv1", classifier="fc")}
)


@register_model
def resnext152_32x4d(*, pretrained: bool = False, **options: Any) -> ResNet:
    """Return a ``ResNet``; there are no pretrained weights."""
    shape = {"block": Bottleneck, "layers": (3, 8, 36, 3), "cardinality": 32, "base_width": 4}
    network: ResNet = build_model_with_cfg(
        ResNet, "resnext152_32x4d", pretrained, **{**shape, **options}
    )
    return network
