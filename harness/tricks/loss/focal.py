"""Focal loss: samples that are already classified well count less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import NonNegativeFloat

from harness.knobs import check_fields
from harness.values import Batch, Loss

if TYPE_CHECKING:
    from torch import Tensor

EPSILON = 1e-7  # at 0, a power below 1 has an infinite slope


@dataclass(frozen=True, kw_only=True)
class Focal:
    """Multiply the inner loss by (1 - p) ** gamma, p the probability of the targets.

    p = sum_k targets_k softmax(logits)_k. Gradients flow through the factor, as in the paper;
    gamma 0 changes nothing. With two classes and cross-entropy it equals the sigmoid form, for soft
    targets as well. It needs logits for a softmax.

    **Source:** BigVideo deck, "Take-home Message": focal loss is hard to tune well; no value is
    given. gamma 2 is assumed: T.-Y. Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017,
    equation 4 and table 1b; their class weight alpha, made for two classes, is omitted.
    """

    gamma: NonNegativeFloat = 2.0

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, loss: Loss) -> Loss:
        """Return the loss with its factor."""

        def focal(logits: Tensor, batch: Batch) -> Tensor:
            return focal_factor(logits, batch.targets, self.gamma) * loss(logits, batch)

        return focal


def focal_factor(logits: Tensor, targets: Tensor, gamma: float) -> Tensor:
    """Return (1 - p) ** gamma ``(B,)`` for logits and targets ``(B, K)``.

    **Source:** see ``Focal``.
    """
    on_targets = (targets * logits.softmax(dim=1)).sum(dim=1)
    return (1 - on_targets).clamp(min=EPSILON) ** gamma
