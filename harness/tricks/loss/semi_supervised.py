"""DivideMix's loss: labels where they are trusted, guesses elsewhere, all classes in balance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, NonNegativeFloat

from harness.knobs import check_fields
from harness.tricks.loss.class_balance import imbalance
from harness.tricks.loss.small_losses import mean_of
from harness.values import Batch, Loss

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class SemiSupervised:
    """L_X + ``unlabelled`` L_U + ``balance`` L_reg, as the mean of a batch.

    L_X is the mean loss inside over the pictures of subset 0, L_U the mean over the others of the
    squared distance ``|p - t|^2`` of probabilities and targets, summed over the classes, and L_reg
    = sum_k pi_k log(pi_k / mean p_k) with pi_k = 1 / K, over all pictures of the micro-batch. In
    the first ``warmup`` epochs it is the loss inside.

    **Source:** J. Li, R. Socher, S. Hoi, "DivideMix", ICLR 2020, equations 9 to 12; for WebVision
    ``unlabelled`` is 0. Their code divides L_U by K and raises its weight over 16 epochs.
    """

    unlabelled: NonNegativeFloat = 0.0
    balance: NonNegativeFloat = 1.0
    warmup: Annotated[int, Field(ge=0)] = 1

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, loss: Loss) -> Loss:
        """Return the loss of labelled and unlabelled pictures."""

        def semi_supervised(logits: Tensor, batch: Batch) -> Tensor:
            values = loss(logits, batch)
            if batch.epoch < self.warmup:
                return values
            labelled = batch.subset == 0
            values = values * mean_of(labelled)
            if self.unlabelled:
                away = (logits.softmax(dim=1) - batch.targets).square().sum(dim=1)
                values = values + self.unlabelled * away * mean_of(~labelled)
            return values + self.balance * imbalance(logits)

        return semi_supervised
