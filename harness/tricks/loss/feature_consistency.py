"""SSR+'s loss: chosen pictures learn their labels, all learn that two views look alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import NonNegativeFloat

from harness.errors import PluginError
from harness.knobs import check_fields
from harness.tricks.loss.small_losses import mean_of
from harness.values import Batch, Loss

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class FeatureConsistency:
    """L_ce + ``strength`` L_fc, as the mean of a batch of ``MixChosen``.

    L_ce is the mean loss inside over the mixed pictures that were chosen (subset 0). L_fc is the
    mean over all pictures of 1 - h(f(second view)) . f(first view), with the outputs "predicted"
    and "embedding" of ``Projection``; no gradient flows through the first view. A batch of 3 B is
    mixed, first and second views; with ``strength`` 0 all B are mixed ones.

    **Source:** C. Feng et al., "SSR", BMVC 2022, section 3; which view is fixed as in
    MrChenFeng/SSR_BMVC2022, main_webvision.py. The 1 keeps the loss from 0 up.
    """

    strength: NonNegativeFloat = 1.0

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, loss: Loss) -> Loss:
        """Return the joint loss; it raises PluginError if an output is missing."""
        import torch

        def consistent(logits: Tensor, batch: Batch) -> Tensor:
            values = loss(logits, batch)
            if not self.strength:
                return values * mean_of(batch.subset == 0)
            if "predicted" not in batch.outputs or len(values) % 3:
                raise PluginError(
                    "FeatureConsistency needs the outputs of Projection(predictor=True) and the "
                    "batch of MixChosen(views=True); put both into the stage"
                )
            first = batch.outputs["embedding"].chunk(3)[1].detach()
            second = batch.outputs["predicted"].chunk(3)[2]
            away = self.strength * (1 - (second * first).sum(dim=1))
            of_label = values.chunk(3)[0] * mean_of(batch.subset.chunk(3)[0] == 0)
            # A third of the batch each: the mean over all of it is the sum of the two means.
            return 3 * torch.cat([of_label, torch.zeros_like(away), away])

        return consistent
