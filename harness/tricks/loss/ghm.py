"""Gradient harmonising (GHM-C): samples whose gradient size is common count less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import PositiveInt

from harness.knobs import check_fields
from harness.values import Batch, Loss

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class GHM:
    """Divide each sample's loss by the number of samples with a gradient of similar size.

    With g in [0, 1] the size of a sample's gradient, M = ``bins`` unit regions of width 1 / M and R
    the number of samples in its region, the factor is B / (R M): the paper's N / GD(g). It is 1 if
    the sizes are spread evenly, and small both for many easy samples and for many very hard ones,
    which are likely mislabelled. No gradient flows through it. The paper's g = |p - t|
    is for one sigmoid; here g = sum_k |p_k - t_k| / 2 over softmax, which is the same for two
    classes and 1 - p_label for a hard label (assumed). Targets are divided by their sum.

    It has no state: no moving average of the densities (momentum 0). Each rank counts the samples
    of its micro-batch, without their weights. Use micro-batches of many times ``bins`` samples.

    **Source:** BigVideo deck, "Take-home Message": GHM is hard to tune well; no value is given.
    B. Li et al., "Gradient Harmonized Single-stage Detector", AAAI 2019, with its unit regions. 10
    bins are assumed: the default of the code in general use, which divides by the number of bins in
    use instead of the paper's M.
    """

    bins: PositiveInt = 10

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, loss: Loss) -> Loss:
        """Return the harmonised loss."""

        def harmonised(logits: Tensor, batch: Batch) -> Tensor:
            return ghm_factor(logits, batch.targets, self.bins) * loss(logits, batch)

        return harmonised


def ghm_factor(logits: Tensor, targets: Tensor, bins: int) -> Tensor:
    """Return B / (R M) ``(B,)`` for logits and targets ``(B, K)``.

    **Source:** see ``GHM``.
    """
    sizes = gradient_sizes(logits.detach(), targets)
    region = (sizes * bins).long().clamp(max=bins - 1)
    count = (region[:, None] == region).sum(dim=1)
    return len(sizes) / (count * bins)


def gradient_sizes(logits: Tensor, targets: Tensor) -> Tensor:
    """Return g = sum_k |p_k - t_k| / 2 ``(B,)``, from 0 to 1.

    **Source:** see ``GHM``.
    """
    shares = targets / targets.sum(dim=1, keepdim=True).clamp(min=1e-12)
    return (logits.softmax(dim=1) - shares).abs().sum(dim=1) / 2
