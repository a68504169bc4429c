"""What TensorBoard reads back."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from harness.errors import HarnessError
from harness.observers.tensorboard import WRITTEN_SECONDS, TensorBoard
from harness.spec import DataSpec, RunSpec
from harness.values import Stage

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


def test_steps_are_written_while_the_stage_goes_on(tmp_path: Path) -> None:
    board = TensorBoard()
    board.on_run_start(spec_in(tmp_path))
    board.on_stage_start(STAGE, 0)
    board.on_step_end(1, {"loss": 1.0})
    time.sleep(WRITTEN_SECONDS + 0.05)
    board.on_step_end(2, {"loss": 2.0})
    folder = tmp_path / "tensorboard" / "baseline seed=0 synthweb:tiny" / "task-1"
    assert curves(folder)["loss"] == [(1, 1.0), (2, 2.0)]


def test_a_stage_that_was_cached_writes_nothing(tmp_path: Path) -> None:
    board = TensorBoard()
    board.on_run_start(spec_in(tmp_path))
    board.on_stage_end()
    assert not (tmp_path / "tensorboard").exists()
