"""MoPro: a prototype of each class, moved by its samples, corrects labels and draws features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, NamedTuple

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from harness.errors import PluginError
from harness.knobs import check_fields
from harness.samples import Samples
from harness.tricks.loss.small_losses import mean_of
from harness.values import Batch, Loss, State

if TYPE_CHECKING:
    from torch import Tensor

Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, kw_only=True)
class MomentumPrototypes:
    """L_ce + ``prototype`` L_pro + ``instance`` L_ins, as the mean of a batch.

    With z the embedding ``(B, D)`` of the pictures, z' that of their second view by the averaged
    weights (``MomentumView``), c_k the classes' prototypes and t = ``temperature``: L_pro is the
    cross-entropy of softmax(z c_k / t), and L_ins = -log(exp(z z' / t) / (exp(z z' / t) + sum_r
    exp(z q_r / t))) over the ``queue`` of latest z'. Older entries of the same picture do not
    count: in small data a queue holds many.

    From the share ``clean_from`` of the stage on, ``corrected`` changes labels and drops samples:
    L_ce and L_pro are means over those kept, L_ins over all. L_pro begins at ``prototypes_from``.
    After each step, c_k of every sample kept becomes m c_k + (1 - m) z in turn, m = ``momentum``,
    then all are brought to length 1. Prototypes, queue and its rows of the samples are shared
    state, equal in all ranks.

    **Source:** J. Li, C. Xiong, S. Hoi, "MoPro: Webly Supervised Learning with Momentum
    Prototypes", ICLR 2021, section 3, equations 1 to 6; when what begins as in salesforce/MoPro,
    train.py.
    """

    size: PositiveInt = 128
    temperature: PositiveFloat = 0.1
    threshold: Share = 0.8
    alpha: Share = 0.5
    queue: PositiveInt = 8192
    momentum: Share = 0.999
    prototype: NonNegativeFloat = 1.0
    instance: NonNegativeFloat = 1.0
    prototypes_from: Share = 1 / 90
    clean_from: Share = 11 / 90

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def state(self, samples: Samples) -> Mapping[str, State]:
        """Return prototypes ``(K, D)``, 0 at first, and a queue ``(R, D)`` of random directions."""
        import torch
        from torch.nn.functional import normalize

        random = torch.Generator().manual_seed(0)
        queue = normalize(torch.randn(self.queue, self.size, generator=random))
        rows = torch.full((self.queue,), -1)
        prototypes = torch.zeros(samples.num_outputs, self.size)
        kept = {"prototypes": prototypes, "queue": queue, "queue_rows": rows}
        return {name: State(initial=tensor, per_sample=False) for name, tensor in kept.items()}

    def update(self, outputs: Mapping[str, Tensor], batch: Batch) -> Mapping[str, Tensor]:
        """Return prototypes and queue after a step; the newest entries come first."""
        import torch

        shared, embedding = batch.shared, outputs["embedding"]
        label, kept = self._label(outputs["logits"], embedding, batch)
        after = moved_prototypes(
            shared["prototypes"], embedding[kept], label[kept].argmax(dim=1), self.momentum
        )
        queue = torch.cat([batch.extra["momentum"], shared["queue"]])[: self.queue]
        rows = torch.cat([batch.index, shared["queue_rows"]])[: self.queue]
        return {"prototypes": after, "queue": queue, "queue_rows": rows}

    def __call__(self, loss: Loss) -> Loss:
        """Return the joint loss; it raises PluginError if an embedding is missing."""

        def drawn(logits: Tensor, batch: Batch) -> Tensor:
            if "embedding" not in batch.outputs or "momentum" not in batch.extra:
                raise PluginError(
                    "MomentumPrototypes needs the embeddings of Projection and MomentumView; put "
                    "both into the stage"
                )
            z = batch.outputs["embedding"]
            targets, kept = self._label(logits.detach(), z.detach(), batch)
            values = loss(logits, replace(batch, targets=targets))
            if batch.progress >= self.prototypes_from:
                logs = (z @ batch.shared["prototypes"].T / self.temperature).log_softmax(dim=1)
                values = values - self.prototype * (targets * logs).sum(dim=1)
            own = batch.index[:, None] == batch.shared["queue_rows"]
            away = contrast(
                z, batch.extra["momentum"], batch.shared["queue"], own, self.temperature
            )
            return values * mean_of(kept) + self.instance * away

        return drawn

    def _label(self, logits: Tensor, embedding: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the targets ``(B, K)`` that count now, and which samples do, ``(B,)``."""
        if batch.progress < self.clean_from:
            return batch.targets, batch.index >= 0
        near = embedding @ batch.shared["prototypes"].T / self.temperature
        return corrected(logits, near, batch.targets, self.alpha, self.threshold)


class Corrected(NamedTuple):
    """Targets ``(B, K)`` and which samples are kept, ``(B,)`` of bools."""

    targets: Tensor
    kept: Tensor


def corrected(
    logits: Tensor, near: Tensor, targets: Tensor, alpha: float, threshold: float
) -> Corrected:
    """Return the labels that classifier and prototypes agree on, and whose sample is no outlier.

    q = alpha softmax(logits) + (1 - alpha) softmax(near), with ``near`` ``(B, K)`` the likeness to
    each prototype. The best class of q replaces the target if it has more than ``threshold``;
    otherwise the target stays if q gives it more than 1 / K, and else the sample is left out.

    **Source:** MoPro, equations 5 and 6.
    """
    import torch

    q = alpha * logits.softmax(dim=1) + (1 - alpha) * near.softmax(dim=1)
    best, label = q.max(dim=1)
    sure = best > threshold
    trusted = (q * targets).sum(dim=1) > 1 / q.shape[1]
    pseudo = torch.zeros_like(targets).scatter_(1, label[:, None], 1.0)
    return Corrected(torch.where(sure[:, None], pseudo, targets), sure | trusted)


def contrast(z: Tensor, positive: Tensor, queue: Tensor, own: Tensor, temperature: float) -> Tensor:
    """Return -log(exp(z p / t) / (exp(z p / t) + sum_r exp(z q_r / t))) ``(B,)``.

    z and its ``positive`` p are ``(B, D)``, the ``queue`` ``(R, D)``; entries that are the sample's
    ``own``, ``(B, R)`` of bools, are left out.

    **Source:** MoPro, equation 3.
    """
    import torch

    against = (z @ queue.T / temperature).masked_fill(own, -torch.inf)
    same = (z * positive).sum(dim=1, keepdim=True) / temperature
    return torch.cat([same, against], dim=1).logsumexp(dim=1) - same[:, 0]


def moved_prototypes(
    prototypes: Tensor, embedding: Tensor, label: Tensor, momentum: float
) -> Tensor:
    """Return c_k = m c_k + (1 - m) z after each sample of class k in turn, of length 1.

    ``prototypes`` are ``(K, D)``, ``embedding`` ``(B, D)`` and ``label`` ``(B,)``. The sum is taken
    at once: a sample after which n more of its class come counts (1 - m) m^n.

    **Source:** MoPro, equation 4, and salesforce/MoPro, model.py.
    """
    from torch.nn.functional import normalize, one_hot

    member = one_hot(label, len(prototypes)).to(embedding.dtype)
    total = member.sum(dim=0)
    later = ((total - member.cumsum(dim=0)) * member).sum(dim=1)
    share = (1 - momentum) * momentum**later
    moved = momentum**total
    return normalize(moved[:, None] * prototypes + (member * share[:, None]).T @ embedding)
