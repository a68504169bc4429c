"""JoCoR: two networks learn the samples on which they agree with the label and each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from harness.errors import PluginError
from harness.knobs import check_fields
from harness.tricks.loss.small_losses import forget_rate, mean_of, smallest
from harness.values import Batch, Loss

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class JointAgreement:
    """Keep the samples of a batch whose joint loss is smallest, and minimise it.

    The joint loss is (1 - l) (loss_1 + loss_2) + l (KL(p_1 || p_2) + KL(p_2 || p_1)), with l =
    ``agreement``. Of B samples, ``int(R B)`` are kept, at least one, with R = 1 - ``forget_rate``
    min(t / ``warmup``, 1) and t the share of the stage that is done. The mean over the batch is the
    mean over those kept. The stage has ``networks=2``. Each network is given the joint loss with
    the other's logits as constants: those are the two gradients of one optimiser over both.

    **Source:** H. Wei et al., "Combating Noisy Labels by Agreement: A Joint Training Method with
    Co-Regularization", CVPR 2020, section 3; the share of the samples kept is Co-teaching's.
    """

    agreement: Annotated[float, Field(ge=0, le=1)] = 0.85
    forget_rate: Annotated[float, Field(ge=0, lt=1)] = 0.2
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.05

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, loss: Loss) -> Loss:
        """Return the joint loss; it raises PluginError if there is no peer."""

        def joint(logits: Tensor, batch: Batch) -> Tensor:
            if batch.peer_logits is None:
                raise PluginError(
                    "JointAgreement needs the logits of another network, but the batch has none; "
                    "set networks=2 of the stage"
                )
            peer = batch.peer_logits[0]
            of_label = loss(logits, batch) + loss(peer, batch).detach()
            values = (1 - self.agreement) * of_label + self.agreement * disagreement(logits, peer)
            rate = forget_rate(batch.progress, self.forget_rate, self.warmup)
            return values * mean_of(smallest(values.detach(), rate))

        return joint


def disagreement(logits: Tensor, peer_logits: Tensor) -> Tensor:
    """Return KL(p || q) + KL(q || p) ``(B,)``, p and q of logits ``(B, K)``.

    It is sum_k (p_k - q_k) (log p_k - log q_k).

    **Source:** see ``JointAgreement``.
    """
    log_p, log_q = logits.log_softmax(dim=1), peer_logits.log_softmax(dim=1)
    return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(dim=1)
