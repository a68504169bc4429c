"""A classifier by the angle between a picture's features and a direction of each class."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import PositiveFloat
from torch import Tensor, nn
from torch.nn import functional

from harness.errors import PluginError
from harness.knobs import check_fields


@dataclass(frozen=True, kw_only=True)
class CosineClassifier:
    """Replace a network's linear classifier: logit_k = s cos(features, w_k), without bias.

    The scale s begins at ``scale`` and is trained with the network, without weight decay like all
    parameters of one dimension. New weights are drawn from torch's current random state, as those
    of a linear layer. Returns a changed copy; timm's ``reset_classifier`` would restore a linear
    one.

    **Source:** S. Gidaris and N. Komodakis, "Dynamic Few-Shot Visual Learning without Forgetting",
    CVPR 2018, section 3.2, with ReLU features as they come; that the scale begins at 10 is assumed,
    as in public code of it.
    """

    scale: PositiveFloat = 10.0

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, network: nn.Module) -> nn.Module:
        """Return the changed network; raises PluginError if its classifier is not linear."""
        network = copy.deepcopy(network)
        ask: Any = getattr(network, "get_classifier", None)
        head = ask() if callable(ask) else None
        names = [name for name, part in network.named_modules() if part is head]
        if not isinstance(head, nn.Linear) or not names or not names[0]:
            raise PluginError(
                f"CosineClassifier needs a network whose get_classifier() returns a linear part of "
                f"it, but that of {type(network).__name__} is {type(head).__name__}; choose another"
            )
        network.set_submodule(names[0], Cosine(head.in_features, head.out_features, self.scale))
        return network


class Cosine(nn.Linear):
    """Maps features ``(..., D)`` to ``(..., K)``: the cosines times ``scale``, a parameter."""

    def __init__(self, in_features: int, out_features: int, scale: float) -> None:
        super().__init__(in_features, out_features, bias=False)
        self.scale = nn.Parameter(torch.tensor([float(scale)]))

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits."""
        directions = functional.normalize(self.weight, dim=1)
        return self.scale * functional.linear(functional.normalize(features, dim=-1), directions)
