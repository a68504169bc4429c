"""Methods from their files to their records, on the embedded data at its smallest."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.store.record import ResultRecord
from harness.store.record_files import read_record

pytestmark = pytest.mark.slow

Call = Callable[..., Any]
BreakPicture = Callable[..., Path]
TINY = ("--data", "synthweb:tiny")
ONE_EPOCH = (*TINY, "--stage", "epochs=1")


def the_record(home: Path) -> ResultRecord:
    (path,) = (home / "records").glob("*.json")
    return read_record(path)


def without_cost(record: ResultRecord) -> dict[str, Any]:
    return record.model_dump(exclude={"cost"})


@pytest.fixture
def home(tiny_home: Path) -> Path:
    """A home whose pictures may be broken: copied folders, linked files."""
    data = tiny_home / "data"
    drawn = data.resolve()
    data.unlink()
    for path in drawn.rglob("*"):
        copy = data / path.relative_to(drawn)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            os.link(path, copy)
    return tiny_home


@pytest.fixture
def break_picture(home: Path, break_file: Callable[[Path, Path], None]) -> BreakPicture:
    """Break one picture of a split."""

    def replace_picture(split: str, number: int = 0) -> Path:
        folder = next((home / "data").glob("*-tiny-0/info")).parent
        pattern = "google/q*/*.jpg" if split == "train" else f"{split}_images_256/*.jpg"
        path = sorted(folder.glob(pattern))[number]
        break_file(folder, path)
        return path

    return replace_picture


def test_the_baseline_gives_a_record_with_scores_and_predictions(
    tiny_home: Path, call: Call
) -> None:
    ended = call("run", "--plugin", "baseline", *TINY)
    assert ended.status == 0, ended
    record = the_record(tiny_home)
    assert (record.plugin, record.data.edition) == ("baseline", "synthweb-tiny v1")
    assert record.full_size is False
    assert {(s.split, s.protocol) for s in record.scores} == {
        (split, views) for split in ("val", "test") for views in ("1 view", "10 views")
    }
    (stage,) = record.stages
    assert stage.broken_images == 0
    assert [entry["epoch"] for entry in stage.history] == [1, 2, 3]
    assert stage.history[-1]["loss"] < stage.history[0]["loss"]
    assert set(stage.history[0]) == {"epoch", "loss", "val_top1", "val_top5"}
    last = record.score("val", "1 view")
    assert last is not None
    assert last.top1 == pytest.approx(stage.history[-1]["val_top1"])
    best = record.score("val", "1 view", "best")
    assert best is not None
    assert best.top1 == pytest.approx(max(entry["val_top1"] for entry in stage.history))
    assert record.noise == ()
    assert record.cost.engine == "deepspeed"
    folder = tiny_home / "records" / record.id
    with np.load(folder / "val-1-view-last.npz") as kept:
        assert len(kept["files"]) == last.images == 60
    assert "training took" in ended.out
    assert "train: epoch 3.0/3" in ended.err


def test_a_second_run_trains_nothing(tiny_home: Path, call: Call) -> None:
    command = ("run", "--plugin", "baseline", *ONE_EPOCH, "--json")
    first = call(*command)
    written = {path: path.stat().st_mtime_ns for path in tiny_home.rglob("*") if path.is_file()}
    second = call(*command)
    assert second.status == 0
    assert second.out == first.out
    assert second.err == ""
    later = {path: path.stat().st_mtime_ns for path in tiny_home.rglob("*") if path.is_file()}
    assert later == written


def test_a_lost_record_is_made_again_from_the_finished_stages(tiny_home: Path, call: Call) -> None:
    command = ("run", "--plugin", "malong_curriculum", *ONE_EPOCH, "--set", "model=B")
    call(*command)
    record = the_record(tiny_home)
    next((tiny_home / "records").glob("*.json")).unlink()
    again = call(*command)
    assert [line.partition(":")[0] for line in again.err.splitlines() if "reused" in line] == [
        "initial", "task-1",
    ]  # fmt: skip
    assert "steps" not in again.err
    assert without_cost(the_record(tiny_home)) == without_cost(record)


def test_the_four_models_share_one_initial_stage(tiny_home: Path, call: Call) -> None:
    reused: list[str] = []
    for model in "ABCD":
        asked = ("--set", f"model={model}", "--set", "crops=1", *ONE_EPOCH)
        ended = call("run", "--plugin", "malong_curriculum", *asked)
        assert ended.status == 0, ended
        reused += [f"{model} {line}" for line in ended.err.splitlines() if "reused" in line]
    assert [line for line in reused if "initial" in line] == [
        f"{model} initial: done before, reused" for model in "BCD"
    ]
    records = {
        record.knobs["model"].value: record
        for record in map(read_record, (tiny_home / "records").glob("*.json"))
    }
    assert [len(records[model].stages) for model in "ABCD"] == [1, 2, 3, 4]
    assert len({record.stages[0].key for record in records.values()}) == 1
    assert len({record.id for record in records.values()}) == 4
    kept = [noise.kept for noise in records["D"].noise]
    assert kept == sorted(kept)
    assert records["D"].stages[3].tricks["noise"][1].startswith("KeepSubsets(count=3")
    assert all(0 < noise.clean < 1 for noise in records["D"].noise)
    assert records["A"].noise == ()


@pytest.mark.parametrize(
    "asked",
    [
        ("--set", "clustering=kmeans", "--set", "model=C"),
        ("--set", "stem=multi_scale", "--set", "model=A"),
        ("--set", "model=A", "--set", "crops=1", "--stage", "backbone=inception_v2"),
        ("--set", "model=A", "--stage", "precision=bf16", "--stage", "accumulation=2"),
        ("--set", "model=A", "--engine", "torch", "--stage", "clip_norm=1"),
    ],
    ids=" ".join,
)
def test_the_knobs_and_overrides_of_the_curriculum_run(
    tiny_home: Path, call: Call, asked: tuple[str, ...]
) -> None:
    ended = call("run", "--plugin", "malong_curriculum", *asked, *ONE_EPOCH)
    assert ended.status == 0, ended
    record = the_record(tiny_home)
    assert all(0 <= score.top1 <= score.top5 <= 1 for score in record.scores)
    texts = [str(stage) for stage in record.stages]
    for word in ("KMeansSubsets", "MultiScaleStem", "inception_v2", "bf16"):
        wanted = {"KMeansSubsets": "kmeans", "MultiScaleStem": "multi_scale"}.get(word, word)
        assert any(word in text for text in texts) == any(wanted in part for part in asked)


def test_the_same_seed_gives_the_same_record_and_another_one_another(
    tiny_home: Path, call: Call, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "data").symlink_to((tiny_home / "data").resolve())
    command = ("run", "--plugin", "baseline", *ONE_EPOCH)
    call(*command)
    call("--home", str(other), *command)
    assert without_cost(the_record(tiny_home)) == without_cost(the_record(other))
    call("--home", str(other), *command, "--seed", "1")
    losses = {record.stages[0].history[0]["loss"]
              for record in map(read_record, (other / "records").glob("*.json"))}  # fmt: skip
    assert len(losses) == 2


def test_a_broken_training_picture_is_said_once_counted_and_recorded(
    home: Path, call: Call, break_picture: BreakPicture
) -> None:
    path = break_picture("train")
    short = ("--set", "model=B", "--set", "crops=1", "--stage", "epochs=2")
    ended = call("run", "--plugin", "malong_curriculum", *short, *TINY)
    assert ended.status == 0, ended
    said = [line for line in ended.err.splitlines() if "broken image" in line]
    assert said == [f"broken image {path}: not a picture; replaced by another picture of its class"]
    assert the_record(home).stages[0].broken_images == 1


def test_over_one_in_a_hundred_broken_pictures_stop_the_run(
    home: Path, call: Call, break_picture: BreakPicture
) -> None:
    for number in range(4):
        break_picture("train", number * 7)
    ended = call("run", "--plugin", "baseline", *TINY)
    assert ended.status == 2
    assert ended.err.splitlines()[-1].startswith(
        "Error: 4 of 300 pictures are broken so far, more than 1%"
    )
    assert not list(home.rglob("done.json"))


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_broken_picture_of_a_test_is_one_line(
    home: Path, call: Call, split: str, break_picture: BreakPicture
) -> None:
    path = break_picture(split)
    ended = call("run", "--plugin", "baseline", *ONE_EPOCH)
    assert ended.status == 2
    assert ended.err.splitlines()[-1] == (
        f"Error: broken image {path}: not a picture; {split} cannot be scored without it"
    )
    assert not (home / "records").exists() or not list((home / "records").glob("*.json"))


@pytest.mark.parametrize("engine", ["deepspeed", "torch"])
def test_a_loss_that_is_not_a_number_ends_the_run_with_one_line(
    tiny_home: Path, call: Call, engine: str
) -> None:
    ended = call("run", "--plugin", "baseline", "--engine", engine, *TINY, "--stage", "lr=1e6")
    assert ended.status == 2
    line = ended.err.splitlines()[-1]
    assert line.startswith("Error: stage 'train': the loss is ")
    assert "at step" in line
    assert "learning rate" in line
    assert "try --stage lr=1e+05" in line
    left = {path.name for path in (tiny_home / "stages").rglob("*") if path.is_file()}
    assert left <= {"lock", "samples.npz", "samples.json", "best-000001.pt", "best.pt"}
    assert not (tiny_home / "records").exists()


def test_a_batch_that_cannot_be_split_stops_before_anything_is_trained(
    tiny_home: Path, call: Call
) -> None:
    command = ("run", "--plugin", "malong_curriculum", *TINY, "--stage", "task-3.accumulation=7")
    assert "accumulation" in call(*command).error
    assert not (tiny_home / "stages").exists()


def test_without_deepspeed_plain_torch_trains_and_one_line_says_so(
    tiny_home: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "deepspeed", None)  # as where it is not installed
    ended = call("run", "--plugin", "baseline", *ONE_EPOCH)
    assert ended.status == 0
    said = [line for line in ended.err.splitlines() if "DeepSpeed" in line]
    assert len(said) == 1
    assert said[0].endswith("training with plain torch")
    assert the_record(tiny_home).cost.engine == "torch"


LIMITED = """
import resource
from harness.cli import main

room = 150_000  # bytes: too little for the weights
resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
main()
"""


def test_a_full_disk_is_one_line_and_the_same_command_goes_on_afterwards(
    tiny_home: Path, call: Call, fork: Call
) -> None:
    command = ("run", "--plugin", "baseline", *ONE_EPOCH, "--json")
    with fork("-c", LIMITED, *command) as process:
        _, err = process.communicate(timeout=200)
    assert process.returncode == 2, err
    assert err.splitlines()[-1].startswith("Error: cannot write ")
    assert "Traceback" not in err
    files = [path for path in (tiny_home / "stages").rglob("*") if path.is_file()]
    assert not [path for path in files if path.name.startswith(".")]
    assert not [path for path in files if path.name == "done.json"]
    after = call(*command)
    assert after.status == 0, after
    assert json.loads(after.out)["id"] == the_record(tiny_home).id
