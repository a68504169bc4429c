"""Cost of the training loop per step, and of DeepSpeed.

One round takes the same steps with bare PyTorch; with a bare loop over each engine; and with the
harness's loop, console and TensorBoard included, over each engine. All get the same decoded images,
uint8, and normalise them to floats at each step. The last pair decodes in the loop, both with the
harness's loader.

Ratios are medians over the rounds, each of one round's median steps. On a busy machine those of
processor time ("cpu") vary less, but they include the loader's threads, which otherwise run beside
the training.

Goal: at most 1.01 for the loop. DeepSpeed's cost is printed beside it and has no goal.

    python benchmarks/training_loop.py --json training_loop.json
    python benchmarks/training_loop.py --parts --precision fp32
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from unittest.mock import patch

from harness.machine.launch import keep_freed_memory, share_cores

share_cores()
keep_freed_memory()

import numpy as np  # noqa: E402 - after share_cores, as in a run
import timm  # noqa: E402
import torch  # noqa: E402
from tabulate import tabulate  # noqa: E402
from torch import nn  # noqa: E402

from harness.assembly.recipe import StageRecipe  # noqa: E402
from harness.data.pictures.loader import Crops, Loaded, Pictures, prefetch  # noqa: E402
from harness.data.synthweb import generate  # noqa: E402
from harness.data.webvision import read_split  # noqa: E402
from harness.observers.console import Console  # noqa: E402
from harness.observers.tensorboard import TensorBoard  # noqa: E402
from harness.samplers import Uniform  # noqa: E402
from harness.samples import COLUMNS  # noqa: E402
from harness.spec import DataSpec, RunSpec  # noqa: E402
from harness.training import learner, loop  # noqa: E402
from harness.training.batches import normalize  # noqa: E402
from harness.training.engine import DTYPES  # noqa: E402
from harness.training.engines import make_engine  # noqa: E402
from harness.training.job import Job  # noqa: E402
from harness.training.optimizer import build_optimizer  # noqa: E402
from harness.training.ranks import join_ranks  # noqa: E402
from harness.values import Stage  # noqa: E402

THREADS = min(8, len(os.sched_getaffinity(0)))
SEED = 0
PAIRS = (
    ("harness loop / bare loop, torch engine", "torch, harness loop", "torch, bare loop", 1.01),
    ("harness loop / bare loop, DeepSpeed", "deepspeed, harness loop", "deepspeed, bare loop",
     1.01),
    ("the same, decoding as it goes", "deepspeed, harness loop, decoding",
     "deepspeed, bare loop, decoding", 1.01),
    ("torch engine / bare PyTorch", "torch, bare loop", "bare PyTorch", None),
    ("DeepSpeed / bare PyTorch", "deepspeed, bare loop", "bare PyTorch", None),
    ("harness loop with DeepSpeed / bare PyTorch", "deepspeed, harness loop", "bare PyTorch", None),
    ("decoding as it goes / decoded before", "deepspeed, harness loop, decoding",
     "deepspeed, harness loop", None),
)  # fmt: skip


class Prepared(Pictures):
    """Pictures that were decoded before the clock starts."""

    kept: dict[int, Loaded] = {}  # noqa: RUF012 - by step, for all instances

    def training_batch(self, batch, part, crops, seed):
        """Return what was decoded for the step, decoding it the first time."""
        step = seed[1]
        if step not in self.kept:
            self.kept[step] = super().training_batch(batch, part, crops, seed)
        return self.kept[step]


class Clock:
    """The run's real observers, and when each step ended."""

    def __init__(self, home):
        self.observers = [Console(), TensorBoard()]
        spec = RunSpec(plugin="baseline", data=DataSpec.parse("synthweb:small"), home=home)
        self.observers[1].on_run_start(spec)
        self.ends = []

    def on_stage_start(self, stage, steps, first_step):
        """Pass it on."""
        self.observers[0].on_stage_start(stage, steps, first_step)
        self.observers[1].on_stage_start(stage, first_step)

    def on_batch(self, stage, step, batch, network):
        """Pass it on."""
        self.observers[1].on_batch(stage, step, batch, network)

    def on_step_end(self, stage, step, scalars):
        """Pass it on, and note when that was done."""
        self.observers[0].on_step_end(stage, scalars)
        self.observers[1].on_step_end(step, scalars)
        self.ends.append(now())


def no_scores(module):
    """Score nothing: the evaluation is not what is measured."""
    del module
    return {}


def now():
    """Return the time on the wall, and what all threads of this process have computed."""
    return time.perf_counter(), time.process_time()


