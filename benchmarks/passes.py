"""The feature pass and the prediction pass over the network's own forward pass.

The network's own pass takes tensors that lie ready in memory, normalised, in batches of the same
size. The passes take the same pictures already decoded ("ready": what the pass itself costs), or
decode JPEGs of 341 x 256 as they go. Ways alternate within a round; ratios are medians over the
rounds. Processor seconds are those of all threads.

    python benchmarks/passes.py --backbone resnet18 --json passes.json
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

from harness.machine.garbage import collect_seldom
from harness.machine.launch import keep_freed_memory, share_cores

share_cores()  # before torch is imported, as in a run
keep_freed_memory()
collect_seldom()

import numpy as np  # noqa: E402
import timm  # noqa: E402
import torch  # noqa: E402
from decoding import draw_pictures, samples_of  # noqa: E402
from tabulate import tabulate  # noqa: E402

from harness.data.pictures.loader import Pictures  # noqa: E402
from harness.testing.predict import (  # noqa: E402
    PIXELS_AT_ONCE,
    PIXELS_AT_ONCE_CUDA,
    evaluating,
    extract_features,
    predict,
)
from harness.training.batches import normalize  # noqa: E402
from harness.training.ranks import join_ranks  # noqa: E402
from harness.values import View  # noqa: E402

GOAL = 1.05
FORWARD = "the network's own pass"
THREADS = min(8, len(os.sched_getaffinity(0)))


class Ready(Pictures):
    """Pictures whose views were cut before the clock starts."""

    def __init__(self, samples):
        super().__init__(samples, print)
        self.kept = {}

    def test_batch(self, rows, views):
        """Return the views of the rows, decoding them the first time."""
        key = (int(rows[0]), len(rows))
        if key not in self.kept:
            self.kept[key] = super().test_batch(rows, views)
        return self.kept[key]


def ways_of(samples, backbone, size):
    ranks, view = join_ranks(), View(short_side=round(size / 0.875), size=size)
    torch.manual_seed(0)
    module = timm.create_model(backbone, num_classes=1_000)
    module = module.to(ranks.device, memory_format=torch.channels_last)
    at_once = PIXELS_AT_ONCE_CUDA if ranks.device.type == "cuda" else PIXELS_AT_ONCE
    batch = max(1, at_once // size**2)
    ready, decoding = Ready(samples), Pictures(samples, print)
    tensors = [
        normalize(ready.test_batch(rows, (view,))[0], ranks.device)
        for rows in np.array_split(np.arange(len(samples)), range(batch, len(samples), batch))
    ]

    def forward():
        with evaluating(module):
            for images in tensors:
                module(images)
        if ranks.device.type == "cuda":
            torch.cuda.synchronize()

    def features(pictures):
        for _ in extract_features(module, pictures, view, ranks, THREADS):
            pass

    def predictions(pictures):
        for _ in predict(module, pictures, {"one": (view,)}, ranks, THREADS):
            pass

    return {
        FORWARD: forward,
        "features, ready": lambda: features(ready),
        "predictions, ready": lambda: predictions(ready),
        "features, decoding": lambda: features(decoding),
        "predictions, decoding": lambda: predictions(decoding),
    }


def measure(ways, rounds):
    taken = {name: [] for name in ways}
    for number in range(rounds + 1):  # the first warms up
        for name in list(ways)[:: -1 if number % 2 else 1]:
            wall, cpu = time.perf_counter(), time.process_time()
            ways[name]()
            taken[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {name: found[1:] for name, found in taken.items()}


def table(taken, images):
    rows = []
    for name, found in taken.items():
        low, wall, high = quantiles(
            [own[0] / base[0] for own, base in zip(found, taken[FORWARD], strict=True)]
        )
        cpu = median(own[1] / base[1] for own, base in zip(found, taken[FORWARD], strict=True))
        rows.append({"way": name, "images/s": images / median(one[0] for one in found),
                     "ratio": wall, "quartiles": f"{low:.3f} - {high:.3f}", "of processor": cpu,
                     "goal": GOAL if name != FORWARD else None})  # fmt: skip
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--input-size", type=int, default=224)
    parser.add_argument("--images", type=int, default=80)
    parser.add_argument("--rounds", type=int, default=5, help="2 or more")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        draw_pictures(Path(folder), asked.images)
        ways = ways_of(samples_of(Path(folder)), asked.backbone, asked.input_size)
        taken = measure(ways, asked.rounds)
    rows = table(taken, asked.images)
    print(
        f"{asked.backbone}, {asked.input_size} px, fp32, {torch.get_num_threads()} threads of "
        f"torch, {THREADS} of the loader, load before {load:.1f}, {asked.rounds} rounds"
    )
    print(tabulate(rows, "keys", floatfmt=".3f", missingval="-"))
    if asked.json:
        found = {**vars(asked), "load": load, "rows": rows, "seconds": taken}
        asked.json.write_text(json.dumps(found, indent=1, default=str))


if __name__ == "__main__":
    main()
