"""DistributedDataParallel as an engine: gradients travel while backward still computes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from harness.errors import HarnessError
from harness.training.engine import TorchEngine, autocast
from harness.training.ranks import Ranks
from harness.values import Stage

# Batch norm's statistics are averaged by ``Ranks.average_buffers``; a queue of features is not
# shared at all. Torch 2.13 renamed the argument.
NAMES = inspect.signature(DistributedDataParallel).parameters
OWN_BUFFERS = "forward_sync_buffers" if "forward_sync_buffers" in NAMES else "broadcast_buffers"


class DdpEngine(TorchEngine):
    """The plain engine, with its gradients averaged in buckets; on one rank it is the plain one."""

    name = "ddp"

    def __init__(self, module: nn.Module, stage: Stage, ranks: Ranks) -> None:
        super().__init__(module, stage, ranks)
        self._wrapped: DistributedDataParallel | None = None
        self._met_all = False
        if ranks.world_size > 1:
            settings: dict[str, Any] = {OWN_BUFFERS: False}
            self._wrapped = DistributedDataParallel(
                self._forward,
                device_ids=[ranks.device] if ranks.device.type == "cuda" else None,
                init_sync=False,  # the plain engine has sent rank 0's weights
                gradient_as_bucket_view=True,
                **settings,
            )

    def __call__(self, images: Tensor) -> Tensor | Mapping[str, Tensor]:
        """Return logits ``(B, K)``, or outputs by name."""
        wrapped = self._wrapped
        if wrapped is None:
            return super().__call__(images)
        # Whether backward sends gradients is decided by the forward pass that it belongs to.
        sends = nullcontext() if self._ends_update else wrapped.no_sync()
        with sends, autocast(self._stage, self._ranks.device):
            answer: Tensor | Mapping[str, Tensor] = wrapped(images)
        return answer

    def _average_gradients(self) -> None:
        """Check that none is missing; DDP has averaged them, but its next pass would fail."""
        if self._wrapped is None or self._met_all:
            return
        self._met_all = True
        named = self.module.named_parameters()
        left = [name for name, p in named if p.requires_grad and p.grad is None]
        if left:
            raise HarnessError(
                f"--engine ddp: stage {self._stage.name!r} trains {', '.join(left[:3])}"
                f"{' and others' if left[3:] else ''}, to which the loss gives no gradient; "
                "use --engine deepspeed or torch, or let the plugin freeze what it does not use"
            )
