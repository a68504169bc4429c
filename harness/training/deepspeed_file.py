"""Checks of a user's DeepSpeed JSON before any run, without importing DeepSpeed.

DeepSpeed ignores a misspelt key silently, and reads a wrong value in the middle of training.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from harness.errors import HarnessError, unknown

DECIDED = {
    "train_batch_size": "batch_size",
    "train_micro_batch_size_per_gpu": "batch_size",
    "gradient_accumulation_steps": "accumulation",
    "gradient_clipping": "clip_norm",
    "optimizer": "lr",
    "scheduler": "lr",
    "fp16": "precision",
    "float16": "precision",
    "bf16": "precision",
    "bfloat16": "precision",
    "amp": "precision",
    "torch_autocast": "precision",
}
CHANGES = {
    "elasticity": "the batch",
    "curriculum_learning": "the batch",
    "data_efficiency": "the batch",
    "dataloader_drop_last": "the batch",
    "autotuning": "the batch",
    "zero_allow_untested_optimizer": "the optimizer",
    "zero_force_ds_cpu_optimizer": "the optimizer",
    "managed_gradient_accumulation": "the optimizer",
    "gradient_allreduce_op": "the optimizer",
    "disable_allgather": "the optimizer",
    "sparse_gradients": "the optimizer",
    "eigenvalue": "the optimizer",
    "data_types": "the data type",
    "fp32_allreduce": "the data type",
    "communication_data_type": "the data type",
    "quantize_training": "the data type",
    "weight_quantization": "the data type",
    "compression_training": "the network",
    "progressive_layer_drop": "the network",
    "sparse_attention": "the network",
    "activation_checkpointing": "the network",
    "hybrid_engine": "the network",
    "compile": "the network",
    "pipeline": "how the network is split over ranks",
    "tensor_parallel": "how the network is split over ranks",
    "expert_parallel": "how the network is split over ranks",
    "autotp_size": "how the network is split over ranks",
    "seq_parallel_communication_data_type": "how the network is split over ranks",
    "use_data_before_expert_parallelism": "how the network is split over ranks",
    "checkpoint": "the checkpoints",
    "nebula": "the checkpoints",
    "datastates_ckpt": "the checkpoints",
}
ALLOWED: dict[str, type | tuple[type, ...]] = {
    "steps_per_print": int,
    "wall_clock_breakdown": bool,
    "memory_breakdown": bool,
    "dump_state": bool,
    "disable_python_gc": bool,
    "log_level": str,
    "prescale_gradients": bool,
    "gradient_predivide_factor": (int, float),
    "zero_optimization": Mapping,
    "flops_profiler": Mapping,
    "comms_logger": Mapping,
    "tensorboard": Mapping,
    "wandb": Mapping,
    "csv_monitor": Mapping,
    "comet": Mapping,
    "timers": Mapping,
    "aio": Mapping,
}
COMMENTS = ("_", "$", "//")  # first characters of keys that hold comments


def check_user_config(user: Mapping[str, Any]) -> None:
    """Raise HarnessError if a user's DeepSpeed JSON contradicts what the stage decides.

    Also if a key is unknown to DeepSpeed, or a value is "auto", not finite or of the wrong type.
    """
    for place, value in _leaves(user):
        if value == "auto":
            raise HarnessError(
                f'--deepspeed: {place} is "auto", which another trainer would fill in; '
                "write a value or leave it out"
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise HarnessError(f"--deepspeed: {place} is {value}; write a finite number")
    for key, value in user.items():
        if not key.startswith(COMMENTS):
            _check_key(key)
            if key == "zero_optimization":
                _check_zero(value)
            _check_type(key, value)


def _check_key(key: str) -> None:
    if key in DECIDED:
        raise HarnessError(
            f"--deepspeed: {key!r} is decided by the stage; use --stage {DECIDED[key]}=... instead"
        )
    if key in CHANGES:
        raise HarnessError(
            f"--deepspeed: {key!r} is refused, because it would change {CHANGES[key]} although "
            "the stage decides it; leave it out"
        )
    if key not in ALLOWED:
        raise HarnessError(
            f"--deepspeed: {unknown('key', key, ALLOWED, listing='keys that may be set')}"
        )


def _check_type(key: str, value: object) -> None:
    wanted = ALLOWED[key]
    right = isinstance(value, wanted) and not (isinstance(value, bool) and wanted is not bool)
    if not right:
        kinds = wanted if isinstance(wanted, tuple) else (wanted,)
        names = " or ".join("an object" if kind is Mapping else kind.__name__ for kind in kinds)
        raise HarnessError(f"--deepspeed: {key!r} must be {names}, not {value!r:.80}")
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value <= 0:
        raise HarnessError(f"--deepspeed: {key!r} must be above 0, not {value}")


def _check_zero(zero: object) -> None:
    values = zero if isinstance(zero, Mapping) else {"stage": zero}
    level = values.get("stage", 0)
    if type(level) is not int or level != 0:
        raise HarnessError(
            f"--deepspeed: zero_optimization.stage {level!r} is refused: a sharded optimiser "
            "cannot be resumed at another number of ranks, and SGD's momentum is no larger than "
            "the weights; leave it at 0"
        )
    for key in ("offload_param", "offload_optimizer", "cpu_offload"):
        if values.get(key):
            raise HarnessError(
                f"--deepspeed: zero_optimization.{key} is refused: it needs a sharded optimiser"
            )


def _leaves(value: object, place: str = "") -> Iterator[tuple[str, object]]:
    """Yield every plain value with the keys that lead to it."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{place}.{key}".lstrip("."))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _leaves(inner, f"{place}[{number}]")
    else:
        yield place, value
