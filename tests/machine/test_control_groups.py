"""The memory that a container or a job leaves, in both versions of control groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.machine import control_groups
from harness.machine.control_groups import free_memory
from harness.machine.killed import memory_kills

STEP = "slurm/job_7/step_0"


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up tree in place of the machine's: its own limits cannot be set here."""
    monkeypatch.setattr(control_groups, "ROOT", tmp_path / "groups")
    monkeypatch.setattr(control_groups, "OWN", tmp_path / "own")
    return tmp_path / "groups"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_limit_of_a_job_above_the_process_counts(groups: Path, tmp_path: Path) -> None:
    write(tmp_path / "own", f"0::/{STEP}\n")
    write(groups / STEP / "memory.max", "max\n")
    write(groups / STEP / "memory.stat", "anon 100\nfile 5000\n")
    write(groups / "slurm/job_7/memory.max", "8000\n")
    write(groups / "slurm/job_7/memory.stat", "anon 3000\nfile 4000\n")
    write(groups / "memory.max", "9000\n")
    write(groups / "memory.stat", "file 1\n")
    assert free_memory() == 5000
    write(groups / STEP / "memory.events", "low 0\noom_kill 3\n")
    assert memory_kills() == 3


def test_the_first_version_counts_too(groups: Path, tmp_path: Path) -> None:
    write(tmp_path / "own", f"9:name=systemd:/\n4:cpu,memory:/{STEP}\n0::/\n")
    memory = groups / "memory"
    write(memory / STEP / "memory.limit_in_bytes", "4000\n")
    write(memory / STEP / "memory.stat", "rss 1\ntotal_rss 4500\n")
    write(memory / "memory.limit_in_bytes", "9223372036854771712\n")
    write(memory / "memory.stat", "total_rss 10\n")
    assert free_memory() == 0
    write(memory / STEP / "memory.oom_control", "under_oom 0\noom_kill 2\n")
    assert memory_kills() == 2


def test_without_limits_nothing_is_known(groups: Path, tmp_path: Path) -> None:
    assert free_memory() is None
    assert memory_kills() is None
    write(tmp_path / "own", "0::/\n")
    write(groups / "memory.max", "max\n")
    assert free_memory() is None
