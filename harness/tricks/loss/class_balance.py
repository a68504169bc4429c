"""How far the mean prediction of a batch is from all classes being as likely."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def imbalance(logits: Tensor) -> Tensor:
    """Return sum_k 1 / K log(1 / K / mean p_k), p of logits ``(B, K)``: 0 if all are as likely.

    **Source:** J. Li et al., "DivideMix", ICLR 2020, equation 11; S. Liu et al., "Robust Training
    under Label Noise by Over-parameterization", ICML 2022, the class-balance term of SOP+.
    """
    size, classes = logits.shape
    log_mean = logits.log_softmax(dim=1).logsumexp(dim=0) - logits.new_tensor(size).log()
    return -(log_mean + logits.new_tensor(classes).log()).mean()
