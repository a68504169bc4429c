"""Images a second of the harness's training against timm's own train.py: loop, loader, everything.

Both train the same network on the same JPEGs of 500 x 375 pixels, drawn here, in fp32 on the
processor, with random crops of 224 pixels and flips. train.py is run as it is in timm's repository
(it is not in the package), with two workers and channels_last, which is the faster for it. Each way
has a separate process; they alternate over the rounds. Timed is the middle of an epoch: neither
the first steps, when the loader is ahead, nor the last ones, when it has nothing to do.

"compute-bound" is ResNet-18; "data-bound" is test_resnet, which needs less time than its pictures.
Processor seconds are those of all threads and worker processes in the same steps: on a processor
with all its cores busy they decide the speed, and a busy machine changes them less.

    python benchmarks/against_timm.py --train-script train.py --json against_timm.json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

import numpy as np
import psutil
from PIL import Image
from tabulate import tabulate

WIDTH, HEIGHT, SLOPE, CLASSES, DRAWN = 500, 375, 1.4, 4, 96
SIZE, WORKERS, MIN_AREA = 224, 2, 0.08
LEFT_OUT = 7  # steps at each end
BOUNDS = {"compute-bound": ("resnet18", 8, 26, 1.05), "data-bound": ("test_resnet", 16, 36, 2.0)}
TIMM, ENGINES = "timm train.py", ("deepspeed", "torch")


def draw_pictures(folder, count):
    """Write ``count`` JPEGs like photographs in their spectrum, 44 KB each; few are different."""
    random = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(HEIGHT)[:, None], np.fft.fftfreq(WIDTH)[None, :])
    for number in range(count):
        path = folder / f"class{number % CLASSES}" / f"{number:05d}.jpg"
        path.parent.mkdir(exist_ok=True, parents=True)
        if number >= DRAWN:
            path.hardlink_to(folder / f"class{number % DRAWN % CLASSES}/{number % DRAWN:05d}.jpg")
            continue
        spectrum = np.fft.fft2(random.standard_normal((HEIGHT, WIDTH, 3)), axes=(0, 1))
        scaled = spectrum / np.maximum(frequency, 1 / WIDTH)[:, :, None] ** SLOPE
        pink = np.fft.ifft2(scaled, axes=(0, 1)).real
        pixels = (128 + 50 * pink / pink.std()).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(path, quality=85)


def train_with_harness(folder, backbone, batch_size, engine):
    """Train one epoch; print when each step ended. In a process of its own."""
    from harness.machine.garbage import collect_seldom
    from harness.machine.launch import keep_freed_memory, share_cores

    share_cores()  # before torch is imported, as in a run
    keep_freed_memory()
    collect_seldom()
    import timm
    import torch

    from harness.assembly.recipe import StageRecipe
    from harness.samples import Samples, WebClass
    from harness.training import loop
    from harness.training.engines import make_engine
    from harness.training.job import Job
    from harness.training.ranks import join_ranks
    from harness.values import Stage

    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg"))
    labels = np.array([int(name[len("class")]) for name in files], np.int32)
    samples = Samples(
        split="train", root=folder, files=np.array(files), label=labels,
        source=labels.astype(np.int8) * 0, query=labels, rank=labels,
        weight=np.ones(len(files), np.float32), subset=labels.astype(np.int8) * 0,
        classes=tuple(WebClass(f"n{number}", str(number)) for number in range(CLASSES)),
    )  # fmt: skip
    stage = Stage(
        name="train", backbone=backbone, input_size=SIZE, epochs=1, batch_size=batch_size,
        min_crop_area=MIN_AREA, precision="fp32", lr=0.01,
    )  # fmt: skip
    ends = []

    class Clock:
        def on_stage_start(self, stage, steps, first_step):
            del stage, steps, first_step

        def on_batch(self, stage, step, batch, network):
            del stage, step, batch, network

        def on_step_end(self, stage, step, scalars):
            del stage, step, scalars
            ends.append((time.perf_counter(), time.process_time()))

    torch.manual_seed(0)
    ranks = join_ranks()
    network = timm.create_model(backbone, num_classes=CLASSES)
    recipe = StageRecipe(
        stage=stage, origins={}, noise=(), model=(), batch=(), loss=(), depth=0, key="0"
    )
    with tempfile.TemporaryDirectory() as kept:
        job = Job(
            recipe=recipe, samples=samples, seed=0, threads=WORKERS, folder=Path(kept),
            evaluate=lambda _: {}, report=print, checkpoint_seconds=float("inf"),
        )  # fmt: skip
        loop.train(job, [make_engine(engine, network, stage, ranks, {})], ranks, Clock())
    print(json.dumps(ends))


def harness_ends(folder, backbone, batch_size, engine):
    command = [
        sys.executable,
        __file__,
        "--measure",
        str(folder),
        backbone,
        str(batch_size),
        engine,
    ]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(answer.stdout.splitlines()[-1])


def computed(pid):
    """Return the processor seconds of a process and of its workers until now."""
    parent = psutil.Process(pid)
    times = [one.cpu_times() for one in (parent, *parent.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def timm_ends(script, folder, backbone, batch_size):
    """Run timm's script for an epoch; note when it told each step."""
    with tempfile.TemporaryDirectory() as out:
        command = [
            sys.executable, script, folder.parent, "--train-split", folder.name, "--val-split",
            "val", "--model", backbone, "--num-classes", CLASSES, "--img-size", SIZE,
            "--batch-size", batch_size, "--workers", WORKERS, "--epochs", 1, "--warmup-epochs", 0,
            "--opt", "sgd", "--lr", 0.01, "--smoothing", 0, "--color-jitter", 0,
            "--scale", MIN_AREA, 1, "--train-interpolation", "bilinear", "--channels-last",
            "--device", "cpu", "--log-interval", 1, "--output", out,
        ]  # fmt: skip
        ends, told = [], []
        with subprocess.Popen(
            [*map(str, command)], stderr=subprocess.STDOUT,
            stdout=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            for line in process.stdout:
                told.append(line)
                if line.startswith("Train:"):
                    ends.append((time.perf_counter(), computed(process.pid)))
    if process.returncode or not ends:
        sys.exit(f"{script} ended with status {process.returncode}:\n{''.join(told[-20:])}")
    return ends


def seconds_each(ends, batch_size):
    """Return the seconds of one image in the middle of the epoch: on the wall, of processors."""
    middle = ends[LEFT_OUT:-LEFT_OUT]
    images = batch_size * (len(middle) - 1)
    return tuple((last - first) / images for first, last in zip(middle[0], middle[-1], strict=True))


def compare(bound, script, rounds):
    backbone, batch_size, steps, goal = BOUNDS[bound]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "train")
        draw_pictures(folder, steps * batch_size)
        draw_pictures(Path(name, "val"), CLASSES)
        ways = {TIMM: lambda: timm_ends(script, folder, backbone, batch_size)}
        for engine in ENGINES:
            ways[f"harness, {engine}"] = lambda engine=engine: harness_ends(
                folder, backbone, batch_size, engine
            )
        taken = {way: [] for way in ways}
        for number in range(rounds):
            for way in list(ways)[:: -1 if number % 2 else 1]:
                taken[way].append(seconds_each(ways[way](), batch_size))
    rows = []
    for way, found in taken.items():
        wall, cpu = (
            quantiles([theirs[k] / own[k] for own, theirs in zip(found, taken[TIMM], strict=True)])
            for k in range(2)
        )
        rows.append({"way": way, "images/s": median(1 / one[0] for one in found),
                     "/ timm": wall[1], "quartiles": f"{wall[0]:.2f} - {wall[2]:.2f}",
                     "images/s of processor": median(1 / one[1] for one in found),
                     "to timm": cpu[1], "their quartiles": f"{cpu[0]:.2f} - {cpu[2]:.2f}",
                     "goal": goal if way.startswith("harness") else None})  # fmt: skip
    return {"network": backbone, "batch": batch_size, "rows": rows, "seconds": taken}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train-script", type=Path, help="timm's train.py, from its repository")
    parser.add_argument("--rounds", type=int, default=3, help="2 or more")
    parser.add_argument("--bound", nargs="*", choices=BOUNDS, default=list(BOUNDS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        folder, backbone, batch_size, engine = asked.measure
        train_with_harness(Path(folder), backbone, int(batch_size), engine)
        return
    if not (asked.train_script and asked.train_script.is_file()):
        sys.exit("give --train-script: train.py of github.com/huggingface/pytorch-image-models")
    load, found = os.getloadavg()[0], {}
    print(f"load before {load:.1f}, {len(os.sched_getaffinity(0))} cores, {asked.rounds} rounds")
    for bound in asked.bound:
        found[bound] = compare(bound, asked.train_script, asked.rounds)
        print(f"\n{bound}: {found[bound]['network']}, {SIZE} px, batch {found[bound]['batch']}")
        print(tabulate(found[bound]["rows"], "keys", floatfmt=".2f", missingval="-"))
    if asked.json:
        asked.json.write_text(json.dumps({"load": load, "found": found}, indent=1))


if __name__ == "__main__":
    main()
