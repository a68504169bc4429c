"""The estimated memory of a training step against its measured peak.

Each network trains a few steps in a process of its own, whose heap is set as in a run. On a CPU
the peak is what the resident memory grew by, on a GPU what torch had allocated. The seconds are
those of the trial on four images before a run's first step, which gives the estimate.

    python benchmarks/step_memory.py --output step_memory.json
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import torch
from tabulate import tabulate

CASES = ("test_resnet:32:128", "test_resnet:224:64", "resnet18:224:8", "resnet50:224:8")
STEPS, CLASSES = 3, 1000


def measured(case, precision, engine_name):
    """Return estimate and measured peak of one case, in MiB."""
    from harness.machine.launch import keep_freed_memory

    keep_freed_memory()
    import timm

    from harness.assembly.recipe import StageRecipe
    from harness.planning.step_timer import blank_samples
    from harness.training.engines import make_engine
    from harness.training.memory import step_memory
    from harness.training.ranks import join_ranks
    from harness.training.rehearsal import rehearse
    from harness.values import Stage

    backbone, size, batch = case.split(":")
    ranks = join_ranks()
    stage = Stage(name="train", backbone=backbone, input_size=int(size), batch_size=int(batch),
                  precision=precision)  # fmt: skip
    recipe = StageRecipe(stage=stage, origins={}, depth=0, key="0")
    # A first step of another network: the libraries' own memory is not the step's.
    first = timm.create_model("test_resnet", num_classes=2)
    step(make_engine(engine_name, first, stage, ranks, {}), ranks.device, 2, 32, 2)
    before = resident(ranks.device)
    module = timm.create_model(backbone, num_classes=CLASSES)
    engine = make_engine(engine_name, module, stage, ranks, {})
    for _ in range(STEPS):
        step(engine, ranks.device, int(batch), int(size), CLASSES)
    peak = peak_of(ranks.device) - before
    module = timm.create_model(backbone, num_classes=CLASSES).to(ranks.device)
    began = time.perf_counter()
    kept = rehearse(recipe, module, "benchmark", blank_samples(2, CLASSES), seen=False)
    seconds = time.perf_counter() - began
    estimate = step_memory(module, ranks, engine=engine_name, activations=kept).bytes(stage, 1)
    return {"network": backbone, "input size": int(size), "batch": int(batch),
            "engine": engine_name, "precision": precision, "trial, s": seconds,
            "estimate, MiB": estimate / 2**20, "peak, MiB": peak / 2**20,
            "estimate / peak": estimate / peak}  # fmt: skip


def step(engine, device, batch, size, classes):
    images = torch.randn(batch, 3, size, size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(batch, device=device) % classes
    engine.module.train()
    loss = torch.nn.functional.cross_entropy(engine(images).float(), labels)
    del images
    engine.backward(loss)
    engine.step()


def resident(device):
    """Return what is held now, after forgetting earlier peaks, in bytes."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    Path("/proc/self/clear_refs").write_text("5")
    return status("VmRSS")


def peak_of(device):
    return torch.cuda.max_memory_allocated() if device.type == "cuda" else status("VmHWM")


def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="*", default=CASES, metavar="NETWORK:PIXELS:BATCH")
    parser.add_argument("--precision", nargs="*", default=["fp32"])
    parser.add_argument("--engine", choices=("torch", "deepspeed"), default="torch")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measured(asked.one, asked.precision[0], asked.engine)))
        return
    rows = []
    for precision in asked.precision:
        for case in asked.cases:
            command = [sys.executable, __file__, "--one", case, "--precision", precision,
                       "--engine", asked.engine]  # fmt: skip
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
    print(tabulate(rows, "keys", floatfmt=".2f"))
    if asked.output:
        asked.output.write_text(json.dumps({"rows": rows}, indent=1))


if __name__ == "__main__":
    main()
