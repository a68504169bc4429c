"""On-the-fly self-supervision: mix each label with a pseudo label, by the confidence in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from pydantic import NonNegativeFloat

from harness.errors import PluginError
from harness.knobs import check_fields
from harness.values import Batch, Loss

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class SelfSupervised:
    """Give the inner loss new targets: c t + (1 - c) sum(t) q.

    t are the batch's targets, q the pseudo label and c = (sum_k t_k p_k) ** ``power`` the
    confidence in t. p and q = softmax(z / ``temperature``) come from logits z, through which no
    gradient flows: those in training, after the batch tricks (``pseudo`` "self"), or the mean
    probabilities of the stage's teachers on the same images ("teacher"), for which p ** (1 /
    temperature) replaces softmax(z / temperature). Temperature 0 gives the one-hot label of the
    most probable class.

    With "self" and temperature 1 the gradient of cross-entropy is c times that of t: the network's
    soft label adds no information. Therefore one-hot is the default.

    **Source:** BigVideo deck, "On-the-fly Self-supervised Loss": after supervised training
    converges, pseudo labels from the network itself are more reliable than the noisy labels. All
    else is assumed. Mix and power 2 follow later code of that team for another method (SCC, ECCV
    2020), which uses a teacher, the converged network on the plain centre view, and sigmoids;
    here softmax, as in all other stages.
    """

    power: NonNegativeFloat = 2.0
    pseudo: Literal["self", "teacher"] = "self"
    temperature: NonNegativeFloat = 0.0

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, loss: Loss) -> Loss:
        """Return the loss of the new targets; it raises PluginError if a teacher is missing."""

        def self_supervised(logits: Tensor, batch: Batch) -> Tensor:
            logs = self._log_probabilities(logits, batch)
            targets = trusted_targets(batch.targets, logs, self.power, self.temperature)
            return loss(logits, replace(batch, targets=targets))

        return self_supervised

    def _log_probabilities(self, logits: Tensor, batch: Batch) -> Tensor:
        if self.pseudo == "self":
            return logits.detach().log_softmax(dim=1)
        if batch.teacher_logits is None:
            raise PluginError(
                "SelfSupervised asks for a teacher's pseudo labels, but the batch has no teacher "
                "logits; name the converged stage in teachers= of this one"
            )
        # The mean over teachers up to a constant, which the softmax removes.
        return batch.teacher_logits.detach().log_softmax(dim=2).logsumexp(dim=0).log_softmax(dim=1)


def trusted_targets(
    targets: Tensor, log_probabilities: Tensor, power: float, temperature: float
) -> Tensor:
    """Return c t + (1 - c) sum(t) q ``(B, K)``, all as in ``SelfSupervised``.

    **Source:** see ``SelfSupervised``.
    """
    agreement = (targets * log_probabilities.exp()).sum(dim=1, keepdim=True)
    trust = agreement.clamp(max=1) ** power
    if temperature:
        pseudo = (log_probabilities / temperature).softmax(dim=1)
    else:
        best = log_probabilities.argmax(dim=1, keepdim=True)
        pseudo = log_probabilities.new_zeros(log_probabilities.shape).scatter_(1, best, 1.0)
    return trust * targets + (1 - trust) * targets.sum(dim=1, keepdim=True) * pseudo
