"""``harness plan``: every stage, every value with its origin, and what is cached."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from harness.assembly.discovery import plugins_with
from harness.spec import default_home
from harness.store.files import write_text
from harness.store.record import ResultRecord
from harness.store.record_files import write_record
from harness.store.stages import stage_folder

Call = Callable[..., Any]
TINY = ("--data", "synthweb:tiny")


@pytest.fixture
def plan(call: Call, tiny_home: Path) -> Call:
    """Return what ``harness plan ... --json`` says."""

    def planned(*arguments: str) -> Any:
        outcome = call("plan", *arguments, *TINY, "--json")
        assert (outcome.status, outcome.err) == (0, "")
        return json.loads(outcome.out)

    return planned


def values_of(stage: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {value["name"]: (value["value"], value["origin"]) for value in stage["values"]}


def test_the_whole_graph_with_origins(plan: Call) -> None:
    planned = plan("--plugin", "malong_curriculum", "--set", "model=C", "--stage", "task-1.lr=0.5")
    assert planned["label"] == "malong_curriculum model=C task-1.lr=0.5"
    assert planned["data"] == "synthweb-tiny v1 (300 samples, 6 classes)"
    assert planned["plugins"] == [
        "malong_curriculum",
        "synthweb",
        "timm",
        "texts",
        "console",
        "tensorboard",
    ]
    assert not planned["full_size"]
    initial, first, second = planned["stages"]
    assert initial["graph"] == "900 images; starts from random weights"
    assert first["graph"].endswith("starts from random weights; sees initial")
    assert second["graph"].endswith("starts from task-1; sees initial")
    assert values_of(first)["lr"] == ("0.5", "command line")
    assert values_of(second)["lr"] == ("0.05", "profile of synthweb")
    assert values_of(second)["precision"] == ("fp32", "recipe")
    assert [trick.partition("(")[0] for trick in second["tricks"]["noise"]] == [
        "DensitySubsets",
        "KeepSubsets",
        "WeighSubsets",
    ]
    assert planned["protocols"] == ["1 view: val, test", "10 views: val, test"]
    assert planned["record"].startswith("malong_curriculum-seed0-")
    assert planned["record_state"] == "to be made"
    assert len({stage["key"] for stage in planned["stages"]}) == 3


def test_knobs_have_values_and_origins(plan: Call) -> None:
    knobs = plan("--plugin", "malong_curriculum", "--set", "model=B")["knobs"]
    found = {knob["name"]: (knob["value"], knob["origin"]) for knob in knobs}
    assert found["model"] == ("B", "command line")
    assert found["crops"] == ("10", "published")
    assert found["epochs"] == ("75", "assumed")
    assert all(knob["source"] for knob in knobs)


def test_what_is_cached_and_what_was_begun_is_said(plan: Call, tiny_home: Path) -> None:
    first, second, *_ = plan("--plugin", "malong_curriculum")["stages"]
    assert (first["state"], second["state"]) == ("to be trained", "to be trained")
    stage_folder(tiny_home, first["key"]).finish({})
    for step in ("0000000007", "0000000123"):
        write_text(tiny_home / "stages" / second["key"][:32] / f"checkpoint-{step}.json", "{}")
    first, second, third, _ = plan("--plugin", "malong_curriculum")["stages"]
    assert first["state"] == "cached"
    assert second["state"] == "begun, step 123"
    assert third["state"] == "to be trained"
    other = plan("--plugin", "malong_curriculum", "--seed", "1")["stages"]
    assert {stage["state"] for stage in other} == {"to be trained"}


def test_a_record_that_is_there_is_said(
    plan: Call, tiny_home: Path, small_record: ResultRecord
) -> None:
    record = plan("--plugin", "baseline")["record"]
    write_record(tiny_home / "records", small_record.model_copy(update={"id": record}))
    assert plan("--plugin", "baseline")["record_state"] == "done"
    assert plan("--plugin", "baseline", "--stage", "epochs=2")["record_state"] == "to be made"


def test_another_method_adds_the_tricks_of_its_hooks(plan: Call) -> None:
    stem = ("--set", "malong_curriculum.stem=multi_scale")
    planned = plan("--plugin", "baseline", "--with", "malong_curriculum", *stem)
    assert planned["plugins"][:2] == ["baseline", "malong_curriculum"]
    assert [stage["name"] for stage in planned["stages"]] == ["train"]
    assert planned["label"] == "baseline malong_curriculum.stem=multi_scale +malong_curriculum"
    assert "MultiScaleStem" in json.dumps(planned["stages"])
    assert planned["protocols"] == plan("--plugin", "baseline")["protocols"]


def test_a_method_that_adds_nothing_is_refused_as_a_further_plugin(call: Call) -> None:
    """Its row "baseline +elr" would be that of the baseline."""
    methods = [name for name in plugins_with("plan", default_home()) if name != "baseline"]
    added = {
        name: outcome
        for name in methods
        if (outcome := call("plan", "--plugin", "baseline", "--with", name, *TINY)).err
        != f"Error: --with {name} adds nothing to this run: only the plan of --plugin is used; "
        f"run it by --plugin {name}\n"
    }
    assert len(methods) > 15
    assert added == {}


SOMETIMES = """
from harness.hookspecs import hookimpl
class Sharp:
    def __call__(self, loss):
        return loss
class Plugin:
    @hookimpl
    def loss_tricks(self, stage):
        return [Sharp()] if stage.epochs == 2 else []
class Nothing:
    pass
