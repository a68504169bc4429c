"""PCI's rows and knobs as plans, and two of them from data to record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.assembly.activation import Activation
from harness.assembly.contract import tricks_of
from harness.assembly.recipe import UNREAD, Recipe, resolve
from harness.errors import HarnessError
from harness.knobs import knobs_of
from harness.schedules import WarmupCosine
from harness.spec import DataSpec, RunSpec
from harness.store.record_files import read_record
from harness.tricks.batch.label_smoothing import SmoothLabels
from harness.tricks.batch.mixup import MixUp
from harness.tricks.noise.class_weights import ReweightClasses
from harness.tricks.noise.image_weights import WeighByModel
from harness_plugins.pci import NETWORKS, Pci

Call = Callable[..., Any]
TINY = DataSpec(name="synthweb", path="tiny")


def recipe_of(*, full_size: bool = False, **knobs: str) -> Recipe:
    active = Activation(RunSpec(plugin="pci", knobs=knobs, data=TINY, full_size=full_size))
    return resolve(active.spec, active.hooks, UNREAD)


def keys(recipe: Recipe) -> list[str]:
    return [stage.key for stage in recipe.stages]


def test_each_row_adds_one_thing_to_the_one_before() -> None:
    rows = {row: recipe_of(row=row, full_size=True).stages for row in ("A", "B1", "B2", "C")}
    assert [len(stages) for stages in rows.values()] == [1, 1, 1, 2]
    (a,), (b1,), (b2,) = rows["A"], rows["B1"], rows["B2"]
    assert (a.batch, a.noise, a.stage.batch_size, a.stage.precision) == ((), (), 256, "fp32")
    # The challenge's benchmark: 0.1, a tenth of it after 30, 60 and 90 of 100 epochs.
    factors = [a.stage.schedule.factor(epoch / 100) for epoch in (0, 29, 30, 60, 90)]
    assert factors == pytest.approx([1, 1, 0.1, 0.01, 0.001])
    assert (b1.stage.batch_size, b1.stage.lr, b1.stage.precision) == (1024, 0.4, "fp16")
    assert b1.stage.schedule == WarmupCosine(warmup=0.05)
    assert tricks_of(b1.batch) == (MixUp(alpha=0.2), SmoothLabels(smoothing=0.1))
    assert b1.noise == ()
    assert replace(b2.stage, noise=()) == b1.stage
    assert tricks_of(b2.noise) == (ReweightClasses(),)
    assert tricks_of(b2.batch) == tricks_of(b1.batch)
    train, retrain = rows["C"]
    assert train.key == b2.key  # what B2 trained is not trained again
    assert tricks_of(retrain.noise) == (ReweightClasses(), WeighByModel(sees=train.stage))
    assert tricks_of(retrain.batch) == tricks_of(b1.batch)
    assert retrain.stage.start is None
    assert {s.stage.epochs for s in (a, b1, b2, train, retrain)} == {75}


def test_two_rounds_alternate_from_scratch_or_go_on() -> None:
    stages = [s.stage for s in recipe_of(rounds="2", retrain="weights").stages]
    assert (stages[0].start, stages[0].sees) == (None, ())
    for stage, before in zip(stages[1:], stages, strict=False):
        assert stage.start is not None
        assert (stage.start.name, stage.sees) == (before.name, (stage.start,))
    scratch = recipe_of(rounds="2").stages
    assert [s.stage.start for s in scratch] == [None] * 3
    assert keys(recipe_of()) == [s.key for s in scratch[:2]]
    with pytest.raises(HarnessError, match="rounds must be an int > 0, got 0"):
        recipe_of(rounds="0")


@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_of_the_tables_exists(network: str) -> None:
    import timm

    assert timm.is_model(network)
    recipe = recipe_of(backbone=network, full_size=True)
    assert {s.stage.backbone for s in recipe.stages} == {network}


def test_the_ensemble_is_of_four_networks_though_a_profile_makes_them_one_kind() -> None:
    ensemble = recipe_of(ensemble="four_networks")
    assert len(ensemble.stages) == len(set(keys(ensemble))) == 8
    assert [m.stage.name for m in ensemble.members] == [f"{n}-retrain-1" for n in NETWORKS]
    # Single networks have one draw, so on a shrunk recipe no luck is taken for an architecture.
    alone = [keys(recipe_of(backbone=network)) for network in NETWORKS]
    assert alone == [keys(ensemble)[:2]] * 4


def test_the_ensemble_is_tested_on_many_scales_and_crops_and_single_networks_on_crops() -> None:
    for ensemble, count in (("single", 10), ("four_networks", 30)):
        recipe = recipe_of(ensemble=ensemble, full_size=True)
        for member in recipe.members:
            assert [len(views) for views in recipe.protocols(member).values()] == [1, count]


def test_every_knob_says_where_it_comes_from() -> None:
    assert all(len(knob.source) > 15 for knob in knobs_of(Pci).values())


@pytest.mark.slow
def test_row_c_runs_from_data_to_record(tiny_home: Path, call: Call) -> None:
    ended = call("run", "--plugin", "pci", "--data", "synthweb:tiny")
    assert ended.status == 0, ended
    (path,) = (tiny_home / "records").glob("*.json")
    record = read_record(path)
    assert record.cost.engine == "deepspeed"
    assert [stage.name for stage in record.stages] == ["resnet101-train", "resnet101-retrain-1"]
    assert all(s.history[-1]["loss"] < s.history[0]["loss"] for s in record.stages)
    by_class, by_image = record.noise
    assert by_class.kept == by_image.kept == 1
    assert by_image.auc != by_class.auc
    assert {score.protocol for score in record.scores} == {"1 view", "10 views"}


@pytest.mark.slow
def test_the_ensemble_runs_from_data_to_record(tiny_home: Path, call: Call) -> None:
    knobs = ("--set", "ensemble=four_networks", "--set", "row=B1")
    command = ("run", "--plugin", "pci", *knobs, "--data", "synthweb:tiny", "--stage", "epochs=1")
    ended = call(*command)
    assert ended.status == 0, ended
    (path,) = (tiny_home / "records").glob("*.json")
    record = read_record(path)
    assert len({stage.history[0]["loss"] for stage in record.stages}) == 4
    # At 32 pixels two of the three scales are one: 32 and 40.
    assert {score.protocol for score in record.scores} == {"1 view", "20 views"}
