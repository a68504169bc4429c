"""Killed and stopped runs: the same command goes on, and its record is the uninterrupted one."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.runner import run
from harness.spec import DataSpec, Override, RunSpec
from harness.store.record import ResultRecord
from harness.store.record_files import read_record

pytestmark = pytest.mark.slow

Call = Callable[..., Any]
PATIENCE = 120  # seconds for a process to get anywhere on a busy machine
COMMAND = (
    *("run", "--plugin", "malong_curriculum", "--set", "model=B", "--data", "synthweb:tiny"),
    *("--stage", "epochs=5", "--checkpoint-seconds", "0"),
)


def stages(home: Path, pattern: str) -> int:
    return len(list((home / "stages").glob(f"*/{pattern}")))


def the_record(home: Path) -> ResultRecord:
    (path,) = (home / "records").glob("*.json")
    return read_record(path)


@pytest.fixture(scope="module")
def expected(drawn_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The record of the same command where nobody interrupts it."""
    home = tmp_path_factory.mktemp("undisturbed")
    (home / "data").symlink_to(drawn_data)
    asked = RunSpec(
        plugin="malong_curriculum",
        knobs={"model": "B"},
        data=DataSpec.parse("synthweb:tiny"),
        overrides=(Override("", "epochs", "5"),),
        home=home,
    )
    return run(asked).model_dump(exclude={"cost"})


def test_three_kills_at_random_moments_change_nothing(
    tiny_home: Path, fork: Call, wait_for: Call, call: Call, expected: dict[str, Any]
) -> None:
    moments: list[Callable[[], bool]] = [
        lambda: stages(tiny_home, "checkpoint-*.json") > 0,
        lambda: stages(tiny_home, "done.json") > 0,
        lambda: stages(tiny_home, "checkpoint-*.json") > 0 and stages(tiny_home, "done.json") > 0,
    ]
    for moment in moments:
        with fork("-m", "harness", *COMMAND) as process:
            wait_for(process, moment)
            time.sleep(random.uniform(0, 0.5))
            process.kill()
            process.communicate()
    ended = call(*COMMAND)
    assert ended.status == 0, ended
    assert the_record(tiny_home).model_dump(exclude={"cost"}) == expected
    left = [path.name for path in (tiny_home / "stages").rglob("*") if path.is_file()]
    assert not [name for name in left if name.startswith((".", "checkpoint"))]


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_a_stopped_run_keeps_its_place(
    tiny_home: Path,
    fork: Call,
    wait_for: Call,
    call: Call,
    expected: dict[str, Any],
    number: signal.Signals,
    status: int,
) -> None:
    # No checkpoint is due, so the one that is found was written for the signal.
    command = (*COMMAND[:-1], "1e9", "--engine", "deepspeed")
    with fork("-m", "harness", *command) as process:
        wait_for(process, lambda: stages(tiny_home, "best-*.pt") > 0)
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == status, err
    assert out == ""
    assert err.splitlines()[-1] == (
        f"stopped by {number.name}; the same command continues from here"
    )
    assert "Traceback" not in err
    assert stages(tiny_home, "checkpoint-*.json") == 1
    assert stages(tiny_home, "done.json") == 0
    ended = call(*command)
    assert "continues at step" in ended.err
    assert the_record(tiny_home).model_dump(exclude={"cost"}) == expected
