"""``harness leaderboard`` on a folder of real records."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from harness.cli.leaderboard import FORMATS, leaderboard
from harness.errors import HarnessError
from harness.store.record import ResultRecord
from harness.store.record_files import write_record
from harness_leaderboard.formats import LISTS, PAGES, SUFFIXES
from harness_leaderboard.published import load_field, load_published

PUBLISHED = load_published()
KNOB = {"origin": "published", "source": "Table 1"}
STAGE = {"name": "train", "key": "k", "values": {}, "origins": {}, "tricks": {}, "history": []}


def knobs(model: str) -> dict[str, str]:
    """The knobs of the published row of a model of Malong's."""
    return next(row.knobs for row in PUBLISHED if row.label == f"Model-{model}")


def record(model: str, seed: int, top1: float) -> ResultRecord:
    terms = {"split": "test", "protocol": "10 views", "images": 1000}
    score = {"top1": top1, "top5": 0.9, "top1_class_mean": top1, "top5_class_mean": 0.9}
    return ResultRecord.model_validate(
        {
            "id": f"{model}{seed}",
            "plugin": "malong_curriculum",
            "label": f"malong_curriculum model={model}",
            "knobs": {name: {**KNOB, "value": value} for name, value in knobs(model).items()},
            "plugins": [],
            "without": [],
            "data": {
                "plugin": "synthweb",
                "edition": "synthweb-small v1",
                "fingerprint": "f",
                "classes": 20,
                "train_samples": 2500,
            },
            "seed": seed,
            "full_size": False,
            "members": ["train"],
            "combine": "",
            "stages": [STAGE],
            "scores": [{**terms, **score, "epoch": epoch} for epoch in ("last", "best")],
            "noise": [],
            "commit": "c",
            "dirty": False,
            "cost": {
                "wall_seconds": 9,
                "device_seconds": 9,
                "stage_seconds": {},
                "images_per_second": {},
                "peak_memory_bytes": 1,
                "hardware": {},
                "versions": {},
                "engine": "torch",
                "created": "2024-05-01",
            },
        }
    )


@pytest.fixture(autouse=True)
def terminal(monkeypatch):
    """A terminal as wide as a file."""
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def home(tmp_path):
    for seed in (0, 1):
        for model, top1 in (("A", 0.5), ("D", 0.6)):
            write_record(tmp_path / "records", record(model, seed, top1 + seed / 50))
    return tmp_path


def run(home, *words):
    """Call the command; warnings about missing predictions stand on the board."""
    # As below the whole command: click keeps the first help option that it makes.
    names = ["-h", "--help"]
    return CliRunner().invoke(
        leaderboard, words, obj=home, catch_exceptions=False, help_option_names=names
    )


def test_one_board_of_what_was_measured(home):
    result = run(home)
    assert (result.exit_code, result.stderr) == (0, "")
    first, second = (line for line in result.stdout.splitlines() if line.startswith("1-2"))
    assert "model=D" in first
    assert "61.0" in first
    assert "published" not in result.stdout.replace("published ones", "")
    assert "model=A" in second
    assert "No two rows share 3 seeds, so none can be told apart" in result.stdout
    assert "No baseline: harness run --plugin baseline" in " ".join(result.stdout.split())


def test_published_numbers_have_boards_of_their_own(home):
    text = run(home, "--published", "--data", "webvision1").stdout
    assert "WebVision 1.0 · val · 10 views (published)" in text
    assert "model=D" not in text
    everything = run(home, "--all").stdout
    for table in everything.split("\n\n\n"):
        assert not ("(published)" in table and "malong_curriculum" in table)
        assert not ("(measured)" in table and "72.09" in table)


def test_the_forms_offered_are_those_there_are():
    assert set(FORMATS) == {*PAGES, *LISTS}


@pytest.mark.parametrize("form", FORMATS)
def test_every_form_can_go_to_a_file(home, form):
    shown = run(home, "--format", form)
    path = home / "boards" / f"board.{form}"
    written = run(home, "--format", form, "--output", str(path))
    assert written.stdout == ""
    assert written.stderr == f"{shown.stderr}wrote {path}\n"
    assert path.read_text(encoding="utf-8") == shown.stdout
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_file_that_cannot_be_written_is_an_error(home):
    (home / "file").write_text("")
    with pytest.raises(HarnessError, match="cannot write"):
        run(home, "--output", str(home / "file" / "board.txt"))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_suffix_of_the_file_decides_the_form(home, suffix):
    path = home / f"board{suffix.upper()}"
    assert run(home, "-o", str(path)).exit_code == 0
    form = SUFFIXES[suffix]
    assert path.read_text(encoding="utf-8") == run(home, "--format", form).stdout
    assert run(home, "-o", str(path), "--format", "csv").exit_code == 0
    assert path.read_text(encoding="utf-8") == run(home, "--format", "csv").stdout


