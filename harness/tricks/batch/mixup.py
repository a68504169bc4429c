"""Mixing the samples of a batch with one another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pydantic import PositiveFloat

from harness.knobs import check_fields
from harness.samplers import generator
from harness.values import Batch

if TYPE_CHECKING:
    from torch import Tensor

# Draws of its own, so that no other trick's shift when this one comes or goes.
STREAM = int.from_bytes(b"MixUp", "big")


@dataclass(frozen=True, kw_only=True)
class MixUp:
    """Add to every image a share of another one of its micro-batch, and likewise to the targets.

    One share s ~ Beta(alpha, alpha) and one random permutation per micro-batch, from its seed; see
    ``mix`` for what becomes of images, targets and weights. ``index`` stays that of the first of
    the two. Mixing and smoothing give the same in either order where the weights are equal.

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
        return mix(batch, share, partners.to(batch.weights.device))


def mix(batch: Batch, share: float, partners: Tensor) -> Batch:
    """Mix each sample i with its partner j, ``partners`` ``(B,)``, which counts 1 - ``share`` = u.

    With s = ``share``: image ``s x_i + u x_j``, weight ``w = s w_i + u w_j`` and targets
    ``(s w_i t_i + u w_j t_j) / w``. So w times cross-entropy, which is linear in its targets, is
    ``s w_i CE(t_i) + u w_j CE(t_j)``: each label counts as much as its own sample's weight says, a
    sample of weight 0 teaches nothing, the sum of the weights stays where ``partners`` is a
    permutation, and with equal weights it is plain mixup. Where both weigh nothing, the targets,
    which nobody looks at, are mixed like the images.
    """
    own = share * batch.weights
    weights = own + (1 - share) * batch.weights[partners]
    of_target = (own / weights).where(weights > 0, weights.new_tensor(share))
    return replace(
        batch,
        images=batch.images[partners].lerp_(batch.images, share),
        targets=batch.targets[partners].lerp_(batch.targets, of_target[:, None]),
        weights=weights,
    )
