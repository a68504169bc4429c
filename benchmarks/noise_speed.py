"""Noise handling on features of synthweb large's size: seconds and memory per trick.

100 classes in groups of five, the largest 34 times the smallest; every third label is wrong, and
most wrong labels are of the same group. The features are on disk, as in a run. Each trick has a
separate process; memory is the peak above that before the trick.

    python benchmarks/noise_speed.py --n 50000 --d 512 --json noise_speed.json
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from tabulate import tabulate

from harness.samples import Predictions, Samples, StageOutputs, WebClass
from harness.tricks.noise.class_weights import ReweightClasses
from harness.tricks.noise.confused_clusters import USES, ConfusedClusters
from harness.tricks.noise.density import DensitySubsets
from harness.tricks.noise.kmeans import KMeansSubsets
from harness.tricks.noise.top_ranked import KeepTopRanked
from harness.values import Stage

CLASSES, GROUP, IMBALANCE, WRONG, OUTSIDE = 100, 5, 34, 1 / 3, 0.25
LIMIT = 60  # seconds, on two cores
SEEN = Stage(name="baseline", backbone="test_resnet", input_size=32, epochs=1, batch_size=64)
TRICKS = [
    ReweightClasses(),
    KeepTopRanked(),
    DensitySubsets(sees=SEEN),
    KMeansSubsets(sees=SEEN),
    *(ConfusedClusters(sees=SEEN, use=use) for use in USES),
]


def write_features(path, size, width):
    """Labels as found, predictions and pooled activations, none negative, of what is shown."""
    random = np.random.default_rng(0)
    shares = np.geomspace(IMBALANCE, 1, CLASSES)
    label = np.sort(random.choice(CLASSES, size, p=shares / shares.sum()))
    wrong = random.random(size) < WRONG
    neighbour = label // GROUP * GROUP + (label + random.integers(1, GROUP, size)) % GROUP
    anything = random.integers(0, CLASSES, size)
    shown = np.where(wrong, np.where(random.random(size) < OUTSIDE, anything, neighbour), label)
    centres = random.standard_normal((CLASSES, width), dtype=np.float32)
    features = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(size, width))
    for start in range(0, size, 1_000):
        rows = slice(start, start + 1_000)
        noise = random.standard_normal((len(shown[rows]), width), dtype=np.float32)
        features[rows] = np.maximum(centres[shown[rows]] + noise, 0)
    features.flush()
    np.savez(path.with_suffix(".npz"), label=label, shown=shown)


def samples_of(path):
    """The samples, with the stage "baseline" seen."""
    with np.load(path.with_suffix(".npz")) as arrays:
        label, shown = arrays["label"].astype(np.int32), arrays["shown"].astype(np.int32)
    size = len(label)
    nothing = np.zeros(size, np.float32)
    predictions = Predictions(shown[:, None], nothing[:, None], nothing)
    return Samples(
        split="train",
        root=Path(),
        files=np.full(size, "x.jpg"),
        label=label,
        source=np.zeros(size, np.int8),
        query=label,
        rank=np.random.default_rng(1).permutation(size).astype(np.int32),
        weight=np.ones(size, np.float32),
        subset=np.zeros(size, np.int8),
        classes=tuple(WebClass(f"n{k:08d}", f"class {k}") for k in range(CLASSES)),
        seen={SEEN.name: StageOutputs(np.load(path, mmap_mode="r"), predictions)},
    )


def peak_bytes():
    unit = 1 if sys.platform == "darwin" else 1_024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def measure(path, number):
    """Call one trick in this process, as a run would: once, scikit-learn not yet imported.

    A run has imported torch long before, and gives each core a class at a time.
    """
    from harness.session.division import divide
    from harness.training.ranks import join_ranks

    samples, trick = samples_of(path).assign(divide=partial(divide, join_ranks())), TRICKS[number]
    before, start = peak_bytes(), time.perf_counter()
    after = trick(samples)
    seconds = time.perf_counter() - start
    return {
        "trick": repr(trick),
        "seconds": seconds,
        "extra_megabytes": (peak_bytes() - before) / 1e6,
        "kept": float(np.mean(after.subset >= 0)),
    }


def in_a_process(path, number):
    command = [sys.executable, __file__, "--measure", str(path), str(number)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(answer.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=50_000, help="samples")
    parser.add_argument("--d", type=int, default=512, help="features")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        path, number = options.measure
        print(json.dumps(measure(Path(path), int(number))))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "features.npy")
        write_features(path, options.n, options.d)
        rows = [in_a_process(path, number) for number in range(len(TRICKS))]
    cores = len(os.sched_getaffinity(0))
    print(f"{options.n:,} x {options.d} float32, {CLASSES} classes, {cores} cores")
    print(tabulate(rows, headers="keys", floatfmt=("", ".2f", ".0f", ".3f")))
    slowest = max(row["seconds"] for row in rows)
    print(f"slowest {slowest:.1f} s, {'within' if slowest < LIMIT else 'OVER'} {LIMIT} s")
    if options.json:
        result = {"n": options.n, "d": options.d, "cores": cores, "tricks": rows}
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
