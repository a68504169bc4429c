"""Coverage of intervals and error rates of verdicts on simulated experiments.

In every experiment two methods are trained with S seeds each and scored on the same N test images.
Whether an answer is correct is drawn from a probit model: the method, its seed, how hard the image
is for both methods (a share ``shared`` of the variance) and for this one (``own``), and noise. The
true difference is known exactly.

    python benchmarks/statistics_coverage.py --experiments 4000 --json coverage.json
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
from collections import Counter
from pathlib import Path

import numpy as np
from scipy.special import ndtri
from tabulate import tabulate

from harness.statistics.intervals import mean_accuracy, paired_difference, unpaired_difference
from harness.statistics.verdicts import OUTCOMES, judge_difference

ACCURACY, PUBLISHED = 0.55, 0.04
HARDNESS = {"alike": (0.6, 0.1), "mixed": (0.3, 0.3)}  # shared, own
SEEDS, SEED_SD, DIFFERENCES = (2, 3, 5, 10), (0.0, 0.005, 0.01, 0.02), (0.0, 0.01, 0.04)


def experiments(count, *, seeds, images, seed_sd, difference, hardness):
    """Yield ``count`` pairs of tables (S, N): the better and the worse method, right or not.

    Accuracies are ACCURACY +/- difference / 2, exactly; ``seed_sd`` is the standard deviation of a
    method's accuracy between seeds, in shares, to first order.
    """
    random = np.random.default_rng([seeds, images, round(1e4 * seed_sd), round(1e4 * difference)])
    shared, own = HARDNESS[hardness]
    for _ in range(count):
        both = math.sqrt(shared) * random.standard_normal(images, np.float32)
        tables = []
        for accuracy in (ACCURACY + difference / 2, ACCURACY - difference / 2):
            level = ndtri(accuracy)
            spread = seed_sd * math.sqrt(2 * math.pi) * math.exp(level**2 / 2)
            latent = math.sqrt(1 - shared - own) * random.standard_normal(
                (seeds, images), np.float32
            )
            latent += both + math.sqrt(own) * random.standard_normal(images, np.float32)
            latent += spread * random.standard_normal((seeds, 1), np.float32)
            tables.append(latent + level * math.sqrt(1 + spread**2) > 0)
        yield tuple(tables)


def measure(count, *, seeds, seed_sd, difference, hardness, images):
    """Count how often intervals contain the true difference, and the verdicts."""
    truth = ACCURACY + difference / 2
    held, verdicts, width = Counter(), Counter(), 0.0
    for better, worse in experiments(
        count,
        seeds=seeds,
        images=images,
        seed_sd=seed_sd,
        difference=difference,
        hardness=hardness,
    ):
        paired = paired_difference(better, worse)
        unpaired = unpaired_difference(better, worse)
        level = mean_accuracy(better)
        held["paired"] += paired.low <= difference <= paired.high
        held["unpaired"] += unpaired.low <= difference <= unpaired.high
        held["level"] += level.low <= truth <= level.high
        verdicts[judge_difference(paired, published=PUBLISHED).outcome] += 1
        width += (paired.high - paired.low) / 2
    return {
        "seeds": seeds,
        "images": images,
        "seed_sd_points": 100 * seed_sd,
        "image_hardness": hardness,
        "true_difference_points": 100 * difference,
        "half_width_points": 100 * width / count,
        "coverage": {name: number / count for name, number in held.items()},
        "verdicts": {name: verdicts[name] / count for name in OUTCOMES[:4]},
    }


def show(results, count, seconds):
    rows = [
        [
            result["true_difference_points"],
            result["seeds"],
            result["seed_sd_points"],
            result["image_hardness"],
            result["half_width_points"],
            *(100 * share for share in result["coverage"].values()),
            *(100 * share for share in result["verdicts"].values()),
        ]
        for result in results
    ]
    headers = ["true", "seeds", "seed sd", "hardness", "half", "paired %", "unpaired %", "level %"]
    print(
        f"{count:,} experiments a row, {results[0]['images']:,} images, published difference "
        f"{100 * PUBLISHED:g} points, {seconds:.0f} s"
    )
    print(tabulate(rows, [*headers, *(f"{name} %" for name in OUTCOMES[:4])], floatfmt=".1f"))
    for seeds, group in itertools.groupby(
        sorted(results, key=lambda result: result["seeds"]), lambda result: result["seeds"]
    ):
        shares = [result["coverage"] for result in group]
        ranges = (
            f"{name} {100 * min(s[name] for s in shares):.1f} to "
            f"{100 * max(s[name] for s in shares):.1f} %"
            for name in shares[0]
        )
        print(f"coverage with {seeds} seeds: {', '.join(ranges)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiments", type=int, default=1_000, help="of each setting")
    parser.add_argument("--images", type=int, default=1_000, help="test images")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    options = parser.parse_args()
    start = time.perf_counter()
    results = [
        measure(
            options.experiments,
            seeds=seeds,
            seed_sd=seed_sd,
            difference=difference,
            hardness=hardness,
            images=options.images,
        )
        for difference, seeds, seed_sd, hardness in itertools.product(
            DIFFERENCES, SEEDS, SEED_SD, HARDNESS
        )
    ]
    show(results, options.experiments, time.perf_counter() - start)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
