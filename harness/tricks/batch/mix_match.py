"""DivideMix's MixMatch: refined and guessed targets, and every picture mixed with another one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, PositiveFloat

from harness.errors import PluginError
from harness.knobs import check_fields
from harness.samplers import generator
from harness.tricks.batch.blending import blended
from harness.values import Batch

if TYPE_CHECKING:
    from torch import Tensor

# A separate stream: adding or removing this trick does not change other tricks' draws.
STREAM = int.from_bytes(b"MixMatch", "big")


@dataclass(frozen=True, kw_only=True)
class MixMatch:
    """Give a batch of B pictures in V views V B mixed pictures, with sharpened targets.

    A labelled picture (subset 0) of target t, whose sum w says how far to trust it, gets t + (1 -
    w) p: co-refinement, with p this network's mean probability over the views. Any other gets the
    mean probability of all the stage's networks over the views: co-guessing. Both are sharpened by
    ``temperature``. Then each of the V B pictures is mixed with a random one of them: s ~
    Beta(alpha, alpha), share max(s, 1 - s), so that it stays labelled or not. The columns repeat
    those of the first picture, view by view. In the first ``warmup`` epochs nothing changes.

    Needs ``Stage.views`` of 2 or more. The networks answer in evaluation mode. Labelled and
    unlabelled pictures are in the batch as they are drawn, not half and half as in the paper.

    **Source:** J. Li, R. Socher, S. Hoi, "DivideMix", ICLR 2020, algorithm 1, lines 10 to 26, and
    section 3.2; D. Berthelot et al., "MixMatch", NeurIPS 2019.
    """

    temperature: PositiveFloat = 0.5
    alpha: PositiveFloat = 0.5
    warmup: Annotated[int, Field(ge=0)] = 1

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, batch: Batch) -> Batch:
        """Return the mixed batch; raises PluginError if there is only one view."""
        import torch

        if not batch.views or batch.networks is None:
            raise PluginError("MixMatch needs two views of each picture; set views=2 of the stage")
        if batch.epoch < self.warmup:
            return batch
        views = (batch.images, *batch.views)
        said = torch.stack([batch.networks.logits(view) for view in views])
        likely = said.softmax(dim=3).mean(dim=0)  # (M, B, K): over the views
        refined = batch.targets + (1 - batch.targets.sum(dim=1, keepdim=True)) * likely[0]
        labelled = (batch.subset == 0)[:, None]
        targets = sharpen(torch.where(labelled, refined, likely.mean(dim=0)), self.temperature)
        copies = len(views)
        whole = replace(
            batch,
            images=torch.cat(views),
            targets=targets.repeat(copies, 1),
            weights=batch.weights.repeat(copies),
            index=batch.index.repeat(copies),
            subset=batch.subset.repeat(copies),
            source=batch.source.repeat(copies),
            extra={name: torch.cat([kept] * copies) for name, kept in batch.extra.items()},
            views=(),
            state={},
        )
        random = generator(batch.seed, STREAM, batch.network)
        share = float(random.beta(self.alpha, self.alpha))
        share = max(share, 1 - share)
        partners = torch.from_numpy(random.permutation(len(whole.index))).to(batch.index.device)
        mixed_targets, weights = blended(whole, share, partners)
        images = whole.images[partners].lerp_(whole.images, share)
        return replace(whole, images=images, targets=mixed_targets, weights=weights)


def sharpen(probabilities: Tensor, temperature: float) -> Tensor:
    """Return p_k ** (1 / T) over their sum ``(B, K)``.

    **Source:** see ``MixMatch``.
    """
    powers = probabilities ** (1 / temperature)
    sharp: Tensor = powers / powers.sum(dim=1, keepdim=True)
    return sharp
