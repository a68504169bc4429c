"""What ``harness run`` prints at its end."""

from __future__ import annotations

import json
from pathlib import Path

from harness.cli.say import say
from harness.store.record import ResultRecord, record_text


def print_result(record: ResultRecord, home: Path, *, as_json: bool) -> None:
    """Print the scores and the path of the record, as text or as JSON."""
    path = home / "records" / f"{record.id}.json"
    if as_json:
        hidden = {"per_class_top1", "per_class_top5"}
        scores = [score.model_dump(mode="json", exclude=hidden) for score in record.scores]
        say(json.dumps({"id": record.id, "record": str(path), "scores": scores}, indent=1))
        return
    say(f"{record_text(record)}; record: {path}")
