"""What the comparison of two runs in the browser needs of each: one small script file a run.

A page that was opened as a file may not read other files, but it may run scripts that are
beside it. So the data of a run are a call with one JSON value, which is safe for any text in it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from typing import Any

from harness.store.record import ResultRecord
from harness.terminal import visible_in
from harness_leaderboard.site.home import Kept, headline_score

MOST_PICTURES = 200_000  # whose answers a script file carries: 25 kB
DIGITS = 5


def run_script(
    record: ResultRecord, kept: Kept | None, names: str, found: Iterable[tuple[str, str]]
) -> str:
    """Return the script that hands a run's data to the page.

    ``names`` is the script that has the names of its classes, or empty; ``found`` are its settings.
    """
    score = headline_score(record)
    values: dict[str, Any] = {
        "id": record.id,
        "label": record.label,
        "seed": record.seed,
        "data": record.data.asked or record.data.edition,
        "scores": [
            [one.split, one.protocol, one.epoch, *_rounded((one.top1, one.top5))]
            for one in record.scores
        ],
        "settings": _settings(record, found),
        "seconds": round(record.cost.device_seconds, 1),
        "terms": [score.split, score.protocol, score.epoch] if score else [],
        "classes": _rounded(score.per_class_top1) if score else [],
        "names": names,
    }
    if kept is not None and kept.images <= MOST_PICTURES:
        values["correct"] = base64.b64encode(kept.correct).decode()
        values["images"] = kept.images
        values["pictures"] = kept.pictures
    return call("run", values)


def call(function: str, value: object) -> str:
    """Return a script that calls ``function`` with a value."""
    text = json.dumps(visible_in(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return f"{function}({text});\n"


def names_script(place: str, names: Sequence[str]) -> str:
    """Return the script that hands the names of classes to the page, for all runs on this data."""
    return call("names", [place, *names])


def _settings(record: ResultRecord, found: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return a run's settings, those of stages by the stage's number: names differ by method."""
    numbers = {stage.name: f"stage {number}" for number, stage in enumerate(record.stages, 1)}
    skipped = {"data", "edition", "label"}
    named = {}
    for name, value in found:
        stage, dot, field = name.rpartition(".")
        if value and name not in skipped:
            named[f"{numbers[stage]}: {field}" if dot and stage in numbers else name] = value
    return named


def _rounded(values: Sequence[float | None]) -> list[float | None]:
    return [None if value is None else round(value, DIGITS) for value in values]
