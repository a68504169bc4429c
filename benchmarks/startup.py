"""Start-up of the light commands against ``python -c "import click"``, whole processes.

The commands alternate, so that all see the same load; figures are medians. Goal: at most 4 times
the import of click for ``--help`` and ``plugins``, and a second identical run in under 5 seconds.

    python benchmarks/startup.py --rounds 15 --json startup.json
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
from statistics import median

from tabulate import tabulate

HARNESS = str(Path(sys.executable).with_name("harness"))
RUN = ("run", "--plugin", "baseline", "--data", "synthweb:tiny", "--stage", "epochs=1")
COMMANDS = {
    'python -c "import click"': [sys.executable, "-c", "import click"],
    "harness --help": [HARNESS, "--help"],
    "harness plugins": [HARNESS, "plugins"],
    "harness leaderboard": [HARNESS, "leaderboard"],
    "harness run, the second time": [HARNESS, *RUN],
}
GOALS = {"harness --help": 4.0, "harness plugins": 4.0}


def seconds(command, environment):
    start = time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        environment = os.environ | {"HARNESS_HOME": home}
        for command in COMMANDS.values():  # fills the caches
            seconds(command, environment)
        taken = {name: [] for name in COMMANDS}
        for _ in range(asked.rounds):
            for name, command in COMMANDS.items():
                taken[name].append(seconds(command, environment))
    base = median(next(iter(taken.values())))
    rows = [
        {
            "command": name,
            "milliseconds": 1000 * median(values),
            "ratio": median(values) / base,
            "goal": GOALS.get(name),
        }
        for name, values in taken.items()
    ]
    print(tabulate(rows, headers="keys", floatfmt=("", ".0f", ".1f", ".0f"), missingval="-"))
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
