"""Generalised cross-entropy: between cross-entropy, which fits all labels, and the mean error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from harness.knobs import check_fields
from harness.values import Batch, Loss

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class GeneralizedCrossEntropy:
    """Replace the inner loss by sum_k t_k (1 - p_k ** q) / q, with p = softmax(logits).

    q towards 0 is cross-entropy, q = 1 the mean absolute error over two. A sample's gradient is
    that of cross-entropy times p_label ** q, so a label that the network finds unlikely counts
    less. Put it first among the loss tricks: those before it have no effect.

    **Source:** Z. Zhang and M. Sabuncu, "Generalized Cross Entropy Loss for Training Deep Neural
    Networks with Noisy Labels", NeurIPS 2018, equation 6, q = 0.7 as in its experiments; their
    truncated loss, which also leaves samples out, is another one. Soft targets are our extension.
    """

    q: Annotated[float, Field(gt=0, le=1)] = 0.7

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, loss: Loss) -> Loss:  # noqa: ARG002 - replaces the inner loss
        """Return the loss."""

        def generalized(logits: Tensor, batch: Batch) -> Tensor:
            return generalized_cross_entropy(logits, batch.targets, self.q)

        return generalized


def generalized_cross_entropy(logits: Tensor, targets: Tensor, q: float) -> Tensor:
    """Return the loss ``(B,)`` of logits and targets ``(B, K)``.

    **Source:** see ``GeneralizedCrossEntropy``.
    """
    # 1 - p ** q = -expm1(q log p), also exact where p is near 1.
    return -(targets * (q * logits.log_softmax(dim=1)).expm1()).sum(dim=1) / q
