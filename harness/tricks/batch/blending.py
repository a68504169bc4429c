"""Targets and weights of samples of which a share is another one's, for tricks that mix pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.values import Batch

if TYPE_CHECKING:
    from torch import Tensor


def blended(batch: Batch, share: float, partners: Tensor) -> tuple[Tensor, Tensor]:
    """Return targets ``(B, K)`` and weights ``(B,)`` of samples i mixed with partners j ``(B,)``.

    With s = ``share`` and u = 1 - s: weight ``w = s w_i + u w_j`` and targets ``(s w_i t_i + u w_j
    t_j) / w``. Cross-entropy is linear in its targets, so w times it is ``s w_i CE(t_i) + u w_j
    CE(t_j)``: each label counts with the weight of its sample, and a sample of weight 0 does not
    count. The sum of the weights does not change if ``partners`` is a permutation. With equal
    weights it is plain mixing. If both weights are 0, the targets are mixed by the share; they do
    not enter the loss.

    **Source:** our choice for weighted samples.
    """
    own = share * batch.weights
    weights = own + (1 - share) * batch.weights[partners]
    of_target = (own / weights).where(weights > 0, weights.new_tensor(share))
    return batch.targets[partners].lerp_(batch.targets, of_target[:, None]), weights
