"""What the shell offers for a word that is not finished."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.shell_completion import ShellComplete

from harness.cli import cli
from harness.store.record import ResultRecord
from harness.store.record_files import write_record

pytestmark = pytest.mark.usefixtures("tried_home")


def offered(line: str) -> set[str]:
    """What is offered for the last word of a line."""
    *before, word = line.split(" ")
    found = ShellComplete(cli, {}, "harness", "_HARNESS_COMPLETE").get_completions(before, word)
    return {item.value for item in found}


@pytest.fixture
def runs(harness_home: Path, small_record: ResultRecord) -> list[str]:
    """The ids of three runs."""
    ids = ["baseline-seed0-0123", "baseline-seed12-4567", "pci-seed0-89ab"]
    for name in ids:
        write_record(harness_home / "records", small_record.model_copy(update={"id": name}))
    return ids


def test_methods_are_offered_to_run_and_every_plugin_to_add() -> None:
    methods = offered("run --plugin ")
    assert {"baseline", "malong_curriculum", "huawei"} <= methods
    assert not methods & {"synthweb", "timm", "console", "tensorboard"}
    assert offered("run --plugin malong") == {"malong_curriculum"}
    assert {"console", "tensorboard", "baseline"} <= offered("run --with ")
    assert offered("leaderboard --method basel") == {"baseline"}


def test_a_disabled_and_a_broken_method_are_not_offered(
    harness_home: Path, install: Callable[..., Any]
) -> None:
    install("ailing_method", "raise RuntimeError")
    (harness_home / "disabled-plugins.txt").write_text("pci\n")
    assert not offered("run --plugin ") & {"ailing_method", "pci"}


def test_data_sets_are_offered_with_their_presets() -> None:
    found = offered("run --plugin baseline --data ")
    assert {"synthweb:tiny", "synthweb:small", "synthweb:large", "webvision1:"} <= found
    assert not found & {"baseline", "timm"}
    for command in ("plan", "leaderboard", "compare", "verify", "reproduce", "plugins check x"):
        assert offered(f"{command} --data synthweb:t") == {"synthweb:tiny"}, command


def test_knobs_are_those_of_the_method() -> None:
    assert offered("run --plugin malong_curriculum --set mo") == {"model="}
    assert offered("run --plugin baseline --with huawei --set huawei.enc") == {"huawei.encoder="}
    assert offered("run --set mo") == set()
    assert offered("run --plugin no_such --set mo") == set()


def test_stages_and_their_fields_are_offered() -> None:
    assert offered("run --plugin malong_curriculum --stage epo") == {"epochs="}
    assert offered("run --plugin malong_curriculum --stage task-1.ep") == {"task-1.epochs="}
    assert offered("run --plugin baseline --stage train.l") == {"train.lr="}
    assert offered("reproduce --stage l") == {"lr="}


def test_runs_are_offered(runs: list[str]) -> None:
    assert offered("compare ") == {*runs, "baseline", "pci"}
    assert offered("compare baseline pci") == {"pci", "pci-seed0-89ab"}
    assert offered("verify ") == set(runs)
    assert offered("leaderboard --seed 1") == {"12"}


def test_the_home_of_the_line_counts(runs: list[str], harness_home: Path, tmp_path: Path) -> None:
    assert offered(f"--home {tmp_path / 'other'} verify ") == set()
    assert offered(f"--home {harness_home} verify pci") == {runs[-1]}


def test_commands_and_options_are_offered() -> None:
    assert offered("") == {*cli.list_commands(click.Context(cli))}
    assert "--data" in offered("leaderboard --")
