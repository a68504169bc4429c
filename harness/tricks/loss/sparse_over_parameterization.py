"""Sparse over-parameterisation (SOP): variables of each sample learn the noise of its label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat

from harness.errors import PluginError
from harness.knobs import check_fields
from harness.samples import Samples
from harness.tricks.loss.class_balance import imbalance
from harness.values import Batch, Loss, State

if TYPE_CHECKING:
    from torch import Tensor

DEVIATION = 1e-8
EPSILON = 1e-4


@dataclass(frozen=True, kw_only=True)
class SparseOverParameterization:
    """Replace the inner loss by one of the prediction plus the label's noise, which is learned.

    Each sample has a number u and a vector v of K numbers, drawn near 0; its label's noise is
    u ** 2 t - v ** 2 (1 - t). ``noise_losses`` says how they enter. They are trained by gradient
    descent at the rates ``lr_u`` and ``lr_v`` on the mean over the batch, so a batch twice as large
    halves their steps. v takes ``(N, K)`` floats: 4 GB for 200,000 samples of 5,000 classes. Put it
    first among the loss tricks: those before it have no effect.

    With ``consistency`` or ``balance`` it is SOP+, over the two views of each picture that
    ``BothViews`` puts into a batch: the loss above and ``balance`` times ``imbalance`` of the first
    views, and ``consistency`` times ``view_divergence`` of the second from the first. The mean over
    the 2 B pictures is the sum of these means over B, so the rates mean the same.

    **Source:** S. Liu et al., "Robust Training under Label Noise by Over-parameterization", ICML
    2022 (arXiv 2202.14026), section 2: the cross-entropy trains weights and u, the squared error
    trains v. Rates 1 and 10 (CIFAR-100, 50 % symmetric noise, batches of 128), deviation 1e-8 and
    the limits 1e-4 are those of shengliu66/SOP, README.md, config_cifar100.json and model/loss.py;
    its newest version multiplies the squared error by 100, which is not in the paper and not here.
    SOP+: section 4, the consistency and class-balance terms; that no gradient flows through the
    first views of the former is model/loss.py, where the latter is of the predictions plus noise.
    """

    lr_u: PositiveFloat = 1.0
    lr_v: PositiveFloat = 10.0
    consistency: NonNegativeFloat = 0.0
    balance: NonNegativeFloat = 0.0
    seed: NonNegativeInt = 0

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def state(self, samples: Samples) -> Mapping[str, State]:
        """Return u ``(N, 1)`` and v ``(N, K)``, trained at rates of their own."""
        import torch

        random = torch.Generator().manual_seed(self.seed)
        u = DEVIATION * torch.randn(len(samples), 1, generator=random)
        v = DEVIATION * torch.randn(len(samples), samples.num_outputs, generator=random)
        return {"sop_u": State(initial=u, lr=self.lr_u), "sop_v": State(initial=v, lr=self.lr_v)}

    def __call__(self, loss: Loss) -> Loss:  # noqa: ARG002 - replaces the inner loss
        """Return the loss; with terms of SOP+ it raises PluginError for a batch of one view."""
        import torch

        def over_parameterized(logits: Tensor, batch: Batch) -> Tensor:
            u, v = batch.state["sop_u"], batch.state["sop_v"]
            cross_entropy, squared = noise_losses(logits, batch.targets, u, v)
            return cross_entropy + squared

        def of_two_views(logits: Tensor, batch: Batch) -> Tensor:
            if "view" not in batch.extra:
                raise PluginError(
                    "consistency and balance of SparseOverParameterization need two views of each "
                    "picture; put BothViews into the stage's batch tricks"
                )
            first, second = logits.chunk(2)
            u, v, targets = (
                column.chunk(2)[0]
                for column in (batch.state["sop_u"], batch.state["sop_v"], batch.targets)
            )
            cross_entropy, squared = noise_losses(first, targets, u, v)
            own = cross_entropy + squared + self.balance * imbalance(first)
            return 2 * torch.cat([own, self.consistency * view_divergence(first, second)])

        return of_two_views if self.consistency or self.balance else over_parameterized


def noise_losses(logits: Tensor, targets: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cross-entropy and the squared error ``(B,)`` with the noise of the labels.

    With p = softmax(logits) and the noise s = u ** 2 t - v ** 2 (1 - t) of targets t ``(B, K)``, u
    ``(B, 1)``, v ``(B, K)``: -sum_k t_k log r_k, where r is p + s raised to 1e-4 and divided by its
    sum; and sum_k (h_k + s_k - t_k) ** 2, where h is 1 for the likeliest class. No gradient of the
    first goes to v, none of the second to u.

    **Source:** see ``SparseOverParameterization``.
    """
    from torch.nn import functional

    gained = (u.square() * targets).clamp(max=1 - EPSILON)
    lost = (v.square() * (1 - targets)).clamp(max=1 - EPSILON)
    corrected = (logits.softmax(dim=1) + gained - lost.detach()).clamp(min=EPSILON)
    corrected = (corrected / corrected.sum(dim=1, keepdim=True)).clamp(min=EPSILON)
    cross_entropy = -(targets * corrected.log()).sum(dim=1)
    likeliest = functional.one_hot(logits.detach().argmax(dim=1), logits.shape[1])
    squared = (likeliest + gained.detach() - lost - targets).square().sum(dim=1)
    return cross_entropy, squared


def view_divergence(first: Tensor, second: Tensor) -> Tensor:
    """Return KL(p || q) ``(B,)``, p and q of the logits ``(B, K)`` of two views of each picture.

    No gradient flows through p.

    **Source:** see ``SparseOverParameterization``.
    """
    log_p, log_q = first.detach().log_softmax(dim=1), second.log_softmax(dim=1)
    return (log_p.exp() * (log_p - log_q)).sum(dim=1)