"""


def test_what_has_no_trick_for_a_run_is_refused_but_not_what_is_left_out(
    plan: Call, call: Call, install: Callable[..., Path]
) -> None:
    points = "sometimes = sometimes:Plugin\nnothing = sometimes:Nothing"
    install("sometimes", SOMETIMES, points=points)
    asked = ("--plugin", "baseline", "--with", "sometimes")
    refused = call("plan", *asked, *TINY).error
    assert refused == (
        "--with sometimes adds nothing to this run: its loss_tricks returned no trick; leave it out"
    )
    two = (*asked, "--stage", "epochs=2")
    assert "Sharp" in json.dumps(plan(*two)["stages"])
    assert plan(*two, "--without", "Sharp")["label"] == "baseline +sometimes -Sharp epochs=2"
    nothing = call("plan", "--plugin", "baseline", "--with", "nothing", *TINY).error
    assert nothing == "--with nothing adds nothing to this run: it has no hook; leave it out"


def test_a_trick_is_left_out(plan: Call) -> None:
    planned = plan("--plugin", "malong_curriculum", "--without", "WeighSubsets")
    assert "WeighSubsets" not in json.dumps(planned["stages"])
    assert planned["label"] == "malong_curriculum -WeighSubsets"


NETWORKS = """
from harness.hookspecs import hookimpl
class Plugin:
    @hookimpl
    def build_model(self):
        raise NotImplementedError
"""


def test_others_networks_take_timms_place_but_two_of_them_are_an_error(
    plan: Call, call: Call, install: Callable[..., Path]
) -> None:
    install("nets_one", NETWORKS)
    install("nets_two", NETWORKS)
    ours = plan("--plugin", "baseline")
    theirs = plan("--plugin", "baseline", "--with", "nets_one")
    assert theirs["plugins"] == [
        "baseline",
        "nets_one",
        "synthweb",
        "texts",
        "console",
        "tensorboard",
    ]
    assert theirs["stages"][0]["key"] != ours["stages"][0]["key"]
    both = call("plan", "--plugin", "baseline", *TINY, "--with", "nets_one", "--with", "nets_two")
    assert both.error == (
        "'nets_one' and 'nets_two' both provide 'build_model'; leave one of them out of this run"
    )


def test_people_read_the_same(call: Call, tiny_home: Path) -> None:
    out = call("plan", "--plugin", "malong_curriculum", *TINY).out
    assert out.startswith("malong_curriculum, seed 0, on synthweb-tiny v1 (300 samples, 6 classes)")
    assert (
        "plugins, in order: malong_curriculum, synthweb, timm, texts, console, tensorboard" in out
    )
    assert "stage task-3  [to be trained]" in out
    assert "  noise: WeighSubsets(weights=(1.0, 0.5, 0.5))" in out
    assert "profile of synthweb" in out
    assert "[to be made]" in out.splitlines()[-1]


def test_a_plan_makes_nothing_but_the_data(plan: Call, tiny_home: Path) -> None:
    plan("--plugin", "malong_curriculum")
    assert [path.name for path in tiny_home.iterdir()] == ["data"]


def test_plan_and_estimate_take_what_run_takes() -> None:
    """A user replaces the word run: only what a launcher adds may be missing."""
    from harness.cli import cli

    def options_of(name: str) -> set[str]:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        return {option for parameter in command.params for option in parameter.opts}

    of_run = options_of("run")
    assert {"--cpu-ranks", "--rendezvous", "--checkpoint-seconds"} <= of_run
    for name in ("plan", "estimate"):
        assert of_run - options_of(name) == {"--local_rank", "--local-rank"}, name


def test_the_number_of_processes_decides_keys_and_batches(plan: Call, call: Call) -> None:
    def key(*asked: str) -> str:
        return str(plan(*asked)["stages"][0]["key"])

    several = ("--nodes", "2", "--node-rank", "0", "--rendezvous", "gpu1:29500")
    for method, depends in (("baseline", False), ("sce", True)):
        alone = key("--plugin", method)
        assert (key("--plugin", method, "--cpu-ranks", "2") != alone) is depends
        assert key("--plugin", method, "--gpus", "2") == key("--plugin", method, *several)
        assert key("--plugin", method, "--gpus", "0", "--checkpoint-seconds", "0") == alone
    for asked, words in (
        (("--gpus", "3"), "a batch of 64 cannot be split over 3 ranks"),
        (("--gpus", "3", "--export", "slurm"), "a batch of 64 cannot be split over 3 ranks"),
        (("--cpu-ranks", "2", "--export", "slurm"), "--export slurm cannot take --cpu-ranks"),
        (("--cpu-ranks", "2", "--gpus", "2"), "exclude each other"),
        (("--stage", "norm_group=7"), "norm_group=7 does not divide the 64 samples"),
        (("--nodes", "2", "--node-rank", "0"), "belong together"),
    ):
        refused = call("plan", "--plugin", "baseline", *TINY, *asked)
        assert (refused.status, words in refused.err) == (2, True), (asked, refused.err)


def test_every_slot_of_tricks_is_shown(plan: Call, call: Call) -> None:
    (stage,) = plan("--plugin", "ssr")["stages"]
    assert list(stage["tricks"]) == ["epoch", "model", "picture", "batch", "loss"]
    shown = call("plan", "--plugin", "ssr", *TINY).out
    for line in ("  epoch: VoteOfNeighbours(", "  picture: RandAugment("):
        assert line in shown
    tested = call("plan", "--plugin", "malong_curriculum", *TINY).out
    assert "  testing: MultiCrop(crops=10)\n  1 view: val, test" in tested
