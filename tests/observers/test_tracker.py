"""Trackers are told of a whole run; a recording module stands in for both libraries.

It is no plain double: trackio needs an older Pillow than the rest, so it cannot be among what the
tests install. Its signatures, and wandb's, are kept here: an argument that they lack is an error.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.runner import run
from harness.spec import DataSpec, Override, RunSpec

RECORDING = """
    calls = []
    def init(project, name=None, group=None, config=None, resume="never"):
        print("a line that no JSON has")
        calls.append(("init", project, name, config))
    def log({first}, step=None):
        calls.append(("log", {first}, step))
    def finish():
        calls.append(("finish",))
"""
ARGUMENTS = {"trackio": "metrics", "wandb": "data"}


@pytest.fixture
def recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, install: Callable[..., Path]
) -> Callable[[str], Any]:
    """Put a module of a library's name in its place; return it."""

    def put(library: str) -> Any:
        install(library, RECORDING.format(first=ARGUMENTS[library]), points="")
        import importlib

        monkeypatch.delitem(__import__("sys").modules, library, raising=False)
        return importlib.import_module(library)

    return put


@pytest.mark.slow
@pytest.mark.parametrize("library", ["trackio", "wandb"])
def test_a_tracker_is_told_of_the_whole_run(
    recorded: Callable[[str], Any],
    library: str,
    tiny_home: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module = recorded(library)
    record = run(
        RunSpec(
            plugin="malong_curriculum",
            knobs={"model": "C", "tracker.library": library, "tracker.project": "noisy"},
            data=DataSpec.parse("synthweb:tiny"),
            extra=("tracker",),
            engine="torch",
            overrides=(Override("", "epochs", "1"), Override("", "input_size", "16")),
            home=tiny_home,
        )
    )
    (_, project, name, config), *logs, last = module.calls
    assert (project, last) == ("noisy", ("finish",))
    assert name.startswith("malong_curriculum model=C")
    assert (config["seed"], config["model"]) == (0, "C")
    assert config["stages"] == [stage.name for stage in record.stages]
    json.dumps(config)  # both keep it as JSON
    steps = [step for _, _, step in logs]
    assert steps == sorted(set(steps))
    names = {name for _, metrics, _ in logs for name in metrics}
    assert {f"{stage.name}/loss" for stage in record.stages} < names
    assert not [name for name in names if name.endswith("seconds_left")]
    score = record.score("test", "10 views")
    assert score is not None
    assert logs[-1][1]["test/10 views/last/top1"] == score.top1
    assert capsys.readouterr().out == ""


def test_a_library_that_is_not_there_is_one_line(
    call: Callable[..., Any], tiny_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    asked = ("run", "--plugin", "baseline", "--data", "synthweb:tiny", "--engine", "torch")
    ended = call(*asked, "--with", "tracker", "--set", "tracker.library=wandb")
    assert ended.status == 2
    assert "--with tracker needs wandb" in ended.err.splitlines()[-1]
    assert "pip install wandb" in ended.err.splitlines()[-1]
