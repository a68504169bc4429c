"""Commands that compute nothing, and the start of a run, against ``python -c "import torch"``.

Whole processes on warm caches. They alternate, so that all see the same load. On a busy machine the
processor seconds say more than those of the wall: the goals are meant for an idle machine with two
cores, and a ratio to torch's import at the same time does not depend on the load.

"first step" is the time to the first line of the training's progress, of a run with a new seed.

    python benchmarks/doors.py --rounds 5 --json doors.json
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

from tabulate import tabulate

HARNESS = str(Path(sys.executable).with_name("harness"))
RECIPE = ("--plugin", "baseline", "--data", "synthweb:tiny", "--stage", "epochs=1")
COMPARED = ("baseline-seed0", "baseline-seed1")
TORCH = 'python -c "import torch"'
FIRST_STEP = "run, to its first step"
COMMANDS = {
    TORCH: [sys.executable, "-c", "import torch"],
    "plan": [HARNESS, "plan", *RECIPE],
    "compare": [HARNESS, "compare", *COMPARED],
    "estimate": [HARNESS, "estimate", *RECIPE],
    "doctor": [HARNESS, "doctor"],
    "reproduce --no-run": [HARNESS, "reproduce", "--no-run"],
    "run, the second time": [HARNESS, "run", *RECIPE],
}
GOALS = {"plan": 0.5, "compare": 1, "estimate": 1, "doctor": 1, "reproduce --no-run": 1,
         "run, the second time": 1, FIRST_STEP: 3}  # fmt: skip
MAY_FAIL = {"doctor", "reproduce --no-run"}  # a warning of the one, missing runs of the other


def finish(process):
    """Return what a process and those it waited for computed, in seconds of one core."""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime


def whole(name, environment):
    """Return the seconds of a command on the wall and of its processor."""
    start = time.perf_counter()
    process = subprocess.Popen(
        COMMANDS[name], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    cpu = finish(process)
    if process.returncode and name not in MAY_FAIL:
        sys.exit(f"{' '.join(COMMANDS[name])} ended with status {process.returncode}")
    return time.perf_counter() - start, cpu


def to_first_step(seed, environment):
    """Return the seconds to the first line with a loss, and those of the whole run's processor."""
    command = [HARNESS, "run", *RECIPE, "--seed", str(seed)]
    start = time.perf_counter()
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    first, told = None, []
    for line in process.stderr:
        told.append(line)
        if first is None and re.search(r"\bloss\b", line):
            first = time.perf_counter() - start
    cpu = finish(process)
    if process.returncode or first is None:
        sys.exit(f"{' '.join(command)} told no loss:\n{''.join(told)}")
    return first, cpu


def summary(values):
    low, middle, high = quantiles(values, n=4)
    return middle, f"{low:.2f} - {high:.2f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="2 or more")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as home:
        environment = os.environ | {"HARNESS_HOME": home}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for seed in range(len(COMPARED)):
            to_first_step(seed, environment)
        for name in COMMANDS:  # fills the caches
            whole(name, environment)
        taken = {name: [] for name in (*COMMANDS, FIRST_STEP)}
        for number in range(asked.rounds):
            for name in COMMANDS:
                taken[name].append(whole(name, environment))
            taken[FIRST_STEP].append(to_first_step(number + len(COMPARED), environment))
    rows = []
    for name, times in taken.items():
        wall, quartiles = summary([one[0] for one in times])
        to_torch = median(one[0] / base[0] for one, base in zip(times, taken[TORCH], strict=True))
        cpu = median(one[1] for one in times)
        rows.append({"command": name, "s": wall, "quartiles": quartiles, "s of processor": cpu,
                     "/ import torch": to_torch, "goal, s": GOALS.get(name)})  # fmt: skip
    print(f"load before {load:.1f}, {len(os.sched_getaffinity(0))} cores, {asked.rounds} rounds")
    print(tabulate(rows, "keys", floatfmt=("", ".2f", "", ".2f", ".2f", ".1f"), missingval="-"))
    print(f'"{FIRST_STEP}": the processor\'s seconds are those of the whole run')
    if asked.json:
        asked.json.write_text(json.dumps({"load": load, "rows": rows, "taken": taken}, indent=1))


if __name__ == "__main__":
    main()
