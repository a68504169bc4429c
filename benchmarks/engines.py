"""What the engines cost: the same steps by a bare loop, by timm's, and by each engine.

All take the same normalised pictures, drawn once, so that nothing is decoded. "bare loop" is
PyTorch by hand with the engines' optimiser, on several ranks within DistributedDataParallel; "timm"
is the step of timm's train.py, with the optimiser that timm makes. Ways alternate within a round;
ratios are medians over the rounds, because speed on a shared machine changes from minute to minute.
There, processor time varies less; with OMP_NUM_THREADS=1 it says what each way computes.

    python benchmarks/engines.py --json engines.json
    python benchmarks/engines.py --compile --networks resnet18:56:32 --ranks 1
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median, quantiles

from harness.machine.garbage import collect_seldom
from harness.machine.launch import keep_freed_memory, say_done, share_cores

share_cores()  # before torch is imported
keep_freed_memory()
collect_seldom()

import timm  # noqa: E402
import timm.optim  # noqa: E402
import torch  # noqa: E402
from tabulate import tabulate  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn.parallel import DistributedDataParallel  # noqa: E402

from harness.cli.devices import ONE_NODE  # noqa: E402
from harness.launch.agent import launch  # noqa: E402
from harness.spec import ENGINES  # noqa: E402
from harness.training.batch_norm import across_ranks  # noqa: E402
from harness.training.engine import DTYPES  # noqa: E402
from harness.training.engines import make_engine  # noqa: E402
from harness.training.layout import micro_batch_size  # noqa: E402
from harness.training.optimizer import build_optimizer  # noqa: E402
from harness.training.ranks import Ranks, join_ranks  # noqa: E402
from harness.values import Stage  # noqa: E402

CLASSES = 1000
BARE = "bare loop"


class ByHand:
    """A training loop without the harness."""

    def __init__(
        self, module, stage, ranks, *, ddp=False, compiled=False, optimizer=build_optimizer
    ):
        module = across_ranks(module, stage, ranks)
        self.module = module.to(ranks.device, memory_format=torch.channels_last).train()
        self.optimizer = optimizer(self.module, stage)
        self.scaler = torch.amp.GradScaler(ranks.device.type, enabled=stage.precision == "fp16")
        self.device, self.dtype = ranks.device, DTYPES[stage.precision]
        self.forward = torch.compile(self.module) if compiled else self.module
        if ddp:
            devices = [ranks.device] if ranks.device.type == "cuda" else None
            self.forward = DistributedDataParallel(self.forward, device_ids=devices)

    def step(self, images, labels):
        """Take one step; return its loss."""
        with self.autocast():
            loss = nn.functional.cross_entropy(self.forward(images).float(), labels)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return loss

    def autocast(self):
        """The stage's precision."""
        if self.dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)


def timms_optimizer(module, stage):
    """Return what timm's train.py makes of --opt sgd."""
    return timm.optim.create_optimizer_v2(
        module, opt="sgd", lr=stage.lr, momentum=0.9, weight_decay=stage.optimizer.weight_decay
    )


class Engines:
    """An engine of the harness, without its loop."""

    def __init__(self, name, module, stage, ranks):
        self.engine = make_engine(name, module, stage, ranks, {})
        self.engine.module.train()

    def step(self, images, labels):
        """Take one step; return its loss."""
        loss = nn.functional.cross_entropy(self.engine(images).float(), labels)
        self.engine.backward(loss)
        self.engine.step()
        return loss


def ways(network, stage, ranks, *, compiled):
    """Return what makes each way to train, by name."""
    several = ranks.world_size > 1
    found = {
        BARE: lambda: ByHand(network(), stage, ranks, ddp=several),
        "timm": lambda: ByHand(network(), stage, ranks, ddp=several, optimizer=timms_optimizer),
    }
    if not several:
        found["bare loop in DDP"] = lambda: ByHand(network(), stage, ranks, ddp=True)
    for name in ENGINES:
        found[name] = lambda name=name: Engines(name, network(), stage, ranks)
    if compiled:
        fast = replaced(stage)
        found["bare loop, compiled"] = lambda: ByHand(
            network(), stage, ranks, ddp=several, compiled=True
        )
        for name in ENGINES:
            found[f"{name}, compiled"] = lambda name=name: Engines(name, network(), fast, ranks)
    return found


def replaced(stage):
    """Return the stage with compile=True."""
    values = {**vars(stage), "compile": True}
    return Stage(**values)


def stage_of(text, precision, classes=CLASSES):
    """Return the stage of "NETWORK:PIXELS:BATCH", and what draws its network."""
    backbone, size, batch = text.split(":")
    stage = Stage(
        name="train", backbone=backbone, input_size=int(size), batch_size=int(batch),
        precision=precision, lr=0.01,
    )  # fmt: skip

    def network():
        torch.manual_seed(0)
        return timm.create_model(backbone, num_classes=classes)

    return stage, network


