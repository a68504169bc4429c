"""What a finished run says at its end."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness.record import ResultRecord


def print_result(record: ResultRecord, home: Path, *, as_json: bool) -> None:
    """Print the scores and where the record lies, as a table or as JSON."""
    path = home / "records" / f"{record.id}.json"
    if as_json:
        hidden = {"per_class_top1", "per_class_top5"}
        scores = [score.model_dump(mode="json", exclude=hidden) for score in record.scores]
        click.echo(json.dumps({"id": record.id, "record": str(path), "scores": scores}, indent=1))
        return
    from tabulate import tabulate

    rows = [
        (s.split, s.protocol, s.epoch, f"{s.top1:.2%}", f"{s.top5:.2%}", f"{s.top1_class_mean:.2%}")
        for s in record.scores
    ]
    headers = ("split", "protocol", "epoch", "top-1", "top-5", "top-1 class mean")
    click.echo(f"{record.label}, seed {record.seed}, on {record.data.edition}")
    click.echo(tabulate(rows, headers, colalign=("left",) * 3 + ("right",) * 3))
    for noise in record.noise:
        auc = "-" if noise.auc is None else f"{noise.auc:.3f}"
        click.echo(
            f"noise handling of {noise.stage}: {noise.kept:.0%} kept, of them "
            f"{noise.precision or 0:.1%} clean (of all: {noise.clean:.1%}), AUC {auc}"
        )
    seconds = record.cost.wall_seconds
    click.echo(f"training took {seconds:.0f} s ({record.cost.engine}); record: {path}")
