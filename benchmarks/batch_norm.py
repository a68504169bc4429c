"""Cost of batch norm that does not depend on the ranks: in groups, or synchronised over ranks.

Each round trains a few steps with every kind of batch norm in turn, on drawn images, with the
plain torch engine. On one rank the stage's batch norm is torch's; ``norm_group`` replaces it by
groups. On several ranks it is synchronised, and the reference is one that is not: each rank's own
statistics, which a run never uses. Ratios are medians over the rounds, each of one round's median
steps. On a busy machine those of processor time ("cpu") vary less, but leave out waiting.

The loop also seeds torch's generator before each micro-batch. The last columns are the
microseconds of that, of the same with torch.manual_seed, and the first as a share of a step.

    python benchmarks/batch_norm.py --json batch_norm.json
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

from harness.machine.launch import keep_freed_memory, share_cores

share_cores()
keep_freed_memory()

import timm  # noqa: E402 - after share_cores, as in a run
import torch  # noqa: E402
from tabulate import tabulate  # noqa: E402

from harness.training.batches import seed_draws  # noqa: E402
from harness.training.engine import TorchEngine  # noqa: E402
from harness.training.engines import make_engine  # noqa: E402
from harness.training.ranks import join_ranks  # noqa: E402
from harness.values import Stage  # noqa: E402

CASES = ("test_resnet:32:128", "resnet18:64:32")
GROUPS = (32, 16, 8)
CLASSES, SEEDINGS = 100, 2_000


def measured(case, ranks, rounds, steps):
    """Return the rows of one network: milliseconds for each step, and ratios to torch's own."""
    backbone, size, batch = case.split(":")
    size, batch = int(size), int(batch)
    stage = Stage(name="train", backbone=backbone, input_size=size, batch_size=batch)
    micro = batch // ranks.world_size
    drawn = torch.randn(micro, 3, size, size).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(micro) % CLASSES
    engines = {"torch's, each rank alone": TorchEngine(network(backbone), stage, ranks)}
    if ranks.world_size > 1:
        engines["synchronised"] = make_engine("torch", network(backbone), stage, ranks, {})
    for group in GROUPS:
        if micro % group == 0:
            grouped = replace(stage, norm_group=group)
            engines[f"norm_group={group}"] = make_engine(
                "torch", network(backbone), grouped, ranks, {}
            )
    times = {kind: [] for kind in engines}
    cpu = {kind: [] for kind in engines}
    for number in range(rounds + 1):
        for kind, engine in engines.items():
            taken = [seconds(engine, drawn, labels) for _ in range(steps)]
            if number:  # the first round warms up
                times[kind].append(median(wall for wall, _ in taken))
                cpu[kind].append(median(processor for _, processor in taken))
    seeding = seconds_of(partial(seed_draws, device=ranks.device))
    everywhere = seconds_of(torch.manual_seed)
    plain = next(iter(times.values()))
    return [
        {
            "network": backbone,
            "input size": size,
            "batch": batch,
            "ranks": ranks.world_size,
            "batch norm": kind,
            "step, ms": 1e3 * median(took),
            "ratio": ratio(took, plain),
            "ratio, cpu": ratio(cpu[kind], next(iter(cpu.values()))),
            "seeding, us": 1e6 * seeding,
            "torch.manual_seed, us": 1e6 * everywhere,
            "seeding / step": seeding / median(plain),
        }
        for kind, took in times.items()
    ]


def ratio(mine, others):
    return median(one / other for one, other in zip(mine, others, strict=True))


def network(backbone):
    torch.manual_seed(0)
    return timm.create_model(backbone, num_classes=CLASSES).train()


def seconds(engine, images, labels):
    """Return the seconds of one step, and those of this process."""
    wall, processor = time.perf_counter(), time.process_time()
    engine.backward(torch.nn.functional.cross_entropy(engine(images), labels))
    engine.step()
    return time.perf_counter() - wall, time.process_time() - processor


def seconds_of(seeding):
    """Return what one call takes."""
    began = time.perf_counter()
    for seed in range(SEEDINGS):
        seeding(seed)
    return (time.perf_counter() - began) / SEEDINGS


def worker(rank, world_size, asked, folder):
    torch.set_num_threads(asked.threads)
    if world_size > 1:
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world_size),
                       "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(asked.port)}  # fmt: skip
    ranks = join_ranks()
    rows = [row for case in asked.cases for row in measured(case, ranks, asked.rounds, asked.steps)]
    if ranks.first:
        Path(folder, f"{world_size}.json").write_text(json.dumps(rows))
    if world_size > 1:
        torch.distributed.destroy_process_group()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="*", default=CASES, metavar="NETWORK:PIXELS:BATCH")
    parser.add_argument("--ranks", nargs="*", type=int, default=[1, 2], metavar="N")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=5, help="in each round")
    parser.add_argument("--threads", type=int, default=1, help="of torch, in each rank")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    rows = []
    for ranks in asked.ranks:
        with socket.socket() as free, tempfile.TemporaryDirectory() as folder:
            free.bind(("127.0.0.1", 0))
            asked.port = free.getsockname()[1]
            free.close()
            torch.multiprocessing.spawn(worker, (ranks, asked, folder), ranks)
            rows += json.loads(Path(folder, f"{ranks}.json").read_text())
    print(
        tabulate(
            rows, "keys", floatfmt=("", "", "", "", "", ".1f", ".2f", ".2f", ".1f", ".1f", ".5f")
        )
    )
    if asked.json:
        asked.json.write_text(json.dumps({"threads": asked.threads, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
