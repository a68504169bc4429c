"""The rows of Huawei's tables: which stages and tricks they are, what they share, that they run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from harness.assembly.activation import Activation
from harness.assembly.contract import tricks_of
from harness.assembly.recipe import UNREAD, Recipe, StageRecipe, resolve
from harness.errors import HarnessError
from harness.samplers import ClassBalanced
from harness.spec import DataSpec, RunSpec
from harness.store.record import ResultRecord
from harness.store.record_files import read_record
from harness_plugins.huawei import Noise

TINY = DataSpec(name="synthweb", path="tiny")
MEMBERS = ("reweight_class", "top_ranked", "kmeans_distance", "density_weight", "semantic")


def recipe_of(plugin: str = "huawei", **knobs: str) -> Recipe:
    active = Activation(RunSpec(plugin=plugin, knobs=knobs, data=TINY, full_size=True))
    return resolve(active.spec, active.hooks, UNREAD)


def names(recipe: Recipe) -> list[str]:
    return [stage.stage.name for stage in recipe.stages]


def examined(recipe: Recipe) -> StageRecipe:
    (member,) = recipe.members
    return member


def words(stage: StageRecipe) -> list[str]:
    return [repr(trick).partition(", ")[0].removesuffix(")") for trick in tricks_of(stage.noise)]


DENSITY = "DensitySubsets(sees=Stage('baseline'"
ROWS = {
    "none": [],
    "reweight_class": ["ReweightClasses(exponent=1.0"],
    "top_ranked": ["KeepTopRanked(count=3500"],
    "kmeans_large": ["ConfusedClusters(sees=Stage('baseline'"],
    "kmeans_compact": ["ConfusedClusters(sees=Stage('baseline'"],
    "kmeans_size": ["ConfusedClusters(sees=Stage('baseline'"],
    "kmeans_distance": ["ConfusedClusters(sees=Stage('baseline'"],
    "density_clean": [DENSITY, "KeepSubsets(count=1"],
    "density_weight": [DENSITY, "WeighSubsets(weights=(1.0"],
    "semantic_only": ["SemanticMatch(encoder='minilm'"],
    "semantic": ["SemanticMatch(encoder='minilm'"],
    "keywords": ["KeywordMatch(use='weigh'"],
}
OWN = ("none", "reweight_class", "top_ranked")  # nothing is open about them


def taught_by(recipe: StageRecipe) -> list[str]:
    return [teacher.name for teacher in recipe.stage.teachers]


@pytest.mark.parametrize("noise", ROWS)
def test_a_row_on_noise(noise: str) -> None:
    recipe, alone = recipe_of(noise=noise), recipe_of(noise=noise, reweight="off")
    looks = noise.startswith(("kmeans", "density"))
    assert names(recipe) == ["baseline"] * looks + [noise.replace("none", "baseline")]
    assert words(examined(alone)) == ROWS[noise]
    assert words(examined(recipe)) == ROWS[noise] + ROWS["reweight_class"] * (noise not in OWN)
    assert all(stage.depth == 0 and stage.stage.epochs == 75 for stage in recipe.stages)


@pytest.mark.parametrize("use", ["large", "compact", "size", "distance"])
def test_the_use_of_the_clusters_is_the_rows(use: str) -> None:
    assert f"use='{use}'" in repr(examined(recipe_of(noise=f"kmeans_{use}")).noise[0])


def test_top_ranked_images_are_oversampled() -> None:
    assert examined(recipe_of(noise="top_ranked")).stage.sampler == ClassBalanced()


def test_the_curriculum_goes_from_clean_to_noisy_in_turn() -> None:
    recipe = recipe_of(noise="density_curriculum")
    tasks = [stage.stage for stage in recipe.stages[1:]]
    assert [task.name for task in tasks] == [f"density_curriculum-{task}" for task in (1, 2, 3)]
    assert [task.start and task.start.name for task in tasks] == [None, *names(recipe)[1:3]]
    assert [task.epochs for task in tasks] == [25, 25, 25]
    kept = [words(stage)[1] for stage in recipe.stages[1:]]
    assert kept == [f"KeepSubsets(count={count}" for count in (1, 2, 3)]
    assert examined(recipe).stage == tasks[-1]


@pytest.mark.parametrize("backbone", ["resnet50", "resnet152"])
def test_the_baseline_is_the_harnesss_and_every_rows(backbone: str) -> None:
    (baseline,) = recipe_of("baseline", backbone=backbone).stages
    for noise in ("none", "kmeans_size", "density_clean", "density_curriculum"):
        assert recipe_of(noise=noise, backbone=backbone).stages[0].key == baseline.key
    assert recipe_of(distil="baseline", backbone=backbone).stages[0].key == baseline.key


def test_a_student_learns_from_the_rows_that_the_table_names() -> None:
    for distil, teacher in [("baseline", "baseline"), ("top_ranked", "top_ranked")]:
        recipe = recipe_of(noise="none", distil=distil)
        assert names(recipe) == [teacher, "student"]
        student = examined(recipe)
        assert taught_by(student) == [teacher]
        assert [type(trick).__name__ for trick in tricks_of(student.loss)] == ["Distil"]
        assert student.noise == recipe.stages[0].loss == ()
    teacher_key = recipe_of(noise="top_ranked").stages[-1].key
    assert recipe_of(noise="none", distil="top_ranked").stages[0].key == teacher_key


def test_a_student_handles_noise_itself() -> None:
    recipe = recipe_of(noise="density_curriculum", distil="baseline")
    assert names(recipe) == ["baseline", "student-1", "student-2", "student-3"]
    assert [words(stage)[1] for stage in recipe.stages[1:]] == [
        f"KeepSubsets(count={count}" for count in (1, 2, 3)
    ]
    assert all(taught_by(stage) == ["baseline"] for stage in recipe.stages[1:])


def test_an_ensemble_is_of_the_members_and_the_last_network() -> None:
    recipe = recipe_of(ensemble="vote")
    assert [member.stage.name for member in recipe.members] == list(MEMBERS)
    assert recipe.combine == "vote"
    taught = recipe_of(ensemble="learned", distil="ensemble", noise="none")
    assert [member.stage.name for member in taught.members] == [*MEMBERS, "student"]
    assert taught_by(taught.members[-1]) == list(MEMBERS)
    assert len({stage.key for stage in taught.stages}) == len(names(taught)) == 7
    two = recipe_of(ensemble="mean", members="none,density_curriculum", noise="reweight_class")
    last = [member.stage.name for member in two.members]
    assert last == ["baseline", "density_curriculum-3", "reweight_class"]


def test_text_is_selected_by_or_weighed_by() -> None:
    uses = {"semantic_only": "select", "semantic": "weigh", "keywords": "weigh"}
    for noise, use in uses.items():
        assert f"use='{use}'" in repr(examined(recipe_of(noise=noise)).noise[0])
    encoder = examined(recipe_of(encoder="lexical")).slots["noise"][0]
    assert "encoder='lexical'" in repr(encoder)


def test_every_row_on_noise_is_looked_at_here() -> None:
    assert {*ROWS, "density_curriculum"} == set(get_args(Noise))


def test_an_ensemble_of_nobody_is_refused() -> None:
    with pytest.raises(HarnessError, match="members must have 1 or more values"):
        recipe_of(ensemble="vote", members="")


@pytest.mark.slow
@pytest.mark.parametrize(
    "knobs",
    [
        {},
        {"noise": "kmeans_distance"},
        {"noise": "none", "distil": "baseline"},
        {"ensemble": "learned", "members": "none,top_ranked", "noise": "reweight_class"},
    ],
    ids=str,
)
def test_rows_run(tiny_home: Path, call: Callable[..., Any], knobs: dict[str, str]) -> None:
    set_knobs = [word for name, value in knobs.items() for word in ("--set", f"{name}={value}")]
    short = ("--data", "synthweb:tiny", "--stage", "epochs=1", "--set", "crops=1")
    ended = call("run", "--plugin", "huawei", *short, *set_knobs)
    assert ended.status == 0, ended
    (path,) = (tiny_home / "records").glob("*.json")
    record: ResultRecord = read_record(path)
    assert record.cost.engine == "deepspeed"
    assert all(0 <= score.top1 <= score.top5 <= 1 for score in record.scores)
    assert record.members == tuple(member.stage.name for member in recipe_of(**knobs).members)
