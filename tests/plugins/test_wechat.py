"""WeChat's stages at full size, what they share between rows, and that every row runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.assembly.activation import Activation
from harness.assembly.contract import tricks_of
from harness.assembly.recipe import UNREAD, Recipe, StageRecipe, resolve
from harness.language.taggers import best_tagger
from harness.samplers import ClassBalanced, Uniform
from harness.schedules import Constant, Steps, WarmupCosine
from harness.spec import DataSpec, RunSpec
from harness.store.record import ResultRecord
from harness.store.record_files import read_record
from harness.tricks.noise.keyword_tags import KeywordTags
from harness.tricks.noise.label_weights import LabelWeights
from harness.tricks.noise.pseudo_labels import PseudoLabels

TINY = DataSpec(name="synthweb", path="tiny")
EVERYTHING = {"large_resolution": "on", "pseudo_labels": "on", "ensemble": "on"}


def recipe_of(**knobs: str) -> Recipe:
    active = Activation(RunSpec(plugin="wechat", knobs=knobs, data=TINY, full_size=True))
    return resolve(active.spec, active.hooks, UNREAD)


def by_name(**knobs: str) -> dict[str, StageRecipe]:
    return {stage.stage.name: stage for stage in recipe_of(**knobs).stages}


def start_of(recipe: StageRecipe) -> str:
    assert recipe.stage.start is not None
    return recipe.stage.start.name


def seen_by(recipe: StageRecipe) -> list[str]:
    return [stage.name for stage in recipe.stage.sees]


def test_pretraining_on_keywords_then_the_published_fine_tuning() -> None:
    recipe = recipe_of()
    pretrain, finetune = recipe.stages
    assert recipe.members == (finetune,)
    assert (pretrain.stage.name, finetune.stage.name) == ("WT-pretrain", "WT-finetune")
    assert tricks_of(pretrain.noise) == (KeywordTags(tagger=best_tagger()),)
    assert pretrain.stage.schedule == WarmupCosine()
    assert (start_of(finetune), finetune.stage.head) == ("WT-pretrain", "new")
    assert finetune.noise == ()
    assert (finetune.stage.lr, finetune.stage.epochs) == (0.01, 105)
    assert finetune.stage.schedule == Steps(milestones=(90 / 105,), gamma=0.1)
    for stage in (pretrain.stage, finetune.stage):
        assert (stage.backbone, stage.batch_size, stage.accumulation) == ("resnest101e", 256, 8)
        assert stage.sampler == ClassBalanced()


def test_the_learning_rate_falls_every_90_epochs() -> None:
    schedule = by_name(finetune_epochs="270")["WT-finetune"].stage.schedule
    factors = [schedule.factor(epoch / 270) for epoch in (0, 89, 90, 179, 180, 269)]
    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    assert by_name(finetune_epochs="75")["WT-finetune"].stage.schedule == Steps(milestones=())


def test_pretraining_on_weighted_labels() -> None:
    stages = by_name(pretrain="LW", encoder="lexical", neighbours="4", top="3")
    assert list(stages) == ["LW-pretrain", "LW-finetune"]
    assert stages["LW-pretrain"].slots["noise"] == (
        LabelWeights(encoder="lexical", neighbours=4, top=3),
    )


def test_without_pretraining_one_network_gets_the_same_epochs() -> None:
    (stage,) = recipe_of(pretrain="none").stages
    assert (stage.stage.name, stage.stage.start, stage.noise) == ("none-train", None, ())
    assert stage.stage.epochs == sum(s.stage.epochs for s in recipe_of().stages)
    assert (stage.stage.lr, stage.stage.schedule) == (0.1, WarmupCosine())


def test_larger_pictures_keep_the_last_learning_rate() -> None:
    for pretrain, start in (("WT", "WT-finetune"), ("none", "none-train")):
        recipe = recipe_of(pretrain=pretrain, large_resolution="on")
        (large,) = recipe.members
        assert (large.stage.name, start_of(large)) == (f"{pretrain}-large", start)
        assert (large.stage.input_size, large.stage.head) == (320, "keep")
        assert large.stage.lr == pytest.approx(0.001)
        assert large.stage.schedule == Constant()


def test_pseudo_labels_come_from_every_network_of_the_run() -> None:
    stages = by_name(pseudo_labels="on")
    again = stages["WT-pseudo"]
    assert [start_of(again)] == seen_by(again) == ["WT-finetune"]
    assert tricks_of(again.noise) == (PseudoLabels(sees=again.stage.sees),)
    assert (again.stage.lr, again.stage.epochs, again.stage.head) == (0.01, 90, "keep")

    recipe = recipe_of(**EVERYTHING)
    best = recipe.members[0].stage.sees
    assert [stage.name for stage in best] == ["WT-large", "LW-large"]
    for member in recipe.members:
        assert member.stage.sees == best
        assert member.slots["noise"] == (PseudoLabels(sees=best),)
        assert member.stage.input_size == 320
    assert [member.stage.name for member in recipe.members] == ["WT-pseudo", "LW-pseudo"]
    assert recipe.stages[-2:] == recipe.members


@pytest.mark.parametrize(("pretrain", "other"), [("WT", "LW"), ("LW", "WT"), ("none", "LW")])
def test_an_ensemble_is_of_two_pretrainings_and_two_backbones(pretrain: str, other: str) -> None:
    recipe = recipe_of(pretrain=pretrain, ensemble="on", backbone="resnest200e")
    own, second = recipe.members
    assert second.stage.name == f"{other}-finetune"
    assert own.stage.name == ("none-train" if pretrain == "none" else f"{pretrain}-finetune")
    assert own.stage.backbone == "resnest200e"
    assert second.stage.backbone == "resnext101_32x4d"
    assert recipe.combine == "mean"


def test_rows_share_the_stages_that_are_the_same() -> None:
    plain, whole = by_name(), by_name(**EVERYTHING)
    assert all(whole[name].key == stage.key for name, stage in plain.items())
    weights = by_name(pretrain="LW", backbone="resnext101_32x4d")
    assert all(whole[name].key == stage.key for name, stage in weights.items())


def test_every_knob_of_the_tags_and_the_sampler_arrives() -> None:
    cuts = {"least_images": "2", "most_common": "0.25", "keywords": "10"}
    pretrain = by_name(**cuts, keywords_per_image="3", tagger="textblob", sampling="uniform")[
        "WT-pretrain"
    ]
    assert tricks_of(pretrain.noise) == (
        KeywordTags(
            tagger="textblob", least_images=2, most_common=0.25, max_keywords=10, per_image=3
        ),
    )
    assert pretrain.stage.sampler == Uniform()


@pytest.mark.slow
@pytest.mark.parametrize(
    "knobs",
    [
        {"pretrain": "none", "large_resolution": "on"},
        {"encoder": "lexical", **EVERYTHING},
    ],
    ids=str,
)
def test_rows_run(tiny_home: Path, call: Callable[..., Any], knobs: dict[str, str]) -> None:
    set_knobs = [word for name, value in knobs.items() for word in ("--set", f"{name}={value}")]
    short = ("--data", "synthweb:tiny", "--stage", "epochs=1", "--set", "crops=1")
    ended = call("run", "--plugin", "wechat", *short, *set_knobs)
    assert ended.status == 0, ended
    (path,) = (tiny_home / "records").glob("*.json")
    record: ResultRecord = read_record(path)
    assert record.cost.engine == "deepspeed"
    assert [stage.name for stage in record.stages] == list(by_name(**knobs))
    assert all(0 <= score.top1 <= score.top5 <= 1 for score in record.scores)
    for stage in record.stages:
        assert all(np.isfinite(entry["loss"]) for entry in stage.history)
        tricks = str(stage.tricks)
        named = {"WT-pretrain": "KeywordTags(tagger='", "LW-pretrain": "(encoder='lexical'"}
        assert named.get(stage.name, "") in tricks
