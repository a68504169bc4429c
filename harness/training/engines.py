"""The choice of the engine that a run asks for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from harness.errors import HarnessError
from harness.spec import RunSpec, check_engine
from harness.terminal import note
from harness.training.batch_norm import across_ranks, check_pictures
from harness.training.compiled import check_compiler
from harness.training.ddp import DdpEngine
from harness.training.deepspeed import DeepSpeedEngine, unavailable
from harness.training.engine import Engine, TorchEngine
from harness.training.layout import micro_batch_size
from harness.training.optimizer import freeze
from harness.training.ranks import Ranks
from harness.values import Stage


def make_engine(
    name: str, module: nn.Module, stage: Stage, ranks: Ranks, deepspeed: dict[str, Any]
) -> Engine:
    """Return the engine called ``name``; imports DeepSpeed only if it is needed.

    Raises HarnessError if there is no such engine, if the stage's batch cannot be split evenly over
    the ranks, if batch norm would see one image at a time, or if a compiler is missing.
    """
    check_engine(name)
    micro_batch_size(stage, ranks.world_size)
    check_pictures(module, stage, ranks.world_size)
    check_compiler(stage, ranks.device)
    if stage.optimizer.passes > 1 and stage.precision == "fp16":
        raise HarnessError(
            f"stage {stage.name!r}: fp16's loss scaler may skip one of the "
            f"{stage.optimizer.passes} gradients of an update; use --stage precision=bf16 or fp32"
        )
    freeze(module, stage)
    module = across_ranks(module, stage, ranks)
    if name != "deepspeed":
        return {"ddp": DdpEngine, "torch": TorchEngine}[name](module, stage, ranks)
    return DeepSpeedEngine(module, stage, ranks, deepspeed)


def usable_engine(spec: RunSpec) -> RunSpec:
    """Return the spec with plain torch as its engine if DeepSpeed cannot be imported.

    Prints a line in that case; the record names the engine that ran.
    """
    if spec.engine != "deepspeed":
        return spec
    reason = unavailable()
    if reason is None:
        return spec
    note(f"DeepSpeed cannot be imported ({reason}); training with plain torch")
    return replace(spec, engine="torch")
