"""BigVideo's knobs as plans, and some of them from data to record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from harness.assembly.activation import Activation
from harness.assembly.contract import tricks_of
from harness.assembly.recipe import UNREAD, Recipe, resolve
from harness.knobs import knobs_of
from harness.schedules import WarmupCosine
from harness.spec import DataSpec, RunSpec
from harness.store.record import ResultRecord
from harness.store.record_files import read_record
from harness.tricks.loss.focal import Focal
from harness.tricks.loss.ghm import GHM
from harness.tricks.loss.self_supervised import SelfSupervised
from harness.tricks.model.gem_pooling import GeMPooling
from harness.tricks.noise.semantic_match import SemanticMatch
from harness_plugins.bigvideo import Backbone, BigVideo

Call = Callable[..., Any]
TINY = DataSpec(name="synthweb", path="tiny")
BY_TEACHER = SelfSupervised(pseudo="teacher")


def recipe_of(*, full_size: bool = False, **knobs: str) -> Recipe:
    active = Activation(RunSpec(plugin="bigvideo", knobs=knobs, data=TINY, full_size=full_size))
    return resolve(active.spec, active.hooks, UNREAD)


def names(recipe: Recipe) -> list[str]:
    return [stage.stage.name for stage in recipe.stages]


def test_the_pipeline_trains_grows_the_input_and_then_believes_itself() -> None:
    train, larger, own = recipe_of(full_size=True).stages
    stages = [recipe.stage for recipe in (train, larger, own)]
    assert [(s.name, s.start and s.start.name) for s in stages] == [
        ("all", None),
        ("all-gem", "all"),
        ("all-gem-pseudo", "all-gem"),
    ]
    assert [(s.input_size, s.epochs, s.lr) for s in stages] == [
        (224, 75, 0.1),
        (320, 10, 0.05),
        (320, 10, 0.05),
    ]
    assert [s.schedule for s in stages[1:]] == [WarmupCosine(warmup=0.0)] * 2
    assert [tricks_of(recipe.model) for recipe in (train, larger, own)] == [
        (),
        *[(GeMPooling(),)] * 2,
    ]
    assert [tricks_of(recipe.loss) for recipe in (train, larger, own)] == [(), (), (BY_TEACHER,)]
    assert [s.teachers for s in stages] == [(), (), (own.stage.start,)]
    assert not any(recipe.noise for recipe in (train, larger, own))


@pytest.mark.parametrize(
    ("larger", "own_labels", "expected"),
    [
        ("off", "off", ["all"]),
        ("off", "on", ["all", "all-pseudo"]),
        ("average", "off", ["all", "all-average"]),
        ("average", "on", ["all", "all-average", "all-average-pseudo"]),
        ("gem", "off", ["all", "all-gem"]),
    ],
)
def test_each_step_can_be_left_out(larger: str, own_labels: str, expected: list[str]) -> None:
    recipe = recipe_of(full_size=True, larger_input=larger, self_supervised=own_labels)
    assert names(recipe) == expected
    last = recipe.stages[-1]
    assert last.stage.input_size == (224 if larger == "off" else 320)
    assert bool(last.model) == (larger == "gem")
    assert tricks_of(last.loss) == ((BY_TEACHER,) if own_labels == "on" else ())


@pytest.mark.parametrize("network", get_args(Backbone))
def test_every_network_of_the_table_exists_at_its_size(network: str) -> None:
    import timm

    import harness.networks.resnext152  # noqa: F401 - registers itself

    assert timm.is_model(network)
    first, larger, _ = recipe_of(full_size=True, backbone=network).stages
    sizes = {"nasnetalarge": (331, 472), "pnasnet5large": (331, 472)}  # 331 * 10 / 7 = 472.9
    sizes["inception_resnet_v2"] = (299, 424)  # 427.1
    assert (first.stage.input_size, larger.stage.input_size) == sizes.get(network, (224, 320))


def test_the_network_may_be_its_own_teacher_on_the_fly() -> None:
    last = recipe_of(pseudo="self").stages[-1]
    assert (tricks_of(last.loss), last.stage.teachers) == ((SelfSupervised(pseudo="self"),), ())


def test_a_loss_stands_in_every_stage_and_learns_the_trusted_targets() -> None:
    for loss, trick in (("focal", Focal()), ("ghm", GHM())):
        losses = [tricks_of(stage.loss) for stage in recipe_of(loss=loss).stages]
        assert losses == [(trick,), (trick,), (trick, BY_TEACHER)]


def test_the_selected_part_is_all_that_its_stages_see() -> None:
    recipe = recipe_of(selection="text", share="0.25", encoder="lexical")
    select = SemanticMatch(encoder="lexical", use="select", share=0.25)
    assert names(recipe) == ["text", "text-gem", "text-gem-pseudo"]
    assert [tricks_of(stage.noise) for stage in recipe.stages] == [(select,)] * 3
    assert recipe.stages[0].stage.start is None  # from scratch


def test_the_ensemble_is_of_three_networks_and_trains_nothing_twice() -> None:
    recipe = recipe_of(ensemble="three")
    members = ["all-average", "all-gem-pseudo", "text-gem-pseudo"]
    assert [member.stage.name for member in recipe.members] == members
    assert len(recipe.stages) == len({stage.key for stage in recipe.stages}) == 7
    keys = {stage.stage.name: stage.key for stage in recipe.stages}
    alone = [
        recipe_of(larger_input="average", self_supervised="off"),
        recipe_of(),
        recipe_of(selection="text"),
    ]
    for single in alone:
        assert {stage.stage.name: stage.key for stage in single.stages}.items() <= keys.items()


def test_every_knob_says_where_it_comes_from() -> None:
    assert all(len(knob.source) > 15 for knob in knobs_of(BigVideo).values())


def record_of(home: Path, call: Call, *asked: str) -> ResultRecord:
    ended = call("run", "--plugin", "bigvideo", "--data", "synthweb:tiny", *asked)
    assert ended.status == 0, ended
    (path,) = (home / "records").glob("*.json")
    record = read_record(path)
    assert record.cost.engine == "deepspeed"
    assert {score.protocol for score in record.scores} == {"1 view", "10 views"}
    return record


@pytest.mark.slow
def test_the_method_runs_from_data_to_record(tiny_home: Path, call: Call) -> None:
    record = record_of(tiny_home, call)
    assert [stage.values["input_size"] for stage in record.stages] == ["32", "48", "48"]
    assert record.stages[0].history[-1]["loss"] < record.stages[0].history[0]["loss"]


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["focal", "ghm"])
def test_the_other_losses_run(tiny_home: Path, call: Call, loss: str) -> None:
    short = ("--set", "larger_input=average", "--stage", "epochs=1")
    record_of(tiny_home, call, "--set", f"loss={loss}", *short)


@pytest.mark.slow
def test_the_ensemble_runs_from_data_to_record(tiny_home: Path, call: Call) -> None:
    knobs = ("--set", "ensemble=three", "--set", "encoder=lexical")
    record = record_of(tiny_home, call, *knobs, "--stage", "epochs=1")
    assert {quality.stage for quality in record.noise} == {"text", "text-gem", "text-gem-pseudo"}
    assert all(0.4 < quality.kept < 0.6 for quality in record.noise)