def batch_of(stage, ranks, classes=CLASSES):
    """Return drawn pictures, channels last, and labels of one rank's micro-batch."""
    torch.manual_seed(ranks.rank)
    size = micro_batch_size(stage, ranks.world_size)
    images = torch.randn(size, 3, stage.input_size, stage.input_size, device=ranks.device)
    images = images.contiguous(memory_format=torch.channels_last)
    return images, torch.randint(classes, (size,), device=ranks.device)


def wait(ranks):
    """Wait until the device is done."""
    if ranks.device.type == "cuda":
        torch.cuda.synchronize()


def seconds(way, batch, ranks, steps):
    """Return the mean seconds of some steps, and the last loss."""
    wait(ranks)
    begin = time.perf_counter()
    for _ in range(steps):
        loss = way.step(*batch)
    wait(ranks)
    return (time.perf_counter() - begin) / steps, loss.item()


def alternate(made, batch, ranks, *, rounds, steps):
    """Return each way's seconds of a step in each round, on the wall and of computing.

    The first round is not counted.
    """
    taken = {name: [] for name in made}
    for number in range(rounds + 1):
        for name in list(made)[:: 1 if number % 2 else -1]:
            begun = time.process_time()
            found, _ = seconds(made[name], batch, ranks, steps)
            computed = (time.process_time() - begun) / steps
            if number:
                taken[name].append((found, computed))
    return taken


def rows_of(taken, images):
    """Return one row of the table for each way; ``images`` is the whole batch."""
    rows = []
    for name, times in taken.items():
        pairs = list(zip(times, taken[BARE], strict=True))
        ratios, computed = ([own[kind] / bare[kind] for own, bare in pairs] for kind in (0, 1))
        low, _, high = quantiles(ratios, n=4) if len(ratios) > 1 else (ratios[0],) * 3
        wall = median(own[0] for own in times)
        rows.append(
            {
                "way": name,
                "ms a step": 1000 * wall,
                "images/s": images / wall,
                "time over bare loop": median(ratios),
                "quartiles": f"{low:.3f} - {high:.3f}",
                "processor time over bare loop": median(computed),
            }
        )
    return rows


def measure(asked, ranks):
    """Return the rows of every network and precision."""
    found = {}
    for text in asked.networks:
        for precision in asked.precision:
            stage, network = stage_of(text, precision)
            batch = batch_of(stage, ranks)
            makers = ways(network, stage, ranks, compiled=asked.compile)
            made = {name: make() for name, make in makers.items()}
            taken = alternate(made, batch, ranks, rounds=asked.rounds, steps=asked.steps)
            found[f"{text} {precision}"] = rows_of(taken, stage.batch_size)
    return found


def on_ranks(count, asked):
    """Measure with several processes, forks of this one; return what the first one found."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "found.json"
        if status := launch(partial(work, asked, path), count, ONE_NODE):
            sys.exit(status)
        return json.loads(path.read_text())


def work(asked, path):
    """Be one of the processes that measure together."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))  # as under torchrun
    ranks: Ranks = join_ranks()
    found = measure(asked, ranks)
    if ranks.first:
        path.write_text(json.dumps(found))
    say_done()


def parser():
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    made.add_argument(
        "--networks", nargs="*", default=["test_resnet:32:128", "resnet18:56:32"],
        metavar="NETWORK:PIXELS:BATCH",
    )  # fmt: skip
    made.add_argument("--precision", nargs="*", default=["fp32", "bf16"])
    made.add_argument("--ranks", nargs="*", type=int, default=[1, 2])
    made.add_argument("--rounds", type=int, default=15)
    made.add_argument("--steps", type=int, default=4, help="In a row, before the next way.")
    made.add_argument("--compile", action="store_true", help="Also compiled, which takes minutes.")
    made.add_argument("--json", type=Path)
    return made


def main():
    asked = parser().parse_args()
    found = {}
    for count in sorted(asked.ranks, reverse=True):  # no fork of a process that has trained can
        found[count] = measure(asked, join_ranks()) if count == 1 else on_ranks(count, asked)
        for name, rows in found[count].items():
            said = "1 rank" if count == 1 else f"{count} ranks"
            print(f"\n{name}, {said}, {os.cpu_count()} cores, medians of {asked.rounds} rounds")
            print(tabulate(rows, "keys", floatfmt=("", ".2f", ".0f", ".3f", "", ".3f")), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(vars(asked) | {"found": found}, indent=1, default=str))


if __name__ == "__main__":
    main()
