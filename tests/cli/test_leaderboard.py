"""``harness leaderboard`` on a folder of real records."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from harness.cli.leaderboard import FORMATS, leaderboard
from harness.errors import HarnessError
from harness.store.record import ResultRecord
from harness.store.record_files import write_record
from harness_leaderboard.formats import LISTS, PAGES
from harness_leaderboard.published import load_published

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


@pytest.fixture
def home(tmp_path):
    for seed in (0, 1):
        for model, top1 in (("A", 0.5), ("D", 0.6)):
            write_record(tmp_path / "records", record(model, seed, top1 + seed / 50))
    return tmp_path


def run(home, *words):
    return CliRunner().invoke(leaderboard, words, obj=home, catch_exceptions=False)


def test_models_stand_beside_their_published_rows(home):
    result = run(home)
    assert result.exit_code == 0
    line = next(line for line in result.stdout.splitlines() if "model=D" in line)
    assert "61.00 ± 1.41" in line
    assert "72.09 / 89.18" in line
    assert "WebVision 1.0 · val · 10 views (published)" in result.stdout
    assert result.stderr == ""


def test_the_forms_offered_are_those_there_are():
    assert set(FORMATS) == {*PAGES, *LISTS}


@pytest.mark.parametrize("form", FORMATS)
def test_every_form_can_go_to_a_file(home, form):
    shown = run(home, "--format", form)
    path = home / "boards" / f"board.{form}"
    written = run(home, "--format", form, "--output", str(path))
    assert written.stdout == ""
    assert written.stderr == f"wrote {path}\n"
    assert path.read_text(encoding="utf-8") == shown.stdout
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_file_that_cannot_be_written_is_an_error(home):
    (home / "file").write_text("")
    with pytest.raises(HarnessError, match="cannot write"):
        run(home, "--output", str(home / "file" / "board.txt"))


def test_lists_can_be_read_by_scripts(home):
    rows = json.loads(run(home, "--format", "json", "--epoch", "both").stdout)
    assert len(rows) == 2 * 2 + len(PUBLISHED)
    text = run(home, "--format", "csv", "--no-published").stdout
    table = list(csv.DictReader(io.StringIO(text)))
    assert [(row["method"][-1], row["seeds"], row["reference"]) for row in table] == [
        ("D", "0 1", ""),
        ("A", "0 1", ""),
    ]


def test_options_narrow_the_board(home):
    rows = json.loads(run(home, "--format", "json", "--data", "synthweb", "--seed", "1").stdout)
    assert {(row["edition"], row["seeds"]) for row in rows} == {("synthweb-small v1", "1")}
    rows = json.loads(run(home, "--format", "json", "--split", "val", "--epoch", "best").stdout)
    assert {row["split"] for row in rows} == {"val"}
    with pytest.raises(HarnessError, match="no record has seed 7; seeds with records: 0, 1"):
        run(home, "--seed", "7")
    with pytest.raises(HarnessError, match="unknown edition 'imagenet'"):
        run(home, "--data", "imagenet")


def test_an_unreadable_record_is_named_and_the_others_shown(home):
    (home / "records" / "broken.json").write_text('{"id": ')
    result = run(home)
    assert result.exit_code == 0
    assert result.stderr.startswith("left out: ")
    assert "broken.json" in result.stderr
    assert result.stderr.count("\n") == 1
    assert "model=D" in result.stdout


def test_an_empty_board_says_how_to_fill_it(tmp_path):
    result = run(tmp_path)
    assert "harness run --plugin malong_curriculum" in result.stdout
    assert "Malong Model-D" in result.stdout
    listed = run(tmp_path, "--format", "csv")
    assert "harness run --plugin malong_curriculum" in listed.stderr
    assert len(listed.stdout.splitlines()) == 1 + len(PUBLISHED)


def test_a_wrong_choice_is_refused(home):
    result = run(home, "--format", "pdf")
    assert result.exit_code == 2
    assert "'table', 'markdown'" in result.stderr


def test_help_has_examples(home):
    text = run(home, "--help").stdout
    assert "harness leaderboard --format html --output board.html" in text
    assert isinstance(leaderboard, click.Command)


def test_neither_the_command_nor_the_board_imports_what_is_heavy():
    program = (
        "import sys, harness.cli.leaderboard\n"
        "assert not {'pandas', 'numpy', 'tabulate', 'torch', 'leaderboard'} & set(sys.modules)\n"
        "import harness_leaderboard.formats\n"
        "assert not {'torch', 'timm', 'deepspeed', 'plugins', 'pluggy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
