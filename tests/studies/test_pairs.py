"""Which seeds and splits runs share, and when their answers are of the same images."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from harness.errors import HarnessError
from harness.scores import PLAIN
from harness.store.record import ResultRecord
from harness.studies.pairs import Answers, Run, shared_seeds, shared_split


def stored(
    home: Path, record: ResultRecord, name: str, classes: Sequence[Sequence[int]], **data: object
) -> Run:
    """Write predictions of two images with the labels 0 and 1, and a record of them."""
    buffer = io.BytesIO()
    files, labels = np.array(["a.jpg", "b.jpg"]), np.arange(2, dtype=np.int32)
    np.savez(buffer, files=files, labels=labels, classes=np.asarray(classes, np.int32))
    score = record.scores[0].model_copy(
        update={
            "split": "test",
            "protocol": PLAIN,
            "predictions_sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
        }
    )
    changed = {"id": name, "scores": (score,), "data": record.data.model_copy(update=data)}
    path = home / "records" / name / "test-1-view-last.npz"
    path.parent.mkdir(parents=True)
    path.write_bytes(buffer.getvalue())
    return Run(record.model_copy(update=changed), home)


def test_correct_answers_by_seed_and_metric(tmp_path: Path, small_record: ResultRecord) -> None:
    one = stored(tmp_path, small_record, "one", [[0, 2, 3, 4, 5], [2, 1, 3, 4, 5]])
    two = stored(tmp_path, small_record, "two", [[2, 3, 4, 5, 6], [1, 2, 3, 4, 5]])
    answers = Answers()
    runs = [(one, PLAIN), (two, PLAIN)]
    assert answers.correct(runs, "test", "top1").tolist() == [[True, False], [False, True]]
    assert answers.correct(runs, "test", "top5").tolist() == [[True, True], [False, True]]
    assert answers.labels("test").tolist() == [0, 1]


def test_other_pixels_are_refused_on_a_later_call(
    tmp_path: Path, small_record: ResultRecord
) -> None:
    classes = [[0, 2, 3, 4, 5], [2, 1, 3, 4, 5]]
    one = stored(tmp_path, small_record, "one", classes, tested={"test": "x"})
    two = stored(tmp_path, small_record, "two", classes, tested={"test": "y"})
    answers = Answers()
    answers.correct([(one, PLAIN)], "test", "top1")
    for _ in range(2):
        with pytest.raises(HarnessError, match="different images or labels of test; run one"):
            answers.correct([(two, PLAIN)], "test", "top1")


def test_shared_seeds_and_splits(small_record: ResultRecord) -> None:
    assert shared_seeds({2: "a", 0: "b", 1: "c"}, {1: "d", 2: "e"}) == (2, 1)

    def scored(*terms: tuple[str, str]) -> ResultRecord:
        score = small_record.scores[0]
        scores = [score.model_copy(update={"split": s, "protocol": p}) for s, p in terms]
        return small_record.model_copy(update={"scores": tuple(scores)})

    both = scored(("val", PLAIN), ("test", "10 views"))
    val = scored(("val", PLAIN))
    assert shared_split([both]) == "test"
    assert shared_split([both], PLAIN) == "val"
    assert shared_split([both, val]) == "val"
    assert shared_split([val, scored(("ilsvrc", PLAIN))]) is None
    assert shared_split([]) is None
