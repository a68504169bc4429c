"""A loss for any method: cross-entropy that a wrong label can pull less at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness import Batch, Loss, Trick, hookimpl

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class GeneralisedCrossEntropy:
    """Replace the loss by ``(1 - p^q) / q`` of the target's probability p.

    Between cross-entropy (q near 0) and the mean absolute error (q = 1).

    **Source:** Zhang and Sabuncu, "Generalized Cross Entropy Loss for Training Deep Neural Networks
    with Noisy Labels", 2018, equation 6; q = 0.7 is their default.
    """

    q: float = 0.7

    def __call__(self, loss: Loss) -> Loss:
        """Return the new loss; ``loss``, the one before, is not used."""
        del loss

        def generalised(logits: Tensor, batch: Batch) -> Tensor:
            probability = (logits.softmax(dim=1) * batch.targets).sum(dim=1)
            value: Tensor = (1 - probability.clamp_min(1e-7) ** self.q) / self.q
            return value

        return generalised


@dataclass(frozen=True, kw_only=True)
class Starter:
    """Generalised cross-entropy in every stage of a method."""

    @hookimpl
    def loss_tricks(self) -> Sequence[Trick[Loss]]:
        """Return what replaces the loss."""
        return [GeneralisedCrossEntropy()]
