"""CutMix of the samples of a batch, with sample weights."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, NamedTuple

from pydantic import Field, PositiveFloat

from harness.knobs import check_fields
from harness.samplers import generator
from harness.tricks.batch.blending import blended
from harness.values import Batch

if TYPE_CHECKING:
    from torch import Tensor

# A separate stream: adding or removing this trick does not change other tricks' draws.
STREAM = int.from_bytes(b"CutMix", "big")


class Box(NamedTuple):
    """A rectangle: rows of pixels from ``top`` to ``bottom``, columns ``left`` to ``right``."""

    top: int
    bottom: int
    left: int
    right: int


@dataclass(frozen=True, kw_only=True)
class CutMix:
    """Paste a rectangle of another image of the micro-batch into every image.

    One share s ~ Beta(alpha, alpha), one box and one random permutation per micro-batch, from its
    seed. The box has sqrt(1 - s) of the height and width and its centre anywhere, so it may be cut
    off at the edge; targets and weights are mixed by the area that is left, as ``cut_mix`` says.
    ``probability`` is that of a micro-batch being mixed at all. ``index`` is that of the first
    image.

    **Source:** S. Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with
    Localizable Features", ICCV 2019, equations 1 and 2, alpha 1; targets of weighted samples are
    our choice.
    """

    alpha: PositiveFloat = 1.0
    probability: Annotated[float, Field(gt=0, le=1)] = 1.0

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, batch: Batch) -> Batch:
        """Return the mixed batch."""
        import torch

        random = generator(batch.seed, STREAM)
        if random.random() >= self.probability:
            return batch
        side = math.sqrt(1 - float(random.beta(self.alpha, self.alpha)))
        height, width = batch.images.shape[-2:]
        box = box_at(float(random.random()), float(random.random()), side, height, width)
        partners = torch.from_numpy(random.permutation(len(batch.weights)))
        return cut_mix(batch, box, partners.to(batch.weights.device))


def box_at(down: float, across: float, side: float, height: int, width: int) -> Box:
    """Return the box with its centre at these shares of the image, cut off at the edges.

    **Source:** see ``CutMix``.
    """
    middle, tall = int(down * height), int(height * side)
    centre, wide = int(across * width), int(width * side)
    return Box(
        max(0, middle - tall // 2),
        min(height, middle + (tall + 1) // 2),
        max(0, centre - wide // 2),
        min(width, centre + (wide + 1) // 2),
    )


def cut_mix(batch: Batch, box: Box, partners: Tensor) -> Batch:
    """Give each image i the ``box`` of its partner j, from ``partners`` ``(B,)``.

    The share of image i is what is left of its area, 1 - (box's area) / (H W); targets and weights
    are blended by it.

    **Source:** see ``CutMix``.
    """
    height, width = batch.images.shape[-2:]
    area = max(0, box.bottom - box.top) * max(0, box.right - box.left)
    inside = (..., slice(box.top, box.bottom), slice(box.left, box.right))
    images = batch.images.clone()
    images[inside] = batch.images[inside][partners]
    targets, weights = blended(batch, 1 - area / (height * width), partners)
    return replace(batch, images=images, targets=targets, weights=weights)
