"""A network of your own, for any method: ``--stage backbone=starter``."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from harness import Stage, hookimpl


class SmallNet(nn.Module):
    """Three convolutions and a head: images ``(B, 3, H, W)`` to logits ``(B, K)``."""

    def __init__(self, num_outputs: int, width: int = 32) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for before, after in ((3, width), (width, 2 * width), (2 * width, 4 * width)):
            convolution = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
            parts += [convolution, nn.BatchNorm2d(after), nn.ReLU()]
        self.body = nn.Sequential(*parts)
        self.head = nn.Linear(4 * width, num_outputs)

    def forward_features(self, images: Tensor) -> Tensor:
        """Return the maps ``(B, C, h, w)``."""
        maps: Tensor = self.body(images)
        return maps

    def forward_head(self, maps: Tensor, pre_logits: bool = False) -> Tensor:  # noqa: FBT001, FBT002
        """Return logits, or features ``(B, C)``: what ``sees=`` of a later stage reads."""
        features = maps.mean(dim=(2, 3))
        logits: Tensor = features if pre_logits else self.head(features)
        return logits

    def get_classifier(self) -> nn.Module:
        """Return the part that a stage with ``head="new"`` draws anew."""
        return self.head

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        return self.forward_head(self.forward_features(images))


@dataclass(frozen=True, kw_only=True)
class Starter:
    """The network starter; timm's under every other name."""

    @hookimpl
    def build_model(self, stage: Stage, num_outputs: int) -> nn.Module:
        """Return a network with freshly drawn weights; torch's seed is set."""
        if stage.backbone == "starter":
            return SmallNet(num_outputs)
        import timm

        network: nn.Module = timm.create_model(stage.backbone, num_classes=num_outputs)
        return network