def test_lists_can_be_read_by_scripts(home):
    rows = json.loads(run(home, "--format", "json", "--epoch", "all").stdout)
    assert [(row["method"][-1], row["epoch"]) for row in rows] == [
        *(("D", "best"), ("D", "last"), ("A", "best"), ("A", "last")),
    ]
    assert rows[0]["seeds"] == [0, 1]
    table = list(csv.DictReader(io.StringIO(run(home, "--format", "csv").stdout)))
    assert [(row["method"][-1], row["seeds"]) for row in table] == [("D", "0 1"), ("A", "0 1")]
    everything = json.loads(run(home, "--all", "--format", "json").stdout)
    assert len(everything) == 2 * 2 + len(PUBLISHED) + len(load_field())


def test_filters_narrow_the_board_and_repeat(home):
    def rows(*words):
        return json.loads(run(home, "--format", "json", *words).stdout)

    for data in ("synthweb-small v1", "synthweb:small", "synthweb"):
        assert [row["seeds"] for row in rows("--data", data, "--seed", "1")] == [[1], [1]]
    one, both = "malong_curriculum model=A", "malong_curriculum model=D"
    assert {row["method"] for row in rows("--method", one)} == {one}
    assert {row["method"] for row in rows("--method", one, "--method", both)} == {one, both}
    assert len(rows("--method", "malong_curriculum", "--seed", "0", "--seed", "1")) == 2
    for words, said in (
        (("--seed", "7"), "no record has seed 7; seeds with records: 0, 1"),
        (("--data", "imagenet"), "unknown data set 'imagenet'"),
        (("--method", "baseline"), "unknown method 'baseline'"),
        (("--split", "val"), "unknown score on synthweb-small v1 'val'"),
    ):
        with pytest.raises(HarnessError, match=said):
            run(home, *words)


def test_it_fits_the_terminal(home, monkeypatch):
    for width in (40, 72, 100):
        monkeypatch.setenv("COLUMNS", str(width))
        assert max(map(len, run(home).stdout.splitlines())) <= width


def test_the_home_may_stand_before_and_after_the_command(home, call, tmp_path):
    asked = ("leaderboard", "--format", "json")
    before = call("--home", str(home), *asked)
    after = call(*asked, "--home", str(home))
    assert (before.status, before.out) == (after.status, after.out)
    assert len(json.loads(after.out)) == 2
    assert "must be a folder" in call(*asked, "--home", str(home / "records" / "A0.json")).error
    listed = call("plugins", "show", "baseline", "--home", str(tmp_path / "new"))
    assert listed.status == 0


def test_an_unreadable_record_is_named_and_the_others_shown(home):
    (home / "records" / "broken.json").write_text('{"id": ')
    result = run(home)
    assert result.exit_code == 0
    assert result.stderr.startswith("left out: ")
    assert "broken.json" in result.stderr
    assert result.stderr.count("\n") == 1
    assert "model=D" in result.stdout


def test_an_empty_home_has_three_lines_that_say_what_to_type(tmp_path):
    result = run(tmp_path)
    assert result.stdout.splitlines() == [
        "Nothing is measured yet. To fill the board (a minute each on two cores):",
        "  harness run --plugin baseline",
        "  harness run --plugin huawei",
    ]
    listed = run(tmp_path, "--format", "json")
    assert json.loads(listed.stdout) == []
    assert "harness run --plugin baseline" in listed.stderr
    assert "Malong Model-D" in run(tmp_path, "--published").stdout


def test_a_wrong_choice_is_refused(home):
    result = run(home, "--format", "pdf")
    assert result.exit_code == 2
    assert "'table', 'markdown'" in result.stderr


def test_help_has_examples(home):
    text = run(home, "--help").stdout
    assert "harness leaderboard -o board.html" in text
    assert isinstance(leaderboard, click.Command)


@pytest.mark.slow
def test_neither_the_command_nor_the_board_imports_what_is_heavy():
    program = (
        "import sys, harness.cli.leaderboard\n"
        "assert not {'pandas', 'numpy', 'tabulate', 'torch', 'leaderboard'} & set(sys.modules)\n"
        "import harness_leaderboard.formats\n"
        "assert not {'torch', 'timm', 'deepspeed', 'plugins', 'pluggy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_site_has_every_board_so_filters_are_refused(
    call: Callable[..., Any], tmp_path: Path
) -> None:
    asked = ("leaderboard", "--site", str(tmp_path / "site"))
    ended = call(*asked, "--method", "pci", "--published")
    assert ended.error == "--site writes every board and table; leave out --method and --published"
    ended = call(*asked)
    assert ended.status == 0
    assert str(tmp_path / "site" / "index.html") in ended.out
