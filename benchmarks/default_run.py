"""The default run from empty caches, and the same command again.

Goals on two cores: under 150 s in total, the first line of progress within 10 s, and the second
identical run in under 5 s.

    python benchmarks/default_run.py --json default_run.json
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

from tabulate import tabulate

from harness.store.stages import StageFolder

HARNESS = str(Path(sys.executable).with_name("harness"))
GOALS = {"first line": 10.0, "first training line": None, "whole run": 150.0, "second run": 5.0}


def run(command, environment, *, echo):
    """Return the seconds to the first line, to the first line of training, and in total."""
    start = time.perf_counter()
    first = training = None
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        for line in process.stderr:
            now = time.perf_counter() - start
            first = first if first is not None else now
            if training is None and "images/s" in line:
                training = now
            if echo:
                sys.stderr.write(f"{now:7.1f} s  {line}")
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with status {process.returncode}")
    return first, training, time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plugin", default="malong_curriculum")
    parser.add_argument("--quiet", action="store_true", help="Do not repeat the run's own lines.")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    command = [HARNESS, "run", "--plugin", asked.plugin]
    with tempfile.TemporaryDirectory() as home:
        environment = os.environ | {"HARNESS_HOME": home}
        first, training, whole = run(command, environment, echo=not asked.quiet)
        _, _, second = run(command, environment, echo=False)
        stages = {}
        for folder in (Path(home) / "stages").iterdir():
            done = StageFolder(folder).done()
            stages[done["stage"]] = {key: done[key] for key in ("seconds", "images_per_second")}
    measured = dict(zip(GOALS, (first, training, whole, second), strict=True))
    rows = [{"": name, "seconds": measured[name], "goal": goal} for name, goal in GOALS.items()]
    print(tabulate(rows, headers="keys", floatfmt=".1f", missingval="-"))
    for name, stage in sorted(stages.items()):
        print(f"{name}: {stage['seconds']:.1f} s, {stage['images_per_second']:,.0f} images/s")
    if asked.json:
        content = {"seconds": measured, "goals": GOALS, "stages": stages}
        asked.json.write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
