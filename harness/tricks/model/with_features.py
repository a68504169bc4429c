"""A network that returns its features beside its logits."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from torch import Tensor, nn

from harness.errors import PluginError


@dataclass(frozen=True, kw_only=True)
class WithFeatures:
    """Let a network return ``{"logits": (B, K), "features": (B, D)}``.

    The features are those before the classifier, pooled and flattened. All parts keep their names,
    and ``forward_features``, ``forward_head`` and ``get_classifier`` are as before, so other stages
    may start from this one or see it. Returns a changed copy.

    **Source:** our choice: losses on features need them from the pass that gives the logits.
    """

    def __call__(self, network: nn.Module) -> nn.Module:
        """Return the network; raises PluginError if it is not made as timm's are."""
        for method in ("forward_features", "forward_head"):
            if not callable(getattr(network, method, None)):
                raise PluginError(
                    f"WithFeatures needs a network as timm's, but {type(network).__name__} has no "
                    f"{method}"
                )
        network = copy.deepcopy(network)
        # Its class, not its forward: a copy of the network must call its own parts.
        network.__class__ = _with_features(cast("Any", type(network)))
        return network


@cache
def _with_features(kind: Any) -> type[nn.Module]:
    def forward(self: Any, images: Tensor) -> dict[str, Tensor]:
        maps = self.forward_features(images)
        features = self.forward_head(maps, pre_logits=True).flatten(1)
        return {"logits": self.forward_head(maps), "features": features}

    return type(f"{kind.__name__}WithFeatures", (kind,), {"forward": forward})
