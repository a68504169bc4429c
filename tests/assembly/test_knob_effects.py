"""A knob that is set must reach the training, or the run is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.assembly.knob_effects import check_knobs
from harness.errors import HarnessError
from harness.spec import DataSpec, Override, RunSpec

TINY = DataSpec(name="synthweb", path="tiny")


def asked(plugin: str = "baseline", stage: dict[str, str] | None = None, **knobs: str) -> RunSpec:
    overrides = tuple(Override("", field, text) for field, text in (stage or {}).items())
    return RunSpec(plugin=plugin, data=TINY, knobs=knobs, overrides=overrides)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            asked(backbone="resnet18"),
            "--set backbone=resnet18 would not be trained: the profile of synthweb has "
            "backbone=test_resnet; set --stage backbone=VALUE instead, or leave the profile out by "
            "--full-size",
        ),
        (asked(backbone="resnet50"), "--set backbone=resnet50 would not be trained"),  # the default
        (asked(batch_size="128"), "the profile of synthweb has batch_size=64; set --stage batch_"),
        (asked(epochs="76"), "the profile of synthweb has epochs=3; set --stage epochs=VALUE"),
        (
            asked(backbone="resnet18", stage={"backbone": "resnet34"}),
            "--set backbone=resnet18 would not be trained: the command line has backbone=resnet34",
        ),
        (asked("huawei", backbone="resnet152"), "--set backbone=resnet152 would not be trained"),
        (
            asked("malong_curriculum", model="A", weights="1,0.4,0.2"),
            "--set weights=1,0.4,0.2 changes nothing in this run; leave it out",
        ),
    ],
)
def test_a_knob_without_effect_is_refused(spec: RunSpec, words: str) -> None:
    with pytest.raises(HarnessError) as caught:
        check_knobs(spec)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "spec",
    [
        asked(),
        asked(epochs="150"),  # scaled by the profile as all epochs are
        asked(lr="0.2", crops="1"),
        asked(batch_size="64"),  # as the profile has it
        asked(backbone="resnet18", stage={"backbone": "resnet18"}),
        asked(crops="10"),  # the default
        asked("malong_curriculum", model="B"),  # another network, but tricks as well
        asked("external_scores", scores="text", encoder="lexical"),
    ],
)
def test_a_knob_with_effect_is_not(spec: RunSpec) -> None:
    check_knobs(spec)


OWN_NETWORKS = """
from dataclasses import dataclass
from harness import Plan, Stage, assumed, hookimpl

@dataclass
class Plugin:
    width: int = assumed(8, "small")

    @hookimpl
    def plan(self):
        return Plan(stages=(Stage(name="train", backbone="own", epochs=1, batch_size=8, lr=0.1),))

    @hookimpl
    def build_model(self):
        raise NotImplementedError
"""


def test_a_knob_of_a_method_with_networks_of_its_own_is_not_judged(
    install: Callable[..., Path],
) -> None:
    install("wide", OWN_NETWORKS)
    check_knobs(asked("wide", width="16"))


def test_every_way_to_ask_for_a_run_refuses_it(call: Callable[..., Any], tiny_home: Path) -> None:
    options = ("--plugin", "baseline", "--data", "synthweb:tiny", "--set", "backbone=resnet18")
    for command in ("run", "plan", "estimate", "ablate"):
        assert "would not be trained" in call(command, *options).error
    assert "would not be trained" in call("plan", *options, "--export", "slurm").error
    for function in (harness.run, harness.plan):
        with pytest.raises(HarnessError, match="would not be trained"):
            function("baseline", data="synthweb:tiny", backbone="resnet18")
    assert not (tiny_home / "stages").exists()
