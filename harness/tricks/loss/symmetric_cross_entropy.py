"""Symmetric cross-entropy: that of the labels, and that of the predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, NonNegativeFloat

from harness.knobs import check_fields
from harness.values import Batch, Loss

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class SymmetricCrossEntropy:
    """Turn the inner loss into ``alpha`` times it plus ``beta`` times reverse cross-entropy.

    ``reverse_cross_entropy`` swaps label and prediction; ``log_zero`` stands for log 0.

    **Source:** Y. Wang et al., "Symmetric Cross Entropy for Robust Learning with Noisy Labels",
    ICCV 2019, equations 6 and 8; log 0 = -4 as in its section 3.3. alpha 10 and beta 1 are those of
    HanxunH/Active-Passive-Losses, configs/webvision_mini/sce.yaml.
    """

    alpha: NonNegativeFloat = 10.0
    beta: NonNegativeFloat = 1.0
    log_zero: Annotated[float, Field(lt=0)] = -4.0

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, loss: Loss) -> Loss:
        """Return the sum of both."""

        def symmetric(logits: Tensor, batch: Batch) -> Tensor:
            reverse = reverse_cross_entropy(logits, batch.targets, self.log_zero)
            return self.alpha * loss(logits, batch) + self.beta * reverse

        return symmetric


def reverse_cross_entropy(logits: Tensor, targets: Tensor, log_zero: float) -> Tensor:
    """Return -sum_k p_k max(log t_k, A) ``(B,)`` for logits and targets ``(B, K)``.

    A is ``log_zero``. For a hard label it is -A (1 - p_label).

    **Source:** see ``SymmetricCrossEntropy``.
    """
    logs = targets.log().clamp(min=log_zero, max=0.0)
    return -(logits.softmax(dim=1) * logs).sum(dim=1)
