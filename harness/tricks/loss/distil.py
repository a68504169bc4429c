"""Distillation: learn from the logits of earlier networks on the same images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, PositiveFloat

from harness.errors import PluginError
from harness.knobs import check_fields
from harness.values import Batch, Loss

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Distil:
    """Mix the inner loss with the divergence from the teachers: (1 - w) loss + w T^2 KL(q || p).

    w = ``weight``, T = ``temperature``, p = softmax(logits / T) and q the mean over the M teachers
    of softmax(their logits / T), on the same images after the batch tricks. T^2 keeps the size of
    the gradient if T changes. No gradient flows into the teachers. With weight 1 the labels do not
    count.

    **Source:** Huawei deck, "Model distillation": from the baseline, from top-ranked images +
    oversampling, from an ensemble of models. Loss, weight and temperature are not on the slides:
    the form is G. Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, section 2;
    0.5 and 2 are assumed.
    """

    weight: Annotated[float, Field(ge=0, le=1)] = 0.5
    temperature: PositiveFloat = 2.0

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, loss: Loss) -> Loss:
        """Return the mixed loss; it raises PluginError if the batch has no teacher logits."""

        def distilled(logits: Tensor, batch: Batch) -> Tensor:
            if batch.teacher_logits is None:
                raise PluginError(
                    "Distil needs teachers, but the batch has no teacher logits; "
                    "name earlier stages in teachers= of this one"
                )
            away = divergence(logits, batch.teacher_logits, self.temperature)
            return (1 - self.weight) * loss(logits, batch) + self.weight * away

        return distilled


def divergence(logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Return T^2 KL(q || p) ``(B,)``; logits ``(B, K)``, the teachers' ``(M, B, K)``.

    **Source:** see ``Distil``.
    """
    log_p = (logits / temperature).log_softmax(dim=1)
    each = (teacher_logits.detach() / temperature).log_softmax(dim=2)
    log_q = each.logsumexp(dim=0) - math.log(len(teacher_logits))
    return temperature**2 * (log_q.exp() * (log_q - log_p)).sum(dim=1)
