"""How long torch's threads spin before they sleep, and what a step of the loop then takes.

For each number of turns (``GOMP_SPINCOUNT``, read when torch is loaded) a new process trains
test_resnet by the harness's loop: with pictures that are ready and with pictures that it decodes,
on this machine as it is and beside other busy processes.

    python benchmarks/waiting.py --json waiting.json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from tabulate import tabulate

TURNS = (0, 1_000, 3_000, 10_000, 300_000)  # the last one is OpenMP's default
BUSY = "while True: pass"


def train(seconds):
    """Print the milliseconds of a step, by kind of pictures. In a process of its own."""
    import training_loop as bench

    folder = tempfile.TemporaryDirectory()
    with folder as home:
        stage, samples = bench.small_stage(Path(home), precision="fp32")
        made = bench.Bench(samples, stage, Path(home))
        found = {"ready": [], "decoding": []}
        kinds = {"ready": bench.Prepared, "decoding": bench.Pictures}
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            for name, pictures in kinds.items():
                found[name].append(bench.medians(made.harness_loop("torch", pictures))["wall"])
    print(json.dumps({name: 1000 * median(steps) for name, steps in found.items()}))


def measured(turns, busy, seconds):
    """Return what ``train`` prints beside so many busy processes."""
    with ExitStack() as beside:
        for _ in range(busy):
            process = beside.enter_context(subprocess.Popen([sys.executable, "-c", BUSY]))
            beside.callback(process.kill)
        told = subprocess.run(
            [sys.executable, __file__, "--train", str(seconds)],
            env={**os.environ, "GOMP_SPINCOUNT": str(turns)},
            stdout=subprocess.PIPE,
            check=True,
        )
    return json.loads(told.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, nargs="*", default=TURNS)
    parser.add_argument("--busy", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--seconds", type=float, default=6.0, help="For each figure.")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--train", type=float, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.train is not None:
        return train(asked.train)
    rows = []
    for turns in asked.turns:
        row = {"turns": turns}
        for busy in asked.busy:
            for name, step in measured(turns, busy, asked.seconds).items():
                row[f"{name}, {busy} busy"] = step
        rows.append(row)
    print(f"ms of a step, {os.cpu_count()} cores")
    print(tabulate(rows, "keys", floatfmt=".1f"))
    if asked.json:
        asked.json.write_text(json.dumps(vars(asked) | {"found": rows}, indent=1, default=str))
    return None


if __name__ == "__main__":
    main()
