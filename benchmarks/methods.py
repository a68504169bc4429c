"""Every installed method at its defaults against the baseline and an oracle, several seeds each.

The oracle is the baseline trained on the true labels of the training images, which no method may
read. Every method has the same data and the same profile; none is tuned. A method that trains for
longer is also compared with the baseline of at least its training time: ``--longer 2 4 8`` trains
the baseline for so many times its epochs. Finished runs are reused, so an interrupted measurement
continues. Prints a table and writes JSON.

    python benchmarks/methods.py --seeds 6 --longer 2 4 8 --output methods.json
    python benchmarks/methods.py --methods elr elr,plus=true --seeds 6
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

from harness.assembly.discovery import (  # noqa: E402
    find_entry,
    find_plugins,
    load_plugin,
    plugins_with,
)
from harness.knobs import knobs_of  # noqa: E402
from harness.scores import Epoch  # noqa: E402
from harness.spec import DataSpec, RunSpec, default_home  # noqa: E402
from harness.statistics.intervals import mean_accuracy, paired_difference  # noqa: E402
from harness.store.record import ResultRecord  # noqa: E402
from harness.studies.sweep import sweep  # noqa: E402
from harness.testing.predictions import load_predictions  # noqa: E402
from harness_leaderboard.told import images_seen  # noqa: E402

ORACLE, BASELINE = "oracle (true labels)", "baseline"
SPLIT, PROTOCOL = "test", "10 views"


def specs(
    methods: list[str], data: DataSpec, seeds: int, longer: list[int], epochs: int | None
) -> dict[str, list[RunSpec]]:
    """The runs of every row, seed by seed; with ``epochs`` for the knob of that name."""
    own = {"epochs": str(epochs)} if epochs else {}
    oracle = replace(data, options={**data.options, "labels": "true"})
    plain = {}
    for method in methods:
        name, *knobs = method.split(",")
        plain[method] = RunSpec(
            plugin=name, knobs=own | dict(k.split("=") for k in knobs), data=data
        )
    once = epochs or knobs_of(load_plugin(find_entry(BASELINE, find_plugins())))["epochs"].default
    for times in longer:
        plain[f"{BASELINE}, {times} x epochs"] = RunSpec(
            plugin=BASELINE, knobs={"epochs": str(times * once)}, data=data
        )
    plain[ORACLE] = RunSpec(plugin=BASELINE, knobs=own, data=oracle)
    return {
        name: [replace(spec, seed=seed) for seed in range(seeds)] for name, spec in plain.items()
    }


def epoch_of(record: ResultRecord) -> Epoch:
    """The weights that the method is judged by: their average if it keeps one, else the last."""
    return "averaged" if record.score(SPLIT, PROTOCOL, "averaged") else "last"


def right(records: list[ResultRecord], home: Path, k: int):
    """Whether each test picture was answered rightly, (S, N)."""
    return [load_predictions(home, r, SPLIT, PROTOCOL, epoch_of(r)).correct(k) for r in records]


def gain(records: list[ResultRecord], others: list[ResultRecord], home: Path, k: int):
    """The paired difference in points of a percent: estimate, low, high."""
    found = paired_difference(right(records, home, k), right(others, home, k))
    return [100 * x for x in (found.estimate, found.low, found.high)]


def row(name: str, records: list[ResultRecord], baseline: list[ResultRecord], home: Path) -> dict:
    """One method's accuracies, its difference from the baseline, and what it cost."""
    found: dict = {"method": name, "seeds": len(records)}
    for k in (1, 5):
        level = mean_accuracy(right(records, home, k))
        found[f"top{k}"] = [100 * x for x in (level.estimate, level.low, level.high)]
        found[f"top{k}_gain"] = gain(records, baseline, home, k)
    aucs = [n.auc for r in records for n in r.noise[-1:] if n.auc is not None]
    found["noise_auc"] = sum(aucs) / len(aucs) if aucs else None
    found["stages"] = len(records[0].stages)
    found["training_seconds"] = sum(r.cost.device_seconds for r in records) / len(records)
    images = [images_seen(r) for r in records]
    found["images"] = None if None in images else sum(images) / len(images)
    return found


def at_equal_cost(rows: list[dict], records: dict[str, list[ResultRecord]], home: Path) -> None:
    """Compare each row with the shortest baseline that trains for as long, or with the longest."""
    known = {r["method"]: r["training_seconds"] for r in rows}
    baselines = [n for n in records if n == BASELINE or n.startswith(f"{BASELINE}, ")]
    baselines = sorted((n for n in baselines if n in known), key=lambda n: known[n])
    for found in rows:
        longer = [n for n in baselines if known[n] >= 0.95 * found["training_seconds"]]
        other = (longer or baselines[-1:])[0]
        found["equal_cost"] = other
        found["equal_cost_gain"] = gain(records[found["method"]], records[other], home, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="synthweb:small")
    parser.add_argument("--methods", nargs="*", help="NAME[,KNOB=VALUE]...  [default: all]")
    parser.add_argument("--longer", nargs="*", type=int, default=[])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, help="Of every method.  [default: each one's own]")
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    home = default_home()
    methods = asked.methods or plugins_with("plan", home)
    methods = list(dict.fromkeys([BASELINE, *methods]))
    wanted = specs(methods, DataSpec.parse(asked.data), asked.seeds, asked.longer, asked.epochs)
    by_seed = [of[seed] for seed in range(asked.seeds) for of in wanted.values()]
    made = {
        (o.spec.label, str(o.spec.data), o.spec.seed): o.record
        for o in sweep(by_seed, lambda line: print(line, file=sys.stderr))
    }
    records = {
        name: [r for s in of if (r := made[s.label, str(s.data), s.seed]) is not None]
        for name, of in wanted.items()
    }
    rows = [row(name, of, records[BASELINE], home) for name, of in records.items() if of]
    at_equal_cost(rows, records, home)
    plain = rows[0]

    def points(values: list[float], sign: str = "") -> str:
        return f"{values[0]:{sign}.1f} ({values[1]:{sign}.1f} to {values[2]:{sign}.1f})"

    shown = [
        [
            r["method"],
            points(r["top1"]),
            points(r["top1_gain"], "+"),
            points(r["top5"]),
            "" if r["noise_auc"] is None else f"{r['noise_auc']:.2f}",
            f"{r['training_seconds']:.0f}",
            "" if r["images"] is None else f"{r['images'] / plain['images']:.1f}",
            points(r["equal_cost_gain"], "+") if r["equal_cost"] != BASELINE else "",
            r["equal_cost"].partition(", ")[2],
        ]
        for r in sorted(rows, key=lambda r: -r["top1"][0])
    ]
    headers = ("method", "top-1", "over baseline", "top-5", "noise AUC", "training s",
               "images, x baseline's", "over a baseline as long", "which is")  # fmt: skip
    print(f"{asked.data}, {SPLIT}, {PROTOCOL}, {asked.seeds} seeds, 95 % intervals")
    print(tabulate(shown, headers, "github"))
    if asked.output:
        asked.output.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
