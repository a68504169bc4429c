"""Mix the pictures that were chosen among each other; show both views of all beside them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pydantic import PositiveFloat

from harness.errors import PluginError
from harness.knobs import check_fields
from harness.samplers import generator
from harness.values import Batch

if TYPE_CHECKING:
    from torch import Tensor

# A separate stream: adding or removing this trick does not change other tricks' draws.
STREAM = int.from_bytes(b"MixChosen", "big")


@dataclass(frozen=True, kw_only=True)
class MixChosen:
    """Mix the chosen pictures, subset 0, and with ``views`` append both views as they are.

    The second view of each of B pictures becomes s x_i + (1 - s) x_j, and its target in the same
    way, with j drawn among the chosen ones and one s ~ Beta(alpha, alpha) for the batch, at least
    1/2; others are not mixed. With ``views`` the batch then holds 3 B pictures: mixed, first view,
    second view, with the columns repeated; else the B mixed ones. Needs ``Stage.views`` of 2.

    **Source:** C. Feng et al., "SSR", BMVC 2022, section 3; the share as in
    MrChenFeng/SSR_BMVC2022, main_webvision.py, which mixes two strong views of each chosen picture:
    here one.
    """

    alpha: PositiveFloat = 0.5
    views: bool = True

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, batch: Batch) -> Batch:
        """Return the larger batch; raises PluginError if there is only one view."""
        import torch

        if not batch.views:
            raise PluginError("MixChosen needs two views of each picture; set views=2 of the stage")
        random = generator(batch.seed, STREAM, batch.network)
        share = float(random.beta(self.alpha, self.alpha))
        share = max(share, 1 - share)
        chosen = (batch.subset == 0).cpu().numpy().nonzero()[0]
        partners = torch.arange(len(batch.index))
        partners[chosen] = torch.from_numpy(random.permutation(chosen))
        partners = partners.to(batch.index.device)
        second = batch.views[0]
        mixed = second[partners].lerp_(second, share)
        copies = 3 if self.views else 1

        def repeated(column: Tensor) -> Tensor:
            return torch.cat([column] * copies)

        targets = batch.targets[partners].lerp_(batch.targets, share)
        return replace(
            batch,
            images=torch.cat([mixed, batch.images, second]) if self.views else mixed,
            targets=torch.cat([targets, *[batch.targets] * (copies - 1)]),
            weights=repeated(batch.weights),
            index=repeated(batch.index),
            subset=repeated(batch.subset),
            source=repeated(batch.source),
            extra={name: repeated(kept) for name, kept in batch.extra.items()},
            views=(),
            state={},
        )