def medians(ends):
    """Return the median step's seconds on the wall and of computing."""
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(ends)]
    return {"wall": median(wall for wall, _ in steps), "cpu": median(cpu for _, cpu in steps)}


class Bench:
    """The same network, stage and batches under every way to train."""

    def __init__(self, samples, stage, home):
        self.samples, self.stage, self.home = samples, stage, home
        self.ranks = join_ranks()
        self.device = self.ranks.device
        self.engines = {
            name: make_engine(name, self.network(), stage, self.ranks, {})
            for name in ("torch", "deepspeed")
        }
        self.job = Job(
            recipe=StageRecipe(
                stage=stage, origins={}, noise=(), model=(), batch=(), loss=(), depth=0, key="0"
            ),
            samples=samples, seed=SEED, threads=THREADS, folder=home / "stage",
            evaluate=no_scores, report=print, checkpoint_seconds=float("inf"),
        )  # fmt: skip
        prepared = Prepared(samples, print)
        self.batches = [self.tensors(call()) for call in self.calls(prepared)]
        self.bare = self.network().to(self.device, memory_format=torch.channels_last)
        self.optimizer = build_optimizer(self.bare, stage)

    def network(self):
        """Draw the network, always the same."""
        torch.manual_seed(SEED)
        return timm.create_model(self.stage.backbone, num_classes=self.samples.num_classes)

    def calls(self, pictures):
        """Yield what loads the pictures of each step."""
        draw = Uniform().prepare(self.samples, self.stage.batch_size, SEED)
        crops = Crops(self.stage.input_size, self.stage.min_crop_area)
        for step in range(self.job.steps):
            yield lambda step=step: pictures.training_batch(
                draw(step), slice(None), crops, (SEED, step)
            )

    def tensors(self, loaded):
        """Return pictures and labels of a bare loop."""
        labels = torch.from_numpy(self.samples.label[loaded.rows].astype(np.int64))
        return loaded.pixels, labels.to(self.device)

    def pytorch(self):
        """Train without an engine."""
        dtype, ends = DTYPES[self.stage.precision], []
        self.bare.train()
        for pixels, labels in self.batches:
            context = (
                torch.autocast(self.device.type, dtype=dtype) if dtype else contextlib.nullcontext()
            )
            images = normalize(pixels, self.device)
            with context:
                logits = self.bare(images)
            nn.functional.cross_entropy(logits.float(), labels).backward()
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            self.wait(ends)
        return ends

    def bare_loop(self, name, batches):
        """Train with an engine, and nothing else."""
        engine, ends = self.engines[name], []
        engine.module.train()
        for pixels, labels in batches:
            logits = engine(normalize(pixels, self.device)).float()
            engine.backward(nn.functional.cross_entropy(logits, labels))
            engine.step()
            self.wait(ends)
        return ends

    def wait(self, ends):
        """Note the end of a step, once the device is done with it."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        ends.append(now())

    def decoding(self):
        """Return the batches of a bare loop, decoded as it goes."""
        made = prefetch(self.calls(Pictures(self.samples, print)), THREADS)
        return (self.tensors(loaded) for loaded in made)

    def harness_loop(self, name, pictures):
        """Train by the harness's loop."""
        clock = Clock(self.home)
        loop.Pictures = pictures
        with Path(os.devnull).open("w") as nothing, contextlib.redirect_stderr(nothing):
            loop.train(self.job, [self.engines[name]], self.ranks, clock)
        return clock.ends

    def one_round(self, *, forwards):
        """Return the median seconds of a step, by way."""
        ways = {"bare PyTorch": self.pytorch}
        for name in self.engines:
            ways[f"{name}, bare loop"] = lambda name=name: self.bare_loop(name, self.batches)
            ways[f"{name}, harness loop"] = lambda name=name: self.harness_loop(name, Prepared)
        ways["deepspeed, bare loop, decoding"] = lambda: self.bare_loop(
            "deepspeed", self.decoding()
        )
        ways["deepspeed, harness loop, decoding"] = lambda: self.harness_loop("deepspeed", Pictures)
        order = list(ways)[:: 1 if forwards else -1]
        return {name: medians(ways[name]()) for name in order}


def small_stage(folder, *, precision, steps=18, batch_size=128, backbone="test_resnet", size=32):
    """Return a stage of so many steps on synthweb small, and its samples."""
    samples = read_split(generate(folder / "small", "small", 0), "train")
    rows = slice(steps * batch_size)
    samples = samples.assign(**{name: getattr(samples, name)[rows] for name in COLUMNS})
    stage = Stage(
        name="train", backbone=backbone, input_size=size, epochs=1, batch_size=batch_size,
        min_crop_area=0.25, precision=precision, lr=0.01,
    )  # fmt: skip
    return stage, samples


