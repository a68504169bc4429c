"""What ``harness run`` prints at its end."""

from __future__ import annotations

import json
from pathlib import Path

from harness.cli.say import say
from harness.store.record import ResultRecord, record_text


def print_result(
    record: ResultRecord, home: Path, *, as_json: bool, curves: Path | None = None
) -> None:
    """Print the scores and the path of the record, as text or as JSON, and of curves if given."""
    path = home / "records" / f"{record.id}.json"
    if as_json:
        hidden = {"per_class_top1", "per_class_top5"}
        scores = [score.model_dump(mode="json", exclude=hidden) for score in record.scores]
        paths = {"record": str(path), **({"curves": str(curves)} if curves else {})}
        say(json.dumps({"id": record.id, **paths, "scores": scores}, indent=1))
        return
    say(f"{record_text(record)}; record: {path}")
    if curves:
        say(f"curves (harness tensorboard): {curves}")
