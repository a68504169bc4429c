"""MoPro's second step: its stage, and from data to record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.assembly.activation import Activation
from harness.assembly.contract import tricks_of
from harness.assembly.recipe import UNREAD, resolve
from harness.optimizers import Groups, Sgd
from harness.samplers import SquareRoot
from harness.spec import DataSpec, RunSpec
from harness.store.record_files import read_record
from harness.tricks.noise.correct_labels import CorrectLabels

TINY = DataSpec(name="synthweb", path="tiny")


def test_the_classifier_alone_is_trained_again_on_corrected_labels() -> None:
    asked = RunSpec(plugin="mopro", knobs={"retrain": "true"}, data=TINY, full_size=True)
    active = Activation(asked)
    train, again = resolve(active.spec, active.hooks, UNREAD).stages
    stage = again.stage
    assert (stage.start, stage.sees) == (train.stage, (train.stage,))
    assert tricks_of(again.noise) == (CorrectLabels(sees=(train.stage,), threshold=0.8),)
    assert (stage.groups, stage.sampler) == (Groups(trained="head"), SquareRoot())
    assert stage.optimizer == Sgd(weight_decay=0.0, nesterov=False)
    assert (stage.epochs, stage.lr, stage.batch_size, stage.average) == (16, 0.01, 256, None)
    # Of the code's 16 epochs, numbers 5 and 10 are the first with a tenth and a hundredth.
    factors = [stage.schedule.factor(epoch / 16) for epoch in (0, 4, 5, 9, 10, 15)]
    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


@pytest.mark.slow
def test_only_the_classifier_changes_from_data_to_record(
    tiny_home: Path, call: Callable[..., Any]
) -> None:
    data = ("--data", "synthweb:tiny", "--engine", "torch", "--set", "crops=1")
    short = ("--stage", "epochs=1", "--stage", "input_size=16")
    ended = call("run", "--plugin", "mopro", "--set", "retrain=true", *data, *short)
    assert ended.status == 0, ended
    (path,) = (tiny_home / "records").glob("*.json")
    record = read_record(path)
    assert [stage.name for stage in record.stages] == ["train", "retrain"]
    first, second = (
        torch.load(tiny_home / "stages" / stage.key[:32] / "weights.pt", weights_only=True)
        for stage in record.stages
    )
    changed = {name for name, tensor in first.items() if not torch.equal(tensor, second[name])}
    assert changed == {"network.fc.weight", "network.fc.bias"}
