"""DeepSpeed as an engine of the loop; no other file imports it."""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.training.layout import micro_batch_size
from harness.values import Stage

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from harness.training.ranks import Ranks

NEVER = 1 << 62


def deepspeed_config(
    stage: Stage, world_size: int, user: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Derive DeepSpeed's configuration from a stage; the user's is merged on top.

    Micro-batch and accumulation are set and DeepSpeed computes the total, so the global batch is
    the stage's. Mixed precision is autocast over fp32 weights: DeepSpeed's own ``bf16`` and
    ``fp16`` cast the whole module, which breaks batch norm. Does not import DeepSpeed. Raises
    HarnessError if the batch cannot be split evenly.
    """
    config: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": micro_batch_size(stage, world_size),
        "gradient_accumulation_steps": stage.accumulation,
        "steps_per_print": NEVER,
        "zero_optimization": {"stage": 0},
        # Without it, newer releases clip at 1.0 (seen in 0.19); 0 clips nothing.
        "gradient_clipping": stage.clip_norm or 0.0,
    }
    if stage.precision != "fp32":
        dtype = {"bf16": "bfloat16", "fp16": "float16"}[stage.precision]
        config["torch_autocast"] = {"enabled": True, "dtype": dtype}
    return _merged(config, user or {})


def unavailable() -> str | None:
    """Return why DeepSpeed cannot be imported, or None if it can."""
    try:
        load_deepspeed()
    except Exception as error:  # its import runs compilers and probes drivers
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return None


class DeepSpeedEngine:
    """DeepSpeed with ZeRO 0 and the optimiser of the plain engine."""

    name = "deepspeed"

    def __init__(
        self, module: nn.Module, stage: Stage, ranks: Ranks, user: Mapping[str, Any] | None = None
    ) -> None:
        import torch

        from harness.training.compiled import compiled
        from harness.training.optimizer import build_optimizer

        module = module.to(ranks.device)
        self._optimizer, self._accumulation = build_optimizer(module, stage), stage.accumulation
        config = deepspeed_config(stage, ranks.world_size, user)
        self._engine = _initialised(compiled(module, stage), self._optimizer, config, user)
        # Its broadcast at the start fails on a channels_last module, so the layout comes after.
        self.module: nn.Module = module.to(memory_format=torch.channels_last)
        if ranks.world_size == 1:
            # Otherwise every step copies all gradients into buckets and back for no reason.
            self._engine.enable_backward_allreduce = False

    def __call__(self, images: Tensor) -> Tensor | Mapping[str, Tensor]:
        """Return logits ``(B, K)``, or outputs by name."""
        answer: Tensor | Mapping[str, Tensor] = self._engine(images)
        return answer

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of one micro-batch."""
        # DeepSpeed 0.18 does not divide where its all-reduce is off: four micro-batches would
        # take a step that is four times too long.
        self._engine.backward(loss / self._accumulation, scale_wrt_gas=False)

    def step(self) -> None:
        """Update the weights if this micro-batch ends an accumulation."""
        self._engine.step()

    def set_lr(self, lr: float) -> None:
        """Set the learning rate of the next update."""
        from harness.training.optimizer import set_lr

        set_lr(self._optimizer, lr)

    def state(self) -> dict[str, Any]:
        """Return module, optimiser and loss scale; independent of the number of ranks."""
        scaler = self._engine.torch_autocast_z0_gradscaler
        return {
            "module": self.module.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scaler": scaler.state_dict() if scaler is not None else {},
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Resume from ``state``."""
        self.module.load_state_dict(state["module"])
        self._optimizer.load_state_dict(state["optimizer"])
        scaler = self._engine.torch_autocast_z0_gradscaler
        if scaler is not None:
            scaler.load_state_dict(state["scaler"])


def _initialised(
    module: nn.Module,
    optimizer: Optimizer,
    config: Mapping[str, Any],
    user: Mapping[str, Any] | None,
) -> Any:
    # DeepSpeed reads it. If it stayed set, the next run would take it for a launcher's.
    alone = "LOCAL_RANK" not in os.environ
    os.environ.setdefault("LOCAL_RANK", "0")
    try:
        engine, *_ = load_deepspeed().initialize(model=module, optimizer=optimizer, config=config)
    except Exception as error:  # of many types; without a user's file it is a bug of ours
        if not user:
            raise
        reason = " ".join(str(error).split())
        raise HarnessError(f"--deepspeed: DeepSpeed refuses the file: {reason}") from error
    finally:
        if alone:
            del os.environ["LOCAL_RANK"]
    return engine


def load_deepspeed() -> Any:
    """Return the library, imported quietly and without compilers."""
    import torch

    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    # Its loggers announce every default at import and at every initialisation.
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    import deepspeed
    import deepspeed.ops

    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    compatible = getattr(deepspeed.ops, "__compatible_ops__", None)
    if isinstance(compatible, dict):
        # Otherwise the first use on a CPU compiles a collective for 20 s; gloo has the same one.
        compatible["deepspeed_shm_comm"] = False
    return deepspeed


def _merged(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    merged = copy.deepcopy(dict(base))
    for key, value in top.items():
        inner = merged.get(key)
        if isinstance(inner, dict) and isinstance(value, Mapping):
            merged[key] = _merged(inner, value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged
