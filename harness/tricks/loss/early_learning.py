"""Early-learning regularisation: stay close to what was predicted before labels were memorised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, NonNegativeFloat

from harness.knobs import check_fields
from harness.samples import Samples
from harness.values import Batch, Loss, State

if TYPE_CHECKING:
    from torch import Tensor

EPSILON = 1e-4


@dataclass(frozen=True, kw_only=True)
class EarlyLearning:
    """Add ``strength`` times log(1 - <p, q>) to the inner loss: large if p agrees with q.

    p is the prediction, q the running mean of the sample's earlier ones, ``momentum`` q + (1 -
    ``momentum``) p, through which no gradient flows. It is kept for every sample, ``(N, K)``
    floats: 4 GB for 200,000 samples of 5,000 classes.

    If a batch trick asked the averaged weights (``AskAveraged``), their probabilities take the
    place of p in q, and where ``MixUp`` mixed pictures, q is mixed in the same way.

    **Source:** S. Liu et al., "Early-Learning Regularization Prevents Memorization of Noisy
    Labels", NeurIPS 2020, equations 6 and 9; momentum 0.7 and strength 3 are those of
    shengliu66/ELR, ELR_plus/config_webvision.json; probabilities are kept 1e-4 from 0 and 1 as in
    its code.
    """

    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.7
    strength: NonNegativeFloat = 3.0

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def state(self, samples: Samples) -> Mapping[str, State]:
        """Return the running means, 0 at first."""
        import torch

        return {"early": State(initial=torch.zeros(len(samples), samples.num_outputs))}

    def update(self, outputs: Mapping[str, Tensor], batch: Batch) -> Mapping[str, Tensor]:
        """Return the batch's new running means."""
        return {"early": self._means(outputs["logits"], batch)}

    def __call__(self, loss: Loss) -> Loss:
        """Return the regularised loss."""

        def regularised(logits: Tensor, batch: Batch) -> Tensor:
            means = self._means(logits, batch)
            if "partner" in batch.extra:
                share = batch.extra["own_share"][:, None]
                means = share * means + (1 - share) * means[batch.extra["partner"]]
            return loss(logits, batch) + self.strength * early_penalty(logits, means)

        return regularised

    def _means(self, logits: Tensor, batch: Batch) -> Tensor:
        given = batch.extra.get("averaged")
        if given is None:
            clamped = logits.detach().softmax(dim=1).clamp(EPSILON, 1 - EPSILON)
            given = clamped / clamped.sum(dim=1, keepdim=True)
        return self.momentum * batch.state["early"] + (1 - self.momentum) * given


def early_penalty(logits: Tensor, means: Tensor) -> Tensor:
    """Return log(1 - <p, q>) ``(B,)`` for logits and running means q ``(B, K)``; never above 0.

    **Source:** see ``EarlyLearning``.
    """
    predicted = logits.softmax(dim=1).clamp(EPSILON, 1 - EPSILON)
    return (1 - (means * predicted).sum(dim=1)).clamp(min=EPSILON).log()
