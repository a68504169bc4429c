"""A second head: features projected to a small space, where pictures are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import PositiveInt
from torch import Tensor, nn
from torch.nn import functional

from harness.errors import PluginError
from harness.knobs import check_fields


@dataclass(frozen=True, kw_only=True)
class Projection:
    """Return {"logits", "embedding"} instead of logits, and "predicted" with a ``predictor``.

    The embedding ``(B, size)`` is ``linear(relu(linear(features)))`` of the pooled features, with
    ``hidden`` values between, and ``norm`` a batch norm before the ReLU. ``predictor`` adds a head
    of the same form on top of it. All have length 1, also where the predictor's input has not. The
    new weights are drawn from torch's current random state; those of the network are shared.
    ``forward_features``, ``forward_head`` and ``get_classifier`` are the network's.

    **Source:** size 128 and 2,048 without batch norm: salesforce/MoPro, resnet.py; 256 and 256
    with batch norm and a predictor: MrChenFeng/SSR_BMVC2022, main_webvision.py.
    """

    size: PositiveInt = 128
    hidden: PositiveInt = 2048
    norm: bool = False
    predictor: bool = False

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, network: nn.Module) -> nn.Module:
        """Return the network with its second head; raises PluginError if it has no features."""
        known: Any = network
        for method in ("forward_features", "forward_head", "get_classifier"):
            if not callable(getattr(known, method, None)):
                raise PluginError(
                    f"Projection needs a network with {method}, which {type(network).__name__} "
                    "does not have; choose one of timm's"
                )
        classifier = known.get_classifier()
        width = getattr(classifier, "in_features", getattr(classifier, "in_channels", None))
        if width is None:
            raise PluginError(
                f"Projection does not know the features' width: the classifier of "
                f"{type(network).__name__} is {type(classifier).__name__}; choose one with a "
                "linear classifier"
            )
        return Projected(network, int(width), self)


class Projected(nn.Module):
    """A network with a projection of its pooled features."""

    def __init__(self, network: nn.Module, width: int, asked: Projection) -> None:
        super().__init__()
        self.network = network
        self.projector = _perceptron(width, asked.hidden, asked.size, norm=asked.norm)
        self.predictor = (
            _perceptron(asked.size, asked.hidden, asked.size, norm=asked.norm)
            if asked.predictor
            else None
        )

    def forward_features(self, images: Tensor) -> Tensor:
        """Return the network's maps."""
        maps: Tensor = self.network.forward_features(images)  # type: ignore[operator]
        return maps

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:  # noqa: FBT001, FBT002
        """Return the network's logits, or with ``pre_logits`` its pooled features."""
        out: Tensor = self.network.forward_head(features, pre_logits=pre_logits)  # type: ignore[operator]
        return out

    def get_classifier(self) -> nn.Module:
        """Return the network's classifier."""
        classifier: nn.Module = self.network.get_classifier()  # type: ignore[operator]
        return classifier

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return all outputs by name."""
        maps = self.forward_features(images)
        embedding = self.projector(self.forward_head(maps, pre_logits=True).flatten(1))
        found = {"logits": self.forward_head(maps), "embedding": functional.normalize(embedding)}
        if self.predictor is not None:
            found["predicted"] = functional.normalize(self.predictor(embedding))
        return found


def _perceptron(width: int, hidden: int, size: int, *, norm: bool) -> nn.Sequential:
    between = [nn.BatchNorm1d(hidden)] if norm else []
    return nn.Sequential(
        nn.Linear(width, hidden), *between, nn.ReLU(inplace=True), nn.Linear(hidden, size)
    )
