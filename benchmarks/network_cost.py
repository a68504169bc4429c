"""BigVideo's table of training times: what its seven networks would cost on this device.

The deck estimates days of 64 TITAN Xp for 150 epochs of WebVision 2.0. ``harness estimate`` does so
for 64 devices like this one, from a few timed steps of every network. The devices differ in speed,
so compare the relative columns: days divided by those of the primary model.

    python benchmarks/network_cost.py [--json FILE]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from harness.machine.launch import keep_freed_memory, share_cores

share_cores()
keep_freed_memory()

import click  # noqa: E402 - after share_cores, as in a run
from scipy.stats import spearmanr  # noqa: E402
from tabulate import tabulate  # noqa: E402

from harness.planning.estimate import estimate  # noqa: E402
from harness.planning.step_timer import StepTimer  # noqa: E402
from harness.spec import DataSpec, RunSpec  # noqa: E402
from harness_reproductions.decks.bigvideo import NETWORKS  # noqa: E402
from harness_reproductions.decks.rows import NetworkCost, cli_options  # noqa: E402

PRIMARY = "ResNeXt152 variant (224)"
SECONDS = 20.0  # of steps per network


def measured(cost: NetworkCost) -> dict[str, object]:
    """Return a network's row: published and estimated days."""
    plugin, knobs = cli_options(cost.recipe)
    spec = RunSpec(plugin=plugin, knobs=knobs, data=DataSpec.parse("webvision2"))
    timer = StepTimer(tell=lambda line: print(line, file=sys.stderr), seconds=SECONDS)
    found = estimate(spec, gpus=cost.gpus, measure=timer)
    days = [seconds / 86_400 for seconds in found.seconds]
    (stage,) = found.stages
    return {
        "network": cost.name,
        "published": cost.days,
        "estimated": days[0],
        "low": days[1],
        "high": days[2],
        "images_per_second": stage.speed.images_per_second,
        "hardware": found.hardware,
    }


@click.command()
@click.option("--json", "output", type=click.Path(path_type=Path), help="Write the rows as JSON.")
def main(output: Path | None) -> None:
    """Estimate every network's cost and print it beside the deck's."""
    rows = [measured(cost) for cost in NETWORKS]
    primary = next(row for row in rows if row["network"] == PRIMARY)
    for row in rows:
        row["published_relative"] = row["published"] / primary["published"]
        row["estimated_relative"] = row["estimated"] / primary["estimated"]
    order = spearmanr([row["published"] for row in rows], [row["estimated"] for row in rows])
    table = [
        (
            row["network"],
            row["published"],
            f"{row['published_relative']:.2f}",
            f"{row['images_per_second']:.2f}",
            f"{row['estimated']:,.0f} [{row['low']:,.0f}, {row['high']:,.0f}]",
            f"{row['estimated_relative']:.2f}",
        )
        for row in rows
    ]
    head = (
        "network (input)",
        "days of 64 TITAN Xp",
        "relative",
        "images/s",
        "days here",
        "relative",
    )
    print(tabulate(table, head, tablefmt="github", disable_numparse=True))
    print(f"64 x {primary['hardware']}; rank correlation of the days {order.statistic:.2f}")
    if output:
        output.write_text(json.dumps({"rows": rows, "spearman": order.statistic}, indent=1) + "\n")


if __name__ == "__main__":
    main()
