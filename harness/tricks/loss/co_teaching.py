"""Co-teaching: each of two networks learns from the samples that the other one finds easy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from harness.errors import PluginError
from harness.knobs import check_fields
from harness.tricks.loss.small_losses import forget_rate, mean_of, smallest
from harness.values import Batch, Loss

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class CoTeaching:
    """Keep the samples of a batch whose loss under the other network is smallest.

    Of B samples, ``int(R B)`` are kept, at least one, with R = 1 - ``forget_rate`` min(t /
    ``warmup``, 1) and t the share of the stage that is done; ``warmup`` 0 means from the start. The
    mean over the batch is the mean over those kept. The stage has ``networks=2``; with more, the
    first other network chooses. No gradient flows through the choice.

    **Source:** B. Han et al., "Co-teaching: Robust Training of Deep Neural Networks with Extremely
    Noisy Labels", NeurIPS 2018, algorithm 1.
    """

    forget_rate: Annotated[float, Field(ge=0, lt=1)] = 0.2
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.05

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, loss: Loss) -> Loss:
        """Return the loss of the samples kept; it raises PluginError if there is no peer."""

        def co_taught(logits: Tensor, batch: Batch) -> Tensor:
            if batch.peer_logits is None:
                raise PluginError(
                    "CoTeaching needs the logits of another network, but the batch has none; "
                    "set networks=2 of the stage"
                )
            rate = forget_rate(batch.progress, self.forget_rate, self.warmup)
            easy = smallest(loss(batch.peer_logits[0], batch).detach(), rate)
            return loss(logits, batch) * mean_of(easy)

        return co_taught
