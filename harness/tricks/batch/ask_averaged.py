"""What the averaged weights say of a batch's pictures, before they are mixed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field

from harness.errors import PluginError
from harness.knobs import check_fields
from harness.values import Batch


@dataclass(frozen=True, kw_only=True)
class AskAveraged:
    """Put the probabilities ``(B, K)`` of averaged weights into ``extra["averaged"]``.

    They are those of this network's average in evaluation mode, or with ``peer`` 1 of the stage's
    next network. Place it before tricks that mix pictures. The stage needs an ``average``; it costs
    a forward pass.

    **Source:** S. Liu et al., "Early-Learning Regularization Prevents Memorization of Noisy
    Labels", NeurIPS 2020, section 4.3 (weight averaging), and shengliu66/ELR,
    ELR_plus/trainer/trainer.py, where a network's targets are those of the other one's average, in
    training mode.
    """

    peer: Annotated[int, Field(ge=0)] = 0

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, batch: Batch) -> Batch:
        """Return the batch with the probabilities; raises PluginError outside a stage."""
        if batch.networks is None:
            raise PluginError("AskAveraged needs a batch of a stage, but this one has no networks")
        logits = batch.networks.averaged(batch.images, self.peer)["logits"]
        return replace(batch, extra={**batch.extra, "averaged": logits.softmax(dim=1)})
