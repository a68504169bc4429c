"""Multi-label cross-entropy: one sigmoid for every class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.values import Batch, Loss

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class SigmoidCrossEntropy:
    """Replace the inner loss by the sum over classes of two-class cross-entropies.

    -sum_k (t_k log s_k + (1 - t_k) log(1 - s_k)), s = sigmoid(logits), targets t in [0, 1]. Put it
    first among the loss tricks: those before it have no effect. Its first value is K log 2, so many
    classes need a smaller learning rate, or clipping.

    **Source:** our choice, another reading of the WeChat deck, "Pretraining with weakly-tagged
    image set": the multi-label loss is "to sum over cross-entropy losses on each target label".
    Taken literally that is -sum_k t_k log softmax(logits)_k, which plain cross-entropy gives for
    multi-hot targets, and with weights for the label-weighted set; it needs no trick.
    """

    def __call__(self, loss: Loss) -> Loss:  # noqa: ARG002 - replaces the inner loss
        """Return the loss."""
        return sigmoid_cross_entropy


def sigmoid_cross_entropy(logits: Tensor, batch: Batch) -> Tensor:
    """Return the sum over classes ``(B,)`` for logits ``(B, K)``.

    **Source:** see ``SigmoidCrossEntropy``.
    """
    from torch.nn import functional

    # log s = -softplus(-x) and log(1 - s) = log s - x.
    return (functional.softplus(logits) - batch.targets * logits).sum(dim=1)
