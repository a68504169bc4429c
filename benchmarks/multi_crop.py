"""Cost of testing on ten crops, against ten plain passes over the same images.

A plain pass decodes every image and tests its centre; ten crops decode it once and test ten
squares. Both use ``predict``, with views of several images in a batch, and alternate over the
rounds. Ratios are medians over the rounds of (seconds of ten views) / (10 * seconds of one view),
by wall time and by processor time, which varies less on a busy machine.

Goal: at most 1.15.

    python benchmarks/multi_crop.py [--images 240] [--rounds 5] [--json FILE]
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from harness.machine.launch import keep_freed_memory, share_cores

share_cores()
keep_freed_memory()

import click  # noqa: E402 - after share_cores, as in a run
import timm  # noqa: E402
import torch  # noqa: E402
from decoding import draw_pictures, samples_of  # noqa: E402 - the benchmark beside this one
from tabulate import tabulate  # noqa: E402

from harness.data.pictures.loader import Pictures  # noqa: E402
from harness.testing.predict import predict  # noqa: E402
from harness.training.ranks import join_ranks  # noqa: E402
from harness.tricks.testing.crops import MultiCrop  # noqa: E402
from harness.values import View, Views  # noqa: E402

GOAL = 1.15
THREADS = min(8, len(os.sched_getaffinity(0)))
NETWORKS = (("test_resnet", 32), ("resnet18", 224))  # and its view's pixels
CROPS = 10


def seconds(network: torch.nn.Module, pictures: Pictures, views: Views) -> tuple[float, float]:
    """Return what one pass over all pictures takes: on the wall, and of computing."""
    ranks = join_ranks()
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in predict(network, pictures, {"": views}, ranks, THREADS):
        pass
    return time.perf_counter() - wall, time.process_time() - cpu


def measure(backbone: str, size: int, pictures: Pictures, rounds: int) -> dict[str, object]:
    """Return a network's row of the table."""
    torch.manual_seed(0)
    network = timm.create_model(backbone, num_classes=100).to(join_ranks().device)
    network = network.to(memory_format=torch.channels_last)
    plain = (View(short_side=round(size * 8 / 7), size=size),)
    crops = MultiCrop(crops=CROPS)(plain)
    seconds(network, pictures, plain)  # warms up
    found = [
        (seconds(network, pictures, plain), seconds(network, pictures, crops))
        for _ in range(rounds)
    ]
    one, many = (
        1000 * statistics.median(both[place][0] for both in found) / len(pictures.samples)
        for place in (0, 1)
    )
    wall, cpu = (
        statistics.median(many[kind] / (CROPS * one[kind]) for one, many in found)
        for kind in (0, 1)
    )
    return {
        "network": f"{backbone}, {size} px",
        "1 view, ms an image": one,
        f"{CROPS} views, ms an image": many,
        f"{CROPS} views / {CROPS} plain passes, wall": wall,
        "cpu": cpu,
        "goal": GOAL,
    }


@click.command()
@click.option("--images", default=240, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--json", "json_file", type=click.Path(path_type=Path))
def main(images: int, rounds: int, json_file: Path | None) -> None:
    """Print what ten crops cost, over ten plain passes."""
    with tempfile.TemporaryDirectory() as name:
        draw_pictures(Path(name), images)
        pictures = Pictures(samples_of(Path(name)), print)
        rows = [measure(*network, pictures, rounds) for network in NETWORKS]
    print(
        f"{images} JPEGs of 341 x 256, {torch.get_num_threads()} threads, {rounds} rounds, medians"
    )
    print(tabulate(rows, headers="keys", floatfmt=("", ".2f", ".2f", ".3f", ".3f", ".2f")))
    if json_file:
        json_file.write_text(
            json.dumps({"images": images, "rounds": rounds, "rows": rows}, indent=1)
        )


if __name__ == "__main__":
    main()
