"""Mixup of the samples of a batch, with sample weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pydantic import PositiveFloat

from harness.knobs import check_fields
from harness.samplers import generator
from harness.tricks.batch.blending import blended
from harness.values import Batch

if TYPE_CHECKING:
    from torch import Tensor

# A separate stream: adding or removing this trick does not change other tricks' draws.
STREAM = int.from_bytes(b"MixUp", "big")


@dataclass(frozen=True, kw_only=True)
class MixUp:
    """Mix every image with another one of its micro-batch, and their targets in the same way.

    One share s ~ Beta(alpha, alpha) and one random permutation per micro-batch, from its seed;
    ``mix`` has the formulas for images, targets and weights. ``index`` is that of the first image;
    ``extra["partner"]`` ``(B,)`` is the place of the second in the micro-batch, and
    ``extra["own_share"]`` ``(B,)`` is s, for losses that keep something for each sample.
    If the weights are equal, mixup and label smoothing give the same result in either order.

    **Source:** PCI deck, "Solution Techniques 1/4": mixup; alpha is not on the slide, 0.2 is
    assumed: H. Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018, find 0.1 to
    0.4 best on ImageNet.
    """

    alpha: PositiveFloat = 0.2

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, batch: Batch) -> Batch:
        """Return the mixed batch."""
        import torch

        random = generator(batch.seed, STREAM)
        share = float(random.beta(self.alpha, self.alpha))
        partners = torch.from_numpy(random.permutation(len(batch.weights)))
        partners = partners.to(batch.weights.device)
        mixed = mix(batch, share, partners)
        of_pairs = {"partner": partners, "own_share": torch.full_like(batch.weights, share)}
        return replace(mixed, extra={**batch.extra, **of_pairs})


def mix(batch: Batch, share: float, partners: Tensor) -> Batch:
    """Mix each sample i with its partner j, given by ``partners`` ``(B,)``.

    With s = ``share``, image i becomes ``s x_i + (1 - s) x_j``; ``blended`` has the formulas for
    targets and weights.

    **Source:** see ``MixUp``; for weighted samples see ``blended``.
    """
    targets, weights = blended(batch, share, partners)
    images = batch.images[partners].lerp_(batch.images, share)
    return replace(batch, images=images, targets=targets, weights=weights)
