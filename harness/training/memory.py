"""An estimate of the memory of a training step, compared with what is free before the first one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from platform import node
from typing import cast

import torch
from torch import Tensor, nn

from harness.errors import HarnessError
from harness.machine.control_groups import free_memory
from harness.optimizers import Optimizer, Sam, Sgd
from harness.training.layout import micro_batch_size
from harness.training.ranks import Ranks, counted
from harness.values import Stage

CLEARLY = 1.15  # a step is refused if its estimate is more than this many times what is free
# What a CPU's heap holds for each byte of a step's tensors, as freed blocks leave gaps that later
# tensors do not fit: 1.2 to 1.6 (benchmarks/step_memory.py). With every block returned to the
# system at once it was 1.00 to 1.05. Not measured on a GPU, where torch's cache returns its own.
HEAP = 1.4
FLOAT, CHANNELS = 4, 3
CROP_DRAWS = 10 * 4 * 8  # bytes of random numbers for each sample of the global batch


@dataclass(frozen=True, kw_only=True)
class StepMemory:
    """What a step of one rank needs, in bytes.

    ``weights`` and ``trained`` are the bytes of all parameters and buffers and of the trained
    parameters, ``teachers`` those of the stage's teachers, ``state`` those of what its tricks keep
    for one network; ``activations`` is what backward keeps for each sample. ``ahead`` is the
    number of batches, as bytes of pixels, that the loader holds in the same memory: 0 on a GPU.
    """

    weights: int
    trained: int
    activations: int = 0
    teachers: int = 0
    state: int = 0
    buckets: int = 0
    heap: float = 1.0
    ahead: int = 0

    def bytes(self, stage: Stage, ranks: int) -> int:
        """Return the estimated peak of a step: on a CPU 0.82 to 1.13 of what was measured.

        What a GPU's kernels take as workspace is not in it.
        """
        micro = micro_batch_size(stage, ranks)
        pixels = CHANNELS * stage.input_size**2
        per_sample = self.activations if stage.precision == "fp32" else self.activations // 2
        forward = micro * max(per_sample, FLOAT * pixels)
        # Backward begins with the last layers, which have the most weights and the smallest maps:
        # nearly all gradients exist before most of the activations are given back.
        step = forward + self.trained + kept_by(stage.optimizer) * self.trained + self.buckets
        if stage.precision != "fp32":
            step += self.weights // 2  # autocast keeps its copies until backward
        copies = self.weights if stage.average else 0
        network = self.weights + copies + step
        loader = micro * stage.accumulation * stage.views * pixels * self.ahead
        draws = stage.batch_size * stage.views * CROP_DRAWS if self.ahead else 0
        kept = stage.networks * self.state
        return int(self.heap * (self.teachers + stage.networks * network)) + kept + loader + draws


def kept_by(optimizer: Optimizer) -> int:
    """Return how many values an optimiser keeps for each parameter.

    Sgd one with momentum; Sam also a copy of the weights; others, of which most are like Adam, two.
    """
    if isinstance(optimizer, Sam):
        return 1 + kept_by(optimizer.base)
    if isinstance(optimizer, Sgd):
        return 1 if optimizer.momentum else 0
    return 2


def step_memory(
    module: nn.Module,
    ranks: Ranks,
    *,
    engine: str = "torch",
    activations: int = 0,
    teachers: int = 0,
    ahead: int = 0,
) -> StepMemory:
    """Return what a step with this network needs; ``ahead`` counts only if training on a CPU.

    DeepSpeed copies gradients into buckets if there are several ranks. **Source:** its
    ``allreduce_bucket``.
    """
    on_cpu = ranks.device.type == "cpu"
    trained = sum(_bytes(p) for p in module.parameters() if p.requires_grad)
    return StepMemory(
        weights=weight_bytes(module),
        trained=trained,
        activations=activations,
        teachers=teachers,
        buckets=trained if engine == "deepspeed" and ranks.world_size > 1 else 0,
        heap=HEAP if on_cpu else 1.0,
        ahead=ahead if on_cpu else 0,
    )


def weight_bytes(module: nn.Module) -> int:
    """Return the bytes of a network's parameters and buffers."""
    return sum(map(_bytes, [*module.parameters(), *module.buffers()]))


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


