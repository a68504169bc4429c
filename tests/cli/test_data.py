"""``harness data``: a table for people, JSON for machines, a status for scripts."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from harness.cli.data import data
from harness.errors import HarnessError

TREES = Path(__file__).parents[1] / "data" / "trees"


def invoke(*arguments: object) -> Result:
    # As below the whole command: click keeps the first help option that it makes.
    names = ["-h", "--help"]
    return CliRunner().invoke(data, [*map(str, arguments)], help_option_names=names)


def test_help_names_every_command() -> None:
    result = invoke("--help")
    assert result.exit_code == 0
    for name in ("check", "stats"):
        assert f"\n  {name}" in result.output
        shown = invoke(name, "--help")
        assert shown.exit_code == 0
        assert "Examples:\n    harness data " in shown.output
    assert set(data.list_commands(click.Context(data))) == {"check", "stats", "index", "pack"}
    assert "unknown command 'chek'" in str(invoke("chek").exception)


def test_check_prints_tables_and_a_verdict() -> None:
    result = invoke("check", TREES / "webvision2", "--images", "none")
    assert result.exit_code == 0
    assert "WebVision 2.0, as downloaded, 4 classes" in result.output
    for line in (
        "google                   5        4           0               1          5          4",
        "rarest   n01440764  tench, Tinca tinca",
        "imbalance (largest over rarest): 4.0",
        "queries count from 1 (max 5), synsets from 0 (min 0)",
        "nothing here would stop a run",
    ):
        assert line in result.output
    assert result.stderr == ""


def test_check_fails_if_a_run_would_stop() -> None:
    result = invoke("check", TREES / "webvision1")
    assert result.exit_code == 1
    assert "error: train: 9 of 9 pictures looked for are missing" in result.output
    assert "val_filelist.txt, line 1: val_images_256/val000001.jpg is missing" in result.output
    assert result.output.endswith("a run would stop\n")


def test_check_prints_json() -> None:
    result = invoke("check", TREES / "webvision1", "--json")
    assert result.exit_code == 1
    report = json.loads(result.output)
    assert report["stops_a_run"] is True
    assert report["imbalance"] == 2.0
    assert report["sources"][2]["entries"] == 9
    assert report["images"][0]["missing"] == 9
    assert report["findings"][0]["level"] == "error"
    assert report["classes"][0]["wnid"] == "n01440764"


def test_check_goes_on_after_a_broken_list(tmp_path: Path) -> None:
    root = tmp_path / "broken"
    shutil.copytree(TREES / "webvision1", root)
    (root / "info" / "train_filelist_google.txt").write_text("google/q0001/a.jpg\n")
    result = invoke("check", root, "--images", "none")
    assert result.exit_code == 1
    assert "train_filelist_google.txt, line 1: 'google/q0001/a.jpg' is not like" in result.output
    assert "flickr                   4        4" in result.output
    (root / "info" / "synsets.txt").unlink()
    assert "synsets.txt is missing" in invoke("check", root).output


def test_what_is_not_an_edition_is_one_line(tmp_path: Path) -> None:
    result = invoke("check", tmp_path)
    assert isinstance(result.exception, HarnessError)
    assert "does not hold an edition of WebVision" in str(result.exception)
    assert "\n" not in str(result.exception)
    result = invoke("check", tmp_path / "nowhere", "--edition", "webvision1")
    assert isinstance(result.exception, HarnessError)
    assert "nowhere is not a folder" in str(result.exception)


def test_stats_writes_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    output = tmp_path / "figure.svg"
    result = invoke("stats", TREES / "webvision1", "--output", output)
    assert result.exit_code == 0, result.output
    assert result.output == f"wrote {output}\n"
    assert output.read_text().startswith("<?xml")
    monkeypatch.chdir(tmp_path)
    assert invoke("stats", TREES / "webvision1").output == "wrote stats.svg\n"
    assert Path("stats.svg").read_bytes() == output.read_bytes()


def test_stats_refuses_before_it_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = invoke("stats", tmp_path, "--output", tmp_path / "figure.pdf")
    assert "a picture ends in .svg or .png" in str(result.exception)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = invoke("stats", tmp_path, "--output", tmp_path / "figure.svg")
    assert "pip install matplotlib" in str(result.exception)


def test_the_door_is_light() -> None:
    code = (
        "import sys, harness.cli.data, harness.cli.data_check, harness.cli.data_stats; "
        "print({'torch', 'numpy', 'pandas', 'matplotlib', 'timm'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_long_check_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.progress.FILE_SECONDS", 0.0)
    result = invoke("check", TREES / "webvision1", "--images", "none")
    assert "texts of google: 3/3\n" in result.stderr
    assert "texts of google: 3/3" not in result.stdout
