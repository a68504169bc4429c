"""Reading back what a run said of every picture, and refusing what it did not say."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import HarnessError
from harness.store.record import ResultRecord
from harness.store.record_files import read_records
from harness.testing.predictions import load_predictions


@pytest.mark.slow
def test_kept_predictions_score_what_the_record_says(
    tiny_home: Path, call: Callable[..., Any]
) -> None:
    call("run", "--plugin", "baseline", "--data", "synthweb:tiny")
    (record,), _ = read_records(tiny_home / "records")
    for score in record.scores:
        kept = load_predictions(tiny_home, record, score.split, score.protocol, score.epoch)
        assert len(kept.files) == len(set(kept.files)) == score.images
        assert kept.correct(1).mean() == pytest.approx(score.top1)
        assert kept.correct(5).mean() == pytest.approx(score.top5)
    with pytest.raises(HarnessError, match="has no score of val, 3 views, last epoch"):
        load_predictions(tiny_home, record, "val", "3 views")

    path = tiny_home / "records" / record.id / "test-1-view-last.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(HarnessError, match="altered, so it is not what record baseline-seed0"):
        load_predictions(tiny_home, record, "test", "1 view")
    path.unlink()
    with pytest.raises(HarnessError, match="missing or altered"):
        load_predictions(tiny_home, record, "test", "1 view")


def test_predictions_of_before_labels_were_kept_are_said_to_be_old(
    tmp_path: Path, small_record: ResultRecord
) -> None:
    record = small_record
    score = record.scores[0]
    path = tmp_path / "records" / record.id / f"{score.split}-{score.protocol}-last.npz"
    path = path.with_name(path.name.replace(" ", "-"))
    path.parent.mkdir(parents=True)
    np.savez(path, files=np.array(["a"]), classes=np.zeros((1, 5), np.int32))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    old = score.model_copy(update={"predictions_sha256": digest})
    record = record.model_copy(update={"scores": (old,)})
    with pytest.raises(HarnessError, match="holds no labels"):
        load_predictions(tmp_path, record, old.split, old.protocol, old.epoch)
