"""What the comparison of two runs in the browser needs of each: one small script file a run.

A page that was opened as a file may not read other files, but it may run scripts that lie beside
it. So the data of a run are a call with one JSON value, which is safe whatever its texts hold.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.store.groups import settings
from harness.store.record import ResultRecord, digest
from harness.terminal import visible_in
from harness_leaderboard.site.run_page import headline_score

if TYPE_CHECKING:
    from harness.testing.predictions import StoredPredictions

MOST_PICTURES = 200_000  # whose answers a script file carries: 25 kB
DIGITS = 5


def run_script(record: ResultRecord, kept: StoredPredictions | None, names: Sequence[str]) -> str:
    """Return the script that hands a run's data to the page.

    ``correct`` has a bit for each test picture, the first in the highest bit of the first byte,
    and ``pictures`` is equal for runs that were tested on the same pictures and labels.
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
        "settings": _settings(record),
        "seconds": round(record.cost.device_seconds, 1),
        "terms": [score.split, score.protocol, score.epoch] if score else [],
        "classes": _rounded(score.per_class_top1) if score else [],
        "names": list(names),
    }
    if kept is not None and len(kept.labels) <= MOST_PICTURES:
        values["correct"] = base64.b64encode(np.packbits(kept.correct(1)).tobytes()).decode()
        values["images"] = len(kept.labels)
        values["pictures"] = digest([kept.files.tolist(), kept.labels.tolist()])[:16]
    return call("run", values)


def call(function: str, value: object) -> str:
    """Return a script that calls ``function`` with a value."""
    text = json.dumps(visible_in(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return f"{function}({text});\n"


def _settings(record: ResultRecord) -> Mapping[str, str]:
    """Return a run's settings, those of stages by the stage's number: names differ by method."""
    numbers = {stage.name: f"stage {number}" for number, stage in enumerate(record.stages, 1)}
    skipped = {"data", "edition", "label"}
    found = {}
    for name, value in settings(record).items():
        stage, dot, field = name.rpartition(".")
        if value and name not in skipped:
            found[f"{numbers[stage]}: {field}" if dot and stage in numbers else name] = value
    return found


def _rounded(values: Sequence[float | None]) -> list[float | None]:
    return [None if value is None else round(value, DIGITS) for value in values]