@contextmanager
def saved_for_backward(module: nn.Module) -> Iterator[dict[int, int]]:
    """Yield a table that fills with the bytes of each storage that backward will need.

    What the network itself holds is left out, and tensors that share a storage count once.
    """
    own = {t.untyped_storage().data_ptr() for t in [*module.parameters(), *module.buffers()]}
    sizes: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()  # the tensor itself could refer to the node that holds it

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield sizes


def check_memory(memory: StepMemory, stage: Stage, ranks: Ranks, free: int | None) -> None:
    """Raise HarnessError, with a smaller batch that fits, if a step clearly does not fit.

    ``free`` is in bytes; None, if it is not known, lets everything pass. The same if the batch
    cannot be split over the ranks.
    """
    needed = memory.bytes(stage, ranks.world_size)
    if free is None or needed <= CLEARLY * free:
        return
    share = f" for each of {counted(ranks.world_size)}" if ranks.world_size > 1 else ""
    raise HarnessError(
        f"stage {stage.name!r}: a step with batch_size={stage.batch_size} and "
        f"input_size={stage.input_size} needs about {needed / 2**30:.1f} GiB on "
        f"{ranks.device.type}, and {free / 2**30:.1f} GiB are free{share}; "
        f"{_advice(memory, stage, ranks.world_size, free)}"
    )


def _advice(memory: StepMemory, stage: Stage, ranks: int, free: int) -> str:
    micro, group = micro_batch_size(stage, ranks), stage.norm_group or 1
    halves = (group * (micro // group >> k) for k in range(1, micro.bit_length()))
    advice = ""
    for size in (half for half in halves if half > 1):  # batch norm cannot train on one sample
        smaller = replace(stage, batch_size=size * ranks * stage.accumulation)
        if not advice and memory.bytes(smaller, ranks) <= free:
            advice = f"try --stage batch_size={smaller.batch_size}"
        split = replace(stage, accumulation=stage.accumulation * micro // size)
        if micro % size == 0 and memory.bytes(split, ranks) <= free:
            kept = "" if stage.norm_group else f" but gives batch norm {size * ranks} pictures"
            return (
                f"{advice} or --stage accumulation={split.accumulation}, which keeps the batch "
                f"of {stage.batch_size}{kept}"
            )
    return advice or "choose a smaller network or input_size"


def batches_ahead(threads: int, steps: int) -> int:
    """Return how many batches the loader and the step hold at once."""
    return min(2 * threads + 1, steps)


def free_bytes(ranks: Ranks) -> int | None:
    """Return what each rank may take, the same in every rank; all ranks must ask.

    CPU ranks on one machine share what is free there. None if any rank cannot tell.
    """
    free = _free_bytes(ranks.device)
    place = node() if ranks.device.type == "cpu" else f"rank {ranks.rank}"
    found = cast("list[tuple[str, int | None]]", ranks.gather((place, free)))
    sharing = Counter(place for place, _ in found)
    shares = [free // sharing[place] for place, free in found if free is not None]
    return min(shares) if len(shares) == len(found) else None


def _free_bytes(device: torch.device) -> int | None:
    """Return the free bytes of a device; on a CPU at most what control groups leave."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        sizes = {name: int(size.split()[0]) for name, size in (x.split(":") for x in lines)}
        free = 1024 * (sizes["MemAvailable"] + sizes.get("SwapFree", 0))
    except (OSError, ValueError, IndexError, KeyError):
        return None
    limited = free_memory()
    return free if limited is None else min(free, limited)
