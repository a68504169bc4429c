"""The sizes of networks, and the speed of a few training steps on synthetic images."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from harness.assembly.hooks import Hooks
from harness.assembly.identity import hardware
from harness.assembly.recipe import StageRecipe
from harness.errors import HarnessError, PluginError
from harness.machine.cores import cores
from harness.planning.throughput import QUANTILES, Kind, Measured, NetworkSize, Speed, kind_of
from harness.samples import Samples, WebClass
from harness.spec import RunSpec
from harness.testing.predict import PIXELS_AT_ONCE
from harness.training.batches import to_device
from harness.training.engines import make_engine, usable_engine
from harness.training.learner import Team
from harness.training.ranks import Ranks, join_ranks
from harness.values import Batch, apply

SECONDS = 3.0  # of one network's steps, without the warm-up steps
WARM_UP_STEPS, LEAST_STEPS = 2, 3


def network_size(spec: RunSpec, hooks: Hooks, stage: StageRecipe, classes: int) -> NetworkSize:
    """Return the size of a stage's network, built without drawing its weights if possible."""
    return _size(_undrawn(spec, hooks, stage, classes))


def _undrawn(spec: RunSpec, hooks: Hooks, stage: StageRecipe, classes: int) -> nn.Module:
    try:
        with torch.device("meta"):
            return _network(spec, hooks, stage, classes)
    except (RuntimeError, NotImplementedError, PluginError):  # it reads values while it is built
        return _network(spec, hooks, stage, classes)


def _network(spec: RunSpec, hooks: Hooks, stage: StageRecipe, classes: int) -> nn.Module:
    return apply(stage.model, hooks.build_model(spec, stage.stage, classes))


def _size(module: nn.Module) -> NetworkSize:
    features: Any = getattr(module, "head_hidden_size", 0) or getattr(module, "num_features", 0)
    return NetworkSize(
        sum(parameter.numel() for parameter in module.parameters()),
        sum(buffer.numel() for buffer in module.buffers()),
        int(features),
    )


@dataclass(frozen=True, kw_only=True)
class StepTimer:
    """Times a few steps of every kind of stage on this device.

    Network, engine, batch and loss tricks are those of the stage; its teachers are copies of its
    network. The images are noise in memory, so reading is not included. The batch is that of one of
    ``gpus`` devices, or smaller if the memory is too small.
    """

    tell: Callable[[str], None]
    seconds: float = SECONDS

    def __call__(
        self, spec: RunSpec, hooks: Hooks, stages: Sequence[StageRecipe], classes: int, gpus: int
    ) -> Mapping[str, Measured]:
        """Return what was measured, by the stage's name."""
        ranks, spec = join_ranks(), usable_engine(spec)
        by_key: dict[tuple[Kind, int], Measured] = {}
        found = {}
        for stage in stages:
            images = max(1, stage.stage.batch_size // (gpus * stage.stage.accumulation))
            key = (kind_of(stage), images)
            if key not in by_key:
                self.tell(f"timing {kind_of(stage)}")
                by_key[key] = self._measured(spec, hooks, stage, classes, images, ranks)
            found[stage.stage.name] = by_key[key]
        return found

    def _measured(
        self,
        spec: RunSpec,
        hooks: Hooks,
        stage: StageRecipe,
        classes: int,
        images: int,
        ranks: Ranks,
    ) -> Measured:
        if ranks.device.type == "cpu":  # larger batches are not faster there, and may not fit
            images = min(images, max(2, PIXELS_AT_ONCE // stage.stage.input_size**2))
        while images:
            try:
                speed, peak = _Steps(spec, hooks, stage, classes, images, ranks).timed(self.seconds)
                return Measured(speed, _device(ranks), images, peak)
            except torch.cuda.OutOfMemoryError:
                images //= 2
            torch.cuda.empty_cache()  # after the error has released its memory
        raise HarnessError(
            f"stage {stage.stage.name!r}: not one picture fits into this device's memory"
        )


class _Steps:
    """The training steps of one stage on one device, on one batch of noise."""

    def __init__(
        self,
        spec: RunSpec,
        hooks: Hooks,
        stage: StageRecipe,
        classes: int,
        images: int,
        ranks: Ranks,
    ) -> None:
        self._stage, self._ranks, self._images = stage, ranks, images
        small = replace(stage.stage, batch_size=images, accumulation=1, norm_group=None)
        engines = [
            make_engine(
                spec.engine,
                _network(spec, hooks, stage, classes),
                small,
                ranks,
                dict(spec.deepspeed),
            )
            for _ in range(small.networks)
        ]
        teachers = [
            _network(spec, hooks, stage, classes).to(ranks.device).eval()
            for _ in stage.stage.teachers
        ]
        self._team = Team(
            replace(stage, stage=small), engines, blank_samples(images, classes), ranks, teachers
        )
        self._team.set_lr(0.0)  # noise must not make the weights diverge
        size = stage.stage.input_size
        random = np.random.default_rng(0)

        def pictures(count: int) -> torch.Tensor:
            pixels = random.integers(256, size=(count, size, size, 3), dtype=np.uint8)
            return torch.from_numpy(pixels).permute(0, 3, 1, 2)

        def batch(count: int) -> Batch:
            labels = torch.from_numpy(random.integers(classes, size=count))
            return Batch(
                images=pictures(count),
                targets=torch.eye(classes)[labels],
                weights=torch.ones(count),
                index=torch.arange(count),
                seed=0,
            )

        self._batch = replace(
            batch(images),
            views=tuple(pictures(images) for _ in range(small.views - 1)),
            clean=batch(small.clean) if small.clean else None,
        )

    def timed(self, seconds: float) -> tuple[Speed, int | None]:
        """Return the speed of some steps, and their peak memory on the device."""
        cuda = self._ranks.device.type == "cuda"
        if cuda:
            torch.cuda.reset_peak_memory_stats(self._ranks.device)
        for _ in range(WARM_UP_STEPS):
            self._step()
        taken: list[float] = []
        while len(taken) < LEAST_STEPS or sum(taken) < seconds:
            begin = time.perf_counter()
            self._step()
            taken.append(time.perf_counter() - begin)
        speeds = self._images / np.array(taken)
        low, high = np.quantile(speeds, QUANTILES)
        mean = self._images * len(taken) / sum(taken)
        peak = int(torch.cuda.max_memory_allocated(self._ranks.device)) if cuda else None
        source = f"{len(taken)} steps of {self._images} pictures, timed here"
        return Speed(mean, min(float(low), mean), max(float(high), mean), source), peak

    def _step(self) -> None:
        for again in range(self._stage.stage.optimizer.passes):
            batch = to_device(self._batch, self._ranks.device)
            loss = self._team.learn(batch, [0], check=False, keep=not again)
        self._team.end_step(0.0)
        loss.item()  # waits for the device


def blank_samples(count: int, classes: int) -> Samples:
    """Return samples without files, for tricks that keep something for each."""
    return Samples(
        split="train",
        root=Path(),
        files=np.full(count, ""),
        label=np.zeros(count, np.int32),
        source=np.zeros(count, np.int8),
        query=np.full(count, -1, np.int32),
        rank=np.zeros(count, np.int32),
        weight=np.ones(count, np.float32),
        subset=np.zeros(count, np.int8),
        classes=tuple(WebClass(f"n{number:08d}", "") for number in range(classes)),
    )


def _device(ranks: Ranks) -> str:
    if ranks.device.type == "cuda":
        return torch.cuda.get_device_name(ranks.device)
    return f"{hardware()['processor']}, {cores()} cores"
