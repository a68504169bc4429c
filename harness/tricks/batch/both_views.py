"""Two views of each picture side by side in a batch, for losses that compare them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.errors import PluginError
from harness.values import Batch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class BothViews:
    """Append the second views of the B pictures: a batch of 2 B, first views first.

    All columns are repeated; ``extra["view"]`` ``(2 B,)`` is 0 for first views and 1 for second
    ones. Needs ``Stage.views`` of 2; a step trains on twice as many pictures.

    **Source:** shengliu66/SOP, trainer/trainer.py: both views of a batch go through the network
    together.
    """

    def __call__(self, batch: Batch) -> Batch:
        """Return the larger batch; raises PluginError if there is only one view."""
        import torch

        if not batch.views:
            raise PluginError("BothViews needs two views of each picture; set views=2 of the stage")

        def repeated(column: Tensor) -> Tensor:
            return torch.cat([column, column])

        view = torch.zeros_like(batch.index)
        extra = {name: repeated(kept) for name, kept in batch.extra.items()}
        return replace(
            batch,
            images=torch.cat([batch.images, batch.views[0]]),
            targets=repeated(batch.targets),
            weights=repeated(batch.weights),
            index=repeated(batch.index),
            subset=repeated(batch.subset),
            source=repeated(batch.source),
            extra={**extra, "view": torch.cat([view, view + 1])},
            views=(),
            state={},
        )
