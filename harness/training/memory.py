"""Whether a step can fit at all, told before the first one."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from harness.errors import HarnessError
from harness.training.layout import micro_batch_size
from harness.training.ranks import Ranks
from harness.values import Stage

FLOAT, CHANNELS = 4, 3
CROP_DRAWS = 10 * 4 * 8  # bytes of random numbers for each sample of the global batch


def check_memory(module: nn.Module, stage: Stage, ranks: Ranks) -> None:
    """Raise HarnessError if even the least that a step needs is more than what is free.

    The least: weights, gradients and momentum, the pictures of a batch as bytes and of a
    micro-batch as floats, and the draws for their crops. Activations, which need more, are not
    counted, so that no run is refused that would fit. The same if the batch cannot be split.
    """
    micro = micro_batch_size(stage, ranks.world_size)
    free = _free_bytes(ranks.device)
    if free is None:
        return
    pixels = CHANNELS * stage.input_size**2
    weights = 3 * FLOAT * sum(p.numel() for p in module.parameters() if p.requires_grad)
    per_sample = FLOAT * pixels
    least = weights + micro * per_sample
    if ranks.device.type == "cpu":
        least += stage.batch_size * CROP_DRAWS + micro * stage.accumulation * pixels
    if least <= free:
        return
    fitting = max(0, int((free - weights) / per_sample)) * ranks.world_size
    advice = (
        f"try --stage batch_size={1 << (fitting.bit_length() - 1)} or less"
        if fitting > 1
        else "choose a smaller network or input_size"
    )
    raise HarnessError(
        f"stage {stage.name!r}: a step with batch_size={stage.batch_size} and "
        f"input_size={stage.input_size} needs more than {least / 2**30:.1f} GiB on "
        f"{ranks.device.type}, and {free / 2**30:.1f} GiB are free; {advice}"
    )


def _free_bytes(device: torch.device) -> int | None:
    """Return what is free on a device; on a CPU what this process's control group leaves of it."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        (line,) = (line for line in lines if line.startswith("MemAvailable:"))
        free = int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        return None
    try:  # what is held for files can be given back, so that the limit alone counts
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        return min(free, int(limit))
    except (OSError, ValueError):
        return free
