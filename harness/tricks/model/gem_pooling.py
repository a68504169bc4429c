"""Generalised-mean pooling instead of a network's global average pooling."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from timm.layers import SelectAdaptivePool2d  # type: ignore[attr-defined]
from torch import Tensor, nn

from harness.errors import PluginError
from harness.knobs import check_fields

EPSILON = 1e-6


@dataclass(frozen=True, kw_only=True)
class GeMPooling:
    """Pool ``(B, C, H, W)`` to ``mean(x ** p) ** (1 / p)`` over H and W: the larger p, the sharper.

    p = 1 is average pooling, p to infinity the maximum; one p for all channels. ``exponent``
    "learned" trains p with the network, without weight decay like all parameters of one dimension,
    and keeps it >= 1; "fixed" does not train it. Activations below 1e-6 count as 1e-6, which
    matters only if a network's last activations are negative (DPN's ELU). Computed in float32 at
    every precision.

    A stage may start from one with average pooling: p then begins at ``p``. At p = 3 the pooled
    features are at first larger than those the head was trained on; at p = 1 they are equal.
    Returns a changed copy; timm's ``reset_classifier`` would restore average pooling.

    **Source:** BigVideo deck, "Fine-tuning with Expanded Input Size": GeM adapts to large inputs
    better than global average pooling; p is not on the slide. 3, one p and learning it are assumed,
    as in F. Radenovic et al., "Fine-tuning CNN Image Retrieval with No Human Annotation", 2018.
    """

    p: Annotated[float, Field(ge=1)] = 3.0
    exponent: Literal["learned", "fixed"] = "learned"

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, network: nn.Module) -> nn.Module:
        """Return the changed network; raises PluginError if it has no average pooling."""
        network = copy.deepcopy(network)
        # timm's layer stays, for it also flattens or not.
        heads = [part for part in network.modules() if isinstance(part, SelectAdaptivePool2d)]
        inside = heads[-1] if heads else network
        names = [name for name, part in inside.named_modules() if _is_average(part)]
        if not names:
            raise PluginError(
                f"GeMPooling needs a global average pooling, but {type(network).__name__} has "
                "none; choose a network that ends in one"
            )
        parent, _, child = names[-1].rpartition(".")
        gem = PowerMean(self.p, learned=self.exponent == "learned")
        setattr(inside.get_submodule(parent), child, gem)
        return network


class PowerMean(nn.Module):
    """Maps ``(B, C, H, W)`` to ``(B, C, 1, 1)``; ``p`` is its one parameter, ``(1,)``."""

    def __init__(self, p: float, *, learned: bool) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor([float(p)]), requires_grad=learned)
        self.register_load_state_dict_pre_hook(  # type: ignore[no-untyped-call]
            _begin_with_own_p
        )

    def forward(self, activations: Tensor) -> Tensor:
        """Return ``exp((log sum exp(p log x) - log(H W)) / p)``, which never overflows."""
        p = self.p.float().clamp(min=1)
        logs = p * activations.float().clamp(min=EPSILON).log()
        places = math.log(activations.shape[2] * activations.shape[3])
        pooled = ((logs.logsumexp(dim=(2, 3), keepdim=True) - places) / p).exp()
        return pooled.to(activations.dtype)


def _is_average(part: nn.Module) -> bool:
    return isinstance(part, nn.AdaptiveAvgPool2d) and part.output_size in (1, (1, 1))


def _begin_with_own_p(module: PowerMean, weights: dict[str, Any], prefix: str, *_: object) -> None:
    """Keep the new p: weights of a network with average pooling have none."""
    weights.setdefault(f"{prefix}p", module.p.detach())
