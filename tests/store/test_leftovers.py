"""What killed runs left is swept up, and nobody who is still writing is robbed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.store.leftovers import sweep_leftovers
from harness.store.stages import StageFolder

WRITE = """
import sys
from pathlib import Path
from harness.store.files import atomic_write
def write(file):
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    sys.stdin.readline()
atomic_write(Path(sys.argv[1]), write)
"""


def left(home: Path) -> list[str]:
    return sorted(path.name for path in home.rglob("*") if path.is_file())


def make_old(home: Path, now: float = 1) -> None:
    for path in home.rglob(".*"):
        os.utime(path, (now, now))


@pytest.mark.parametrize("clock", ["went on", "was set back"])
@pytest.mark.parametrize("killed", [True, False])
def test_a_killed_writers_file_is_swept_and_a_living_ones_is_not(
    tmp_path: Path, killed: bool, clock: str
) -> None:
    now = 1 if clock == "went on" else time.time() + 86_400
    target = tmp_path / "records" / "run" / "val.npz"
    command = [sys.executable, "-c", WRITE, str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"writing\n"
        make_old(tmp_path, now)
        if killed:
            writer.send_signal(signal.SIGKILL)
            writer.wait()
        sweep_leftovers(tmp_path)
        assert len(left(tmp_path)) == (0 if killed else 1)
        if not killed:
            writer.communicate(b"\n")
            assert left(tmp_path) == ["val.npz"]


def test_stages_that_nobody_asks_for_are_swept_unless_they_are_locked(tmp_path: Path) -> None:
    for name in ("one", "two"):
        folder = tmp_path / "stages" / name
        folder.mkdir(parents=True)
        (folder / ".features.npy").touch()
        (folder / "weights.pt").touch()
    make_old(tmp_path)
    with StageFolder(tmp_path / "stages" / "one").locked():
        sweep_leftovers(tmp_path)
    assert left(tmp_path / "stages" / "one") == [".features.npy", "lock", "weights.pt"]
    assert left(tmp_path / "stages" / "two") == ["lock", "weights.pt"]


def test_young_files_stay_and_a_missing_home_is_not_an_error(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    young, old = (tmp_path / "records" / f".{name}.json.0123" for name in ("young", "old"))
    young.touch()
    old.touch()
    os.utime(old, (1, 1))
    sweep_leftovers(tmp_path)
    assert left(tmp_path) == [young.name]
    sweep_leftovers(tmp_path / "nowhere")
