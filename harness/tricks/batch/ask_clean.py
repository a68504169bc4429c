"""What the network says of the step's clean pictures, for losses that learn from them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.errors import PluginError
from harness.values import Batch


@dataclass(frozen=True, kw_only=True)
class AskClean:
    """Put all outputs of the network for the clean pictures into ``batch.clean.extra``, by name.

    The stage has ``clean`` above 0, the data set a split "clean". The network answers in evaluation
    mode, without gradient; it costs a forward pass of the clean pictures.

    **Source:** our choice: a loss sees the outputs for the batch's own pictures only.
    """

    def __call__(self, batch: Batch) -> Batch:
        """Return the batch with the outputs; raises PluginError if there are no clean pictures."""
        if batch.clean is None or batch.networks is None:
            raise PluginError("AskClean needs clean pictures in each batch; set clean of the stage")
        said = batch.networks.outputs(batch.clean.images)
        return replace(batch, clean=replace(batch.clean, extra={**batch.clean.extra, **said}))
