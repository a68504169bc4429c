"""What TensorBoard reads back."""

from __future__ import annotations

import io
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from harness.assembly.activation import Activation
from harness.errors import HarnessError
from harness.observers.summaries import histogram_of, pictures_of
from harness.observers.tensorboard import TensorBoard
from harness.runner import run
from harness.spec import DataSpec, Override, RunSpec
from harness.store.curves import curves_of
from harness.store.record import ResultRecord
from harness.values import MEAN, STD, Stage

STAGE = Stage(name="task-1")


def spec_in(home: Path, **asked: object) -> RunSpec:
    return RunSpec(plugin="baseline", data=DataSpec.parse("synthweb:tiny"), home=home, **asked)


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return {
        name: [(event.step, event.value) for event in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }


def watch(board: TensorBoard, home: Path, first: int, last: int) -> None:
    board.on_run_start(spec_in(home))
    board.on_stage_start(STAGE, first)
    for step in range(first + 1, last + 1):
        scalars = {"loss": step / 2, "lr": 0.25, "weight": 1.0, "images_per_second": 8.0,
                   "seconds_left": 1.0, "epoch": step / 4}  # fmt: skip
        if step % 4 == 0:
            scalars |= {"val_top1": 0.5, "val_top5": 0.75, "epoch_loss": 2.0}
        board.on_step_end(step, scalars)
    board.on_stage_end()


def test_every_curve_can_be_read_back(tmp_path: Path) -> None:
    board = TensorBoard()
    watch(board, tmp_path, 0, 8)
    folder = tmp_path / "tensorboard" / "baseline seed=0 synthweb:tiny" / "task-1"
    found = curves(folder)
    assert found["loss"] == [(step, step / 2) for step in range(1, 9)]
    assert found["lr"] == [(step, 0.25) for step in range(1, 9)]
    assert found["val_top1"] == [(4, 0.5), (8, 0.5)]
    assert found["val_top5"] == [(4, 0.75), (8, 0.75)]
    assert {"weight", "images_per_second", "epoch", "epoch_loss"} < set(found)
    assert "seconds_left" not in found


def test_a_resumed_stage_hides_the_steps_that_were_lost(tmp_path: Path) -> None:
    killed = TensorBoard()
    watch(killed, tmp_path, 0, 6)
    resumed = TensorBoard()
    watch(resumed, tmp_path, 4, 8)
    folder = tmp_path / "tensorboard" / "baseline seed=0 synthweb:tiny" / "task-1"
    assert curves(folder)["loss"] == [(step, step / 2) for step in range(1, 9)]


def test_no_slash_of_a_label_makes_a_folder_and_no_label_is_too_long(tmp_path: Path) -> None:
    board = TensorBoard()
    knobs = {f"knob{number}": "a/long/value" for number in range(40)}
    board.on_run_start(spec_in(tmp_path, knobs=knobs))
    board.on_stage_start(STAGE, 0)
    board.on_step_end(1, {"loss": 1.0})
    board.on_stage_end()
    (run,) = (tmp_path / "tensorboard").iterdir()
    (stage,) = run.iterdir()
    assert curves(stage)["loss"] == [(1, 1.0)]


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    board = TensorBoard()
    watch(board, tmp_path, 0, 2)
    (events,) = (tmp_path / "tensorboard").rglob("events*")
    events.unlink()
    events.symlink_to("/dev/full")
    board.on_step_end(3, {"loss": 1.0})
    with pytest.raises(HarnessError, match="the disk is full") as full:
        board.on_stage_end()
    assert "\n" not in str(full.value)


def test_steps_are_written_while_the_stage_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.observers.tensorboard.WRITTEN_SECONDS", 0.01)
    board = TensorBoard()
    board.on_run_start(spec_in(tmp_path))
    board.on_stage_start(STAGE, 0)
    board.on_step_end(1, {"loss": 1.0})
    time.sleep(0.02)
    board.on_step_end(2, {"loss": 2.0})
    folder = tmp_path / "tensorboard" / "baseline seed=0 synthweb:tiny" / "task-1"
    assert curves(folder)["loss"] == [(1, 1.0), (2, 2.0)]


def test_a_stage_that_was_cached_writes_nothing(tmp_path: Path) -> None:
    board = TensorBoard()
    board.on_run_start(spec_in(tmp_path))
    board.on_stage_end()
    assert not (tmp_path / "tensorboard").exists()


def test_the_pictures_of_a_batch_are_those_that_went_in() -> None:
    """Five pictures of one grey each, normalised: rows of four, black where there is none."""
    shades = np.array([0, 60, 120, 180, 255])
    pixels = torch.from_numpy(shades / 255).float()[:, None, None, None].expand(5, 3, 8, 6)
    images = (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    found = pictures_of(images)
    grid = np.asarray(Image.open(io.BytesIO(found.encoded_image_string)))
    assert grid.shape == (16, 24, 3) == (found.height, found.width, found.colorspace)
    assert np.abs(grid[:8, ::6, 0].astype(int) - shades[:4]).max() <= 1
    assert (grid[8:, :6] >= 254).all()
    assert (grid[8:, 6:] == 0).all()


def test_large_pictures_are_made_small() -> None:
    found = pictures_of(torch.zeros(2, 3, 400, 300))
    assert (found.height, found.width) == (160, 240)
    assert max(pictures_of(torch.zeros(64, 3, 224, 224)).height, 0) == 4 * 160


def test_a_histogram_counts_every_finite_value() -> None:
    values = torch.tensor([0.0, 1.0, 1.0, 2.0, float("nan"), float("inf")])
    found = histogram_of(values)
    assert (found.num, found.min, found.max, found.sum) == (4, 0.0, 2.0, 4.0)
    assert sum(found.bucket) == 4
    assert (found.bucket[0], found.bucket[-1]) == (1, 1)
    assert found.bucket_limit[-1] == pytest.approx(2.0)
    equal = histogram_of(torch.ones(7))
    assert (sum(equal.bucket), equal.min, equal.max) == (7, 1.0, 1.0)
    assert histogram_of(torch.empty(0)).num == 0


@pytest.fixture(scope="module")
def told(
    drawn_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[RunSpec, ResultRecord]:
    """A run of two stages of which an earlier run has trained the first."""
    home = tmp_path_factory.mktemp("told")
    (home / "data").symlink_to(drawn_data)

    def spec(model: str) -> RunSpec:
        return RunSpec(
            plugin="malong_curriculum",
            knobs={"model": model},
            data=DataSpec.parse("synthweb:tiny"),
            engine="torch",
            overrides=(Override("", "epochs", "1"), Override("", "input_size", "16")),
            home=home,
        )

    run(spec("C"))
    return spec("D"), run(spec("D"))


def test_the_folder_of_curves_names_the_data_set_that_was_chosen() -> None:
    spec = RunSpec(plugin="baseline")
    assert curves_of(Activation(spec).spec).name == "baseline seed=0 synthweb:small"


def read(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), {"images": 0, "histograms": 0, "scalars": 0})
    events.Reload()
    return events


@pytest.mark.slow
def test_a_stage_that_was_reused_has_its_epochs(told: tuple[RunSpec, ResultRecord]) -> None:
    spec, record = told
    folder = curves_of(spec)
    reused = [stage for stage in record.stages if "loss" not in curves(folder / stage.name)]
    trained = [stage for stage in record.stages if stage not in reused]
    assert reused
    assert trained
    for stage in record.stages:
        found = curves(folder / stage.name)
        steps = -(-record.data.train_samples // int(stage.values["batch_size"]))
        for name, key in (("epoch_loss", "loss"), ("val_top1", "val_top1")):
            values = [entry[key] for entry in stage.history if key in entry]
            expected = [(steps * (k + 1), pytest.approx(v)) for k, v in enumerate(values)]
            assert found.get(name, []) == expected


@pytest.mark.slow
def test_a_stage_that_was_trained_has_pictures_and_histograms(
    told: tuple[RunSpec, ResultRecord],
) -> None:
    spec, record = told
    (stage, *_) = (one for one in record.stages if "loss" in curves(curves_of(spec) / one.name))
    events = read(curves_of(spec) / stage.name)
    steps = -(-record.data.train_samples // int(stage.values["batch_size"]))
    pictures = events.Images("batch")
    assert [one.step for one in pictures] == sorted({1, steps})
    assert Image.open(io.BytesIO(pictures[0].encoded_image_string)).size == (64, 64)
    names = events.Tags()["histograms"]
    assert {"samples/weight"} < set(names)
    assert all(events.Histograms(name)[-1].histogram_value.num > 0 for name in names)


@pytest.mark.slow
def test_hyper_parameters_stand_beside_the_final_scores(
    told: tuple[RunSpec, ResultRecord],
) -> None:
    from tensorboard.plugins.hparams import metadata

    spec, record = told
    folder = curves_of(spec)
    events = read(folder)
    data = events.summary_metadata
    start = metadata.parse_session_start_info_plugin_data(
        data[metadata.SESSION_START_INFO_TAG].plugin_data.content
    )
    assert start.hparams["method"].string_value == record.label
    assert start.hparams["knob model"].string_value == "D"
    end = metadata.parse_session_end_info_plugin_data(
        data[metadata.SESSION_END_INFO_TAG].plugin_data.content
    )
    assert end.status == 1  # success
    score = record.score("test", "10 views")
    assert score is not None
    (said,) = curves(folder)["test/10 views/last/top1"]
    assert said[1] == pytest.approx(score.top1)


@pytest.mark.slow
def test_harness_tensorboard_shows_the_runs(
    told: tuple[RunSpec, ResultRecord], tmp_path: Path
) -> None:
    spec, _ = told
    command = [sys.executable, "-m", "harness", "--home", str(spec.home), "tensorboard"]
    (tmp_path / "tensorboard.py").write_text("raise SystemExit('imported from here')")
    with subprocess.Popen(
        [*command, "--port", "0"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as shown:
        try:
            assert shown.stderr is not None
            lines = iter(shown.stderr.readline, "")
            url = next(word for line in lines for word in line.split() if "http://" in word)
            with urllib.request.urlopen(f"{url}data/runs") as answer:
                assert curves_of(spec).name in answer.read().decode()
        finally:
            shown.terminate()


@pytest.mark.slow
def test_a_taken_port_is_the_users_to_correct(
    harness_process: Callable[..., Any], harness_home: Path
) -> None:
    (harness_home / "tensorboard").mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = harness_process("tensorboard", "--port", str(taken.getsockname()[1]))
    assert ended.status == 2
    assert "already in use" in ended.err


def test_without_curves_there_is_nothing_to_show(call: Callable[..., Any]) -> None:
    assert "there are no curves in" in call("tensorboard").error


@pytest.mark.slow
def test_a_run_prints_the_folder_of_its_curves(call: Callable[..., Any], tiny_home: Path) -> None:
    asked = ("run", "--plugin", "baseline", "--data", "synthweb:tiny", "--engine", "torch")
    asked = (*asked, "--stage", "epochs=1")
    for _ in ("trained", "answered"):
        out = call(*asked).out
        folder = tiny_home / "tensorboard" / "baseline epochs=1 seed=0 synthweb:tiny"
        assert out.endswith(f"\ncurves (harness tensorboard): {folder}\n")
        assert folder.is_dir()
    assert f'"curves": "{folder}"' in call(*asked, "--json").out
