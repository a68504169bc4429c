"""Samples are values: checked when made, shared where nothing changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from harness.errors import PluginError
from harness.samples import (
    COLUMNS,
    Predictions,
    Samples,
    StageOutputs,
    Text,
    rows_by_class,
)
from harness.values import Stage

INITIAL = Stage(name="initial")
TRAIN = Stage(name="train")


def test_assign_gives_a_new_value_that_shares_the_rest(small_samples: Samples) -> None:
    doubled = small_samples.assign(weight=small_samples.weight * 2)
    assert doubled.weight.tolist() == [2.0] * 12
    assert small_samples.weight.tolist() == [1.0] * 12
    assert doubled.files is small_samples.files
    assert len(doubled) == len(small_samples) == 12
    assert doubled.num_classes == 3


def test_the_value_itself_is_frozen(small_samples: Samples) -> None:
    with pytest.raises(AttributeError):
        small_samples.weight = np.zeros(12)  # type: ignore[misc,assignment]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"weight": np.ones(11, np.float32)}, "differ in length"),
        ({"label": np.full(12, 3, np.int32)}, "labels run from 3 to 3, but there are 3 classes"),
        ({"label": np.full(12, -1, np.int32)}, "labels run from -1"),
        ({"weight": np.full(12, np.nan, np.float32)}, "finite and not negative"),
        ({"weight": np.full(12, np.inf, np.float32)}, "finite and not negative"),
        ({"weight": np.full(12, -0.5, np.float32)}, "finite and not negative"),
        ({"classes": ()}, "there are 0 classes"),
    ],
)
def test_unsound_columns_are_refused(
    small_samples: Samples, columns: dict[str, Any], words: str
) -> None:
    with pytest.raises(PluginError, match=words):
        small_samples.assign(**columns)


def test_a_split_that_is_predicted_only_has_no_labels(small_samples: Samples) -> None:
    unlabelled = small_samples.assign(split="test", label=np.full(12, -1, np.int32))
    assert not unlabelled.has_labels
    assert small_samples.has_labels
    some = np.where(np.arange(12) < 6, -1, small_samples.label).astype(np.int32)
    with pytest.raises(PluginError, match="labels run from -1"):
        unlabelled.assign(label=some)


def test_no_samples_at_all_are_sound(small_samples: Samples) -> None:
    empty = small_samples.assign(**{name: getattr(small_samples, name)[:0] for name in COLUMNS})
    assert len(empty) == 0


def test_only_what_a_stage_sees_can_be_asked_for(small_samples: Samples) -> None:
    zeros = np.zeros((12, 1), np.float32)
    predictions = Predictions(zeros.astype(np.int32), zeros, zeros[:, 0])
    features = np.ones((12, 4), np.float32)
    seeing = small_samples.assign(seen={"initial": StageOutputs(features, predictions)})
    assert np.shares_memory(seeing.features(INITIAL), features)
    for found, given in zip(seeing.predictions(INITIAL), predictions, strict=True):
        assert np.shares_memory(found, given)
    with pytest.raises(PluginError, match=r"'train' cannot be seen here \(seen: initial\); add it"):
        seeing.features(TRAIN)
    with pytest.raises(PluginError, match="seen: none"):
        small_samples.predictions(INITIAL)


def test_texts_are_read_when_asked_for(small_samples: Samples) -> None:
    assert small_samples.texts() == [Text()] * 12
    read: list[int] = []

    def reader() -> list[Text]:
        read.append(1)
        return [Text(title="tench")] * 12

    with_texts = small_samples.assign(read_texts=reader)
    assert read == []
    assert with_texts.texts()[0].title == "tench"
    assert "tench" not in repr(with_texts)


def test_people_get_a_table(small_samples: Samples) -> None:
    table = small_samples.frame()
    assert list(table.columns) == list(COLUMNS)
    assert table["label"].value_counts().to_dict() == {0: 6, 1: 4, 2: 2}


def test_rows_come_class_by_class_in_rising_order(make_samples: Callable[..., Samples]) -> None:
    samples = make_samples([2, 0, 2, 0, 2], num_classes=4)
    assert [rows.tolist() for rows in rows_by_class(samples)] == [[1, 3], [0, 2, 4]]


def test_left_out_samples_are_passed_over(make_samples: Callable[..., Samples]) -> None:
    samples = make_samples([1, 0, 1], subset=np.array([0, -1, 2], np.int8))
    assert [rows.tolist() for rows in rows_by_class(samples)] == [[0, 2]]


def test_no_samples_give_no_classes(make_samples: Callable[..., Samples]) -> None:
    assert list(rows_by_class(make_samples([], num_classes=2))) == []
