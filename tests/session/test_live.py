"""What a stage says of itself while it trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import harness
from harness.session.live import Live
from harness.spec import DataSpec, RunSpec
from harness.store.live import LIVE, live_stages
from harness.training.ranks import join_ranks
from harness.values import Stage


class Noted:
    """An observer that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def on_stage_start(self, stage: Stage, steps: int, first_step: int) -> None:
        self.told.append((stage.name, steps, first_step))

    def on_step_end(self, stage: Stage, step: int, scalars: Any) -> None:
        self.told.append((stage.name, step, dict(scalars)))

    def on_batch(self, stage: Stage, step: int, batch: Any, network: Any) -> None:
        self.told.append((stage.name, step, batch, network))


def test_it_is_said_at_the_start_and_after_each_epoch(tmp_path: Path) -> None:
    folder = tmp_path / "stages" / "a"
    folder.mkdir(parents=True)
    spec = RunSpec(plugin="pci", data=DataSpec(name="synthweb", path="tiny"), seed=3, home=tmp_path)
    stage, noted = Stage(name="train", epochs=5), Noted()
    live = Live(noted, spec, folder, join_ranks())
    live.on_stage_start(stage, 50, 10)
    (said,) = live_stages(tmp_path)
    assert (said["label"], said["seed"], said["stage"]) == ("pci", 3, "train")
    assert (said["step"], said["steps"], said["epochs"], said["scalars"]) == (10, 50, 5, {})
    live.on_step_end(stage, 11, {"loss": 2.0})  # within a second: not written
    live.on_step_end(stage, 20, {"epoch_loss": 1.5})
    (said,) = live_stages(tmp_path)
    assert (said["step"], said["scalars"]) == (20, {"loss": 2.0, "epoch_loss": 1.5})
    live.on_batch(stage, 20, "batch", "network")
    assert noted.told == [
        ("train", 50, 10),
        ("train", 11, {"loss": 2.0}),
        ("train", 20, {"epoch_loss": 1.5}),
        ("train", 20, "batch", "network"),
    ]
    assert [path.name for path in folder.iterdir()] == [LIVE]
    live.end()
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_written_does_not_stop_a_run(tmp_path: Path) -> None:
    live = Live(Noted(), RunSpec(plugin="pci", home=tmp_path), tmp_path / "none", join_ranks())
    live.on_stage_start(Stage(name="train", epochs=5), 50, 0)
    live.end()
    assert list(live_stages(tmp_path)) == []


@pytest.mark.slow
def test_a_finished_stage_says_nothing(tiny_home: Path) -> None:
    harness.run("baseline", data="synthweb:tiny", stage={"epochs": 1}, engine="torch")
    assert list((tiny_home / "stages").glob("*/done.json"))
    assert list(tiny_home.rglob(f"*{LIVE}*")) == []
