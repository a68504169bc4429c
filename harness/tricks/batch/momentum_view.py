"""What a momentum encoder makes of the second view of each picture."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.errors import PluginError
from harness.values import Batch


@dataclass(frozen=True, kw_only=True)
class MomentumView:
    """Put the averaged weights' "embedding" ``(B, D)`` of the second view into ``extra``.

    It is called "momentum" there. The stage needs ``views=2``, an ``average`` and a network that
    returns an embedding, as with ``Projection``. Batch norm uses the statistics of the batch: those
    that are averaged belong to no network, and with a momentum of 0.999 the first thousand steps
    are normalised by what the network began with, so that all pictures look alike. It costs a
    forward pass.

    **Source:** J. Li, C. Xiong, S. Hoi, "MoPro", ICLR 2021, section 3.1; K. He et al., "Momentum
    Contrast", CVPR 2020. There, too, the momentum encoder is in training mode, with its pictures
    shuffled over the ranks.
    """

    def __call__(self, batch: Batch) -> Batch:
        """Return the batch with the embeddings; raises PluginError if there are none."""
        if not batch.views or batch.networks is None:
            raise PluginError(
                "MomentumView needs two views of each picture; set views=2 of the stage"
            )
        found = batch.networks.averaged(batch.views[0], batch_statistics=True)
        if "embedding" not in found:
            raise PluginError(
                "MomentumView needs a network that returns an embedding; add Projection() to the "
                "stage's model tricks"
            )
        return replace(batch, extra={**batch.extra, "momentum": found["embedding"]})
