"""Every installed method at its defaults against the baseline and an oracle, five seeds each.

The oracle is the baseline trained on the true labels of the training images, which no method may
read. Every method has the same data and the same profile; none is tuned. Finished runs are reused,
so an interrupted measurement continues. Prints a table and writes JSON.

    python benchmarks/methods.py --seeds 5 --output methods.json
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from harness.machine.garbage import collect_seldom
from harness.machine.launch import keep_freed_memory, share_cores

share_cores()  # before torch is imported
keep_freed_memory()
collect_seldom()

from tabulate import tabulate  # noqa: E402

from harness.assembly.discovery import plugins_with  # noqa: E402
from harness.spec import DataSpec, RunSpec, default_home  # noqa: E402
from harness.statistics.intervals import mean_accuracy, paired_difference  # noqa: E402
from harness.store.record import ResultRecord  # noqa: E402
from harness.studies.sweep import sweep  # noqa: E402
from harness.testing.predictions import load_predictions  # noqa: E402

ORACLE = "oracle (true labels)"
SPLIT, PROTOCOL = "test", "10 views"


def specs(methods: list[str], data: DataSpec, seeds: int) -> dict[str, list[RunSpec]]:
    """The runs of every row, seed by seed."""
    oracle = replace(data, options={**data.options, "labels": "true"})
    plain = {name: RunSpec(plugin=name, data=data) for name in methods}
    plain[ORACLE] = RunSpec(plugin="baseline", data=oracle)
    return {
        name: [replace(spec, seed=seed) for seed in range(seeds)] for name, spec in plain.items()
    }


def right(records: list[ResultRecord], home: Path, k: int):
    """Whether each test picture was answered rightly, (S, N)."""
    return [load_predictions(home, r, SPLIT, PROTOCOL).correct(k) for r in records]


def row(name: str, records: list[ResultRecord], baseline: list[ResultRecord], home: Path) -> dict:
    """One method's accuracies, its difference to the baseline, and what it cost."""
    found: dict = {"method": name, "seeds": len(records)}
    for k in (1, 5):
        own, plain = right(records, home, k), right(baseline, home, k)
        level, gain = mean_accuracy(own), paired_difference(own, plain)
        found[f"top{k}"] = [100 * x for x in (level.estimate, level.low, level.high)]
        found[f"top{k}_gain"] = [100 * x for x in (gain.estimate, gain.low, gain.high)]
    aucs = [n.auc for r in records for n in r.noise[-1:] if n.auc is not None]
    found["noise_auc"] = sum(aucs) / len(aucs) if aucs else None
    found["stages"] = len(records[0].stages)
    found["training_seconds"] = sum(r.cost.wall_seconds for r in records) / len(records)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="synthweb:small")
    parser.add_argument("--methods", nargs="*", help="Beside baseline.  [default: all installed]")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    home = default_home()
    methods = asked.methods or plugins_with("plan", home)
    methods = list(dict.fromkeys(["baseline", *methods]))
    wanted = specs(methods, DataSpec.parse(asked.data), asked.seeds)
    by_seed = [of[seed] for seed in range(asked.seeds) for of in wanted.values()]
    made = {
        (o.spec.plugin, str(o.spec.data), o.spec.seed): o.record
        for o in sweep(by_seed, lambda line: print(line, file=sys.stderr))
    }
    records = {
        name: [r for s in of if (r := made[s.plugin, str(s.data), s.seed]) is not None]
        for name, of in wanted.items()
    }
    rows = [row(name, of, records["baseline"], home) for name, of in records.items() if of]
    shown = [
        [
            r["method"],
            *(f"{r[m][0]:.1f} ({r[m][1]:.1f} to {r[m][2]:.1f})" for m in ("top1", "top5")),
            *(
                f"{r[m][0]:+.1f} ({r[m][1]:+.1f} to {r[m][2]:+.1f})"
                for m in ("top1_gain", "top5_gain")
            ),
            "" if r["noise_auc"] is None else f"{r['noise_auc']:.2f}",
            r["stages"],
            f"{r['training_seconds']:.0f}",
        ]
        for r in rows
    ]
    headers = ("method", "top-1", "top-5", "top-1 over baseline", "top-5 over baseline",
               "noise AUC", "stages", "training s")  # fmt: skip
    print(f"{asked.data}, {SPLIT}, {PROTOCOL}, last epoch, {asked.seeds} seeds, 95 % intervals")
    print(tabulate(shown, headers, "github"))
    if asked.output:
        asked.output.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
