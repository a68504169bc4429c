"""Neighbour consistency: pictures with similar features get similar predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from harness.errors import PluginError
from harness.knobs import check_fields
from harness.values import Batch, Loss

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class NeighbourConsistency:
    """Turn the inner loss into (1 - a) times it plus a times ``neighbour_divergence``, a = weight.

    From the share ``start`` of the stage on; before, the inner loss alone. The neighbours are the
    ``count`` most similar ones of the micro-batch, so it should hold several pictures of a class.
    The network must return "features", as ``WithFeatures`` makes it do.

    **Source:** A. Iscen et al., "Learning with Neighbor Consistency for Noisy Labels", CVPR 2022
    (arXiv 2202.02200), equations 3 to 5. The values are those of google-research/scenic,
    projects/ncr/configs/mini_imagenet_red_ncr_train40.py: 40 % web noise, batches of 128, NCR from
    epoch 10 of 130 on.
    """

    weight: Annotated[float, Field(ge=0, le=1)] = 0.3
    count: PositiveInt = 100
    temperature: PositiveFloat = 2.0
    start: Annotated[float, Field(ge=0, lt=1)] = 10 / 130

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, loss: Loss) -> Loss:
        """Return the mixed loss; it raises PluginError if the network returns no features."""

        def consistent(logits: Tensor, batch: Batch) -> Tensor:
            features = batch.outputs.get("features")
            if features is None:
                raise PluginError(
                    "NeighbourConsistency needs the features of the batch, but the network returns "
                    "none; add WithFeatures() to the stage's model tricks"
                )
            own = loss(logits, batch)
            if batch.progress < self.start:
                return own
            others = neighbour_divergence(logits, features, self.count, self.temperature)
            return (1 - self.weight) * own + self.weight * others

        return consistent


def neighbour_divergence(
    logits: Tensor, features: Tensor, count: int, temperature: float
) -> Tensor:
    """Return T ** 2 KL(q || p) ``(B,)`` for logits ``(B, K)`` and features ``(B, D)``.

    p = softmax(logits / T), and q is the mean of the p of the ``count`` other samples that are most
    similar, weighted by the similarity: the cosine of the features, 0 if negative. A sample that is
    like no other one has divergence 0. Gradients flow through all of it.

    **Source:** see ``NeighbourConsistency``.
    """
    import torch
    from torch.nn import functional

    directions = functional.normalize(features.flatten(1), dim=1)
    alike = (directions @ directions.T).clamp(min=0)
    alike = alike.masked_fill(torch.eye(len(alike), dtype=torch.bool, device=alike.device), 0.0)
    kept = min(count, len(alike) - 1)
    if not kept:
        return 0.0 * logits.sum(dim=1)
    nearest, places = alike.topk(kept, dim=1)
    total = nearest.sum(dim=1, keepdim=True)
    logs = (logits / temperature).log_softmax(dim=1)
    shares = torch.zeros_like(alike).scatter(1, places, nearest / total.clamp(min=1e-12))
    others = shares @ logs.exp()
    divergence = (torch.special.xlogy(others, others.clamp(min=1e-30)) - others * logs).sum(dim=1)
    scaled: Tensor = temperature**2 * divergence.where(total[:, 0] > 0, 0.0 * divergence)
    return scaled