def timed(owner, name, kept):
    """Note the milliseconds of each call of ``owner.name``."""
    function = getattr(owner, name)

    def call(*given, **named):
        start = time.perf_counter()
        answer = function(*given, **named)
        kept.append(1000 * (time.perf_counter() - start))
        return answer

    return patch.object(owner, name, call)


def parts_of(bench, rounds):
    """Return the milliseconds of the parts of a step, as the loop calls them; parts of parts too.

    The clock itself adds about a microsecond to each.
    """
    engine = type(bench.engines["torch"])
    owners = {
        "forward": (engine, "__call__"), "forward and its guard": (learner.Team, "_answer"),
        "loss": (learner, "weighted_mean"), "backward": (engine, "backward"),
        "optimiser": (engine, "step"),
        "backward and optimiser with guards": (learner.Team, "_update"),
        "all of a micro-batch": (learner.Team, "learn"),
        "images and columns": (loop, "to_device"), "seed of dropout": (loop, "seed_draws"),
        "seeds of tricks": (loop.Layout, "seeds"), "schedule": (loop.Job, "lr"),
        "place in the stage": (loop.Job, "dates"), "batch tricks": (learner.Team, "_tricked"),
        "state, found": (learner.StageState, "collect"),
        "state, ended": (learner.StageState, "commit"),
        "several outputs": (learner, "others_of"),
        "end of the step: state, averages, watch": (learner.Team, "end_step"),
        "pictures for observers": (loop, "_show"), "reading the loss": (loop.Meter, "read"),
        "console and TensorBoard": (Clock, "on_step_end"), "checkpoints": (loop.Keeper, "keep"),
    }  # fmt: skip
    found = {name: [] for name in owners}
    for _ in range(rounds):
        kept = {name: [] for name in owners}
        with contextlib.ExitStack() as patches:
            for name, (owner, attribute) in owners.items():
                patches.enter_context(timed(owner, attribute, kept[name]))
            bench.harness_loop("torch", Prepared)
        for name, calls in kept.items():
            found[name].append(median(calls[1:]))
    return [{"part": name, "ms": median(times)} for name, times in found.items()]


def spread(ratios):
    """Return the median, and the quartiles, between which half of the rounds lie."""
    low, middle, high = quantiles(ratios, n=4)
    return {"median": middle, "quartiles": f"{low:.3f} - {high:.3f}"}


def measure(samples, stage, rounds):
    with tempfile.TemporaryDirectory() as home:
        bench = Bench(samples, stage, Path(home))
        bench.one_round(forwards=True)
        found = [bench.one_round(forwards=number % 2 == 0) for number in range(rounds)]
    steps = [
        {"way": name, **{f"{kind}, ms a step": 1000 * median(one[name][kind] for one in found)
                         for kind in ("wall", "cpu")}}
        for name in found[0]
    ]  # fmt: skip
    ratios = []
    for what, a, b, goal in PAIRS:
        wall, cpu = ([one[a][kind] / one[b][kind] for one in found] for kind in ("wall", "cpu"))
        ratios.append({"ratio of": what, **spread(wall), "cpu": median(cpu), "goal": goal})
    return {"steps": steps, "ratios": ratios}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--steps", type=int, default=18, help="In a row, before the next way.")
    parser.add_argument("--backbone", default="test_resnet")
    parser.add_argument("--input-size", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--precision", nargs="*", default=["fp32", "bf16"])
    parser.add_argument("--parts", action="store_true", help="Time the parts of a step instead.")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for precision in asked.precision:
            stage, samples = small_stage(
                Path(folder) / precision, precision=precision, steps=asked.steps,
                batch_size=asked.batch_size, backbone=asked.backbone, size=asked.input_size,
            )  # fmt: skip
            if asked.parts:
                found[precision] = parts_of(Bench(samples, stage, Path(folder)), asked.rounds)
                print(f"\n{precision}: {asked.backbone}, parts of a step, plain torch")
                print(tabulate(found[precision], "keys", floatfmt=".3f"))
                continue
            found[precision] = measure(samples, stage, asked.rounds)
            print(f"\n{precision}: {asked.backbone}, {asked.input_size} px, batch "
                  f"{asked.batch_size}, {torch.get_num_threads()} threads, medians of "
                  f"{asked.rounds} rounds")  # fmt: skip
            print(tabulate(found[precision]["steps"], "keys", floatfmt=".2f"))
            print(tabulate(found[precision]["ratios"], "keys", floatfmt=".3f", missingval="-"))
    if asked.json:
        asked.json.write_text(json.dumps(vars(asked) | {"found": found}, indent=1, default=str))


if __name__ == "__main__":
    main()
