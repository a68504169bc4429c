"""What a finished run says at its end."""

from __future__ import annotations

import json
from pathlib import Path

from harness.cli.say import say
from harness.store.record import ResultRecord
from harness.terminal import visible


def print_result(record: ResultRecord, home: Path, *, as_json: bool) -> None:
    """Print the scores and where the record lies, as a table or as JSON."""
    path = home / "records" / f"{record.id}.json"
    if as_json:
        hidden = {"per_class_top1", "per_class_top5"}
        scores = [score.model_dump(mode="json", exclude=hidden) for score in record.scores]
        say(json.dumps({"id": record.id, "record": str(path), "scores": scores}, indent=1))
        return
    from tabulate import tabulate

    rows = [
        (
            visible(s.split),
            visible(s.protocol),
            s.epoch,
            f"{s.top1:.2%}",
            f"{s.top5:.2%}",
            f"{s.top1_class_mean:.2%}",
        )
        for s in record.scores
    ]
    headers = ("split", "protocol", "epoch", "top-1", "top-5", "top-1 class mean")
    say(visible(f"{record.label}, seed {record.seed}, on {record.data.edition}"))
    say(tabulate(rows, headers, colalign=("left",) * 3 + ("right",) * 3))
    for noise in record.noise:
        auc = "-" if noise.auc is None else f"{noise.auc:.3f}"
        say(
            f"noise handling of {visible(noise.stage)}: {noise.kept:.0%} kept, of them "
            f"{noise.precision or 0:.1%} clean (of all: {noise.clean:.1%}), AUC {auc}"
        )
    seconds = record.cost.wall_seconds
    say(f"training took {seconds:.0f} s ({visible(record.cost.engine)}); record: {path}")
