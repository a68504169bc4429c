"""What the console prints; tests/test_progress.py shows it on a terminal."""

from __future__ import annotations

import pytest

from harness.observers.console import Console, duration, progress
from harness.spec import DataSpec, RunSpec
from harness.values import Plan, Stage

STAGE = Stage(name="task-1", epochs=10, backbone="test_resnet")
SCALARS = {"loss": 1.25, "lr": 0.1, "images_per_second": 1234.5, "epoch": 2.5, "seconds_left": 75.0}


def test_plain_lines_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    spec = RunSpec(plugin="baseline", knobs={"epochs": "3"}, data=DataSpec.parse("synthweb:tiny"))
    console.on_run_start(spec, Plan(stages=(STAGE,)))
    console.on_stage_start(STAGE, 100, 0)
    for _ in range(50):
        console.on_step_end(STAGE, SCALARS)
    console.on_step_end(STAGE, {"val_top1": 0.5})
    console.on_stage_end(STAGE, {"cached": 0.0, "images_per_second": 1234.5})
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.splitlines() == [
        "baseline epochs=3, seed 0, on synthweb:tiny: task-1",
        "task-1: 100 steps, 10 epochs, test_resnet",
        "task-1: epoch 2.5/10, loss 1.250, 1,234 images/s, 1 min 15 s left",
        "task-1: epoch 10.0/10, loss 1.250, 1,234 images/s, val top-1 50.0%",
    ]
    assert "\r" not in written.err
    assert "\x1b" not in written.err


def test_a_resumed_and_a_reused_stage_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.on_stage_start(STAGE, 100, 40)
    console.on_stage_end(STAGE, {"cached": 1.0, "images_per_second": 9.0})
    assert capsys.readouterr().err.splitlines() == [
        "task-1 continues at step 40: 100 steps, 10 epochs, test_resnet",
        "task-1: done before, reused",
    ]


def test_a_stage_that_was_killed_after_its_last_step_ends_at_its_last_epoch(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console = Console()
    console.on_stage_start(STAGE, 100, 100)
    console.on_stage_end(STAGE, {"cached": 0.0, "images_per_second": 1234.5})
    assert capsys.readouterr().err.splitlines()[-1] == "task-1: epoch 10.0/10, 1,234 images/s"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (45, "45 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (18_420, "5 h 07 min")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_progress_shows_only_what_is_known() -> None:
    assert progress(STAGE, {}) == "task-1: epoch 0.0/10"
    assert progress(STAGE, SCALARS | {"seconds_left": 0.0}) == (
        "task-1: epoch 2.5/10, loss 1.250, 1,234 images/s"
    )
