"""Label smoothing: every class gets an equal share of a small part of each target."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from harness.knobs import check_fields
from harness.values import Batch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class SmoothLabels:
    """Smooth the targets: t' = (1 - s) t + s sum(t) / K, with s = ``smoothing``.

    The sum of a sample's targets does not change, also if it is not 1.

    **Source:** PCI deck, "Solution Techniques 1/4": label smooth, without a value; 0.1 is assumed:
    C. Szegedy et al., "Rethinking the Inception Architecture", CVPR 2016, section 7.
    """

    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, batch: Batch) -> Batch:
        """Return the batch with smoothed targets."""
        return replace(batch, targets=smooth(batch.targets, self.smoothing))


def smooth(targets: Tensor, smoothing: float) -> Tensor:
    """Return smoothed targets ``(B, K)``.

    **Source:** see ``SmoothLabels``.
    """
    return targets.lerp(targets.mean(dim=1, keepdim=True), smoothing)
