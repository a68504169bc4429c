"""Stages as jobs: here through submitit's own scheduler, and through a real Slurm."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.jobs.graph import job_graph
from harness.spec import DataSpec, Override, RunSpec
from harness.store.record_files import read_record

Call = Callable[..., Any]
TINY = ("--data", "synthweb:tiny", "--engine", "torch", "--seeds", "1")
ABLATE = ("ablate", "--plugin", "baseline", *TINY)
PATIENCE = 240.0


def asked(home: Path, **given: Any) -> RunSpec:
    tiny = DataSpec(name="synthweb", path="tiny")
    one = (Override("", "epochs", "1"),)
    values = {"plugin": "malong_curriculum", "data": tiny, "overrides": one, "engine": "torch"}
    return RunSpec(**{**values, "home": home, **given})


def test_shared_stages_are_one_job_and_each_waits_for_its_parents(tiny_home: Path) -> None:
    specs = [asked(tiny_home, knobs={"model": model}) for model in ("B", "D")]
    jobs = job_graph(specs, 1)
    names = {job.key: (job.spec.knobs["model"], job.stage) for job in jobs}
    assert len(jobs) == 7  # D has the first stage of B
    assert set(names.values()) == {
        *(("B", name) for name in (None, "initial", "task-1")),
        *(("D", name) for name in (None, "task-1", "task-2", "task-3")),
    }
    after = {names[job.key]: {names[key] for key in job.after} for job in jobs}
    assert after["B", "initial"] == set()
    assert after["B", "task-1"] == {("B", "initial")}
    assert after["D", "task-2"] >= {("D", "task-1")}
    assert after["D", None] == {("B", "initial"), *(("D", f"task-{n}") for n in (1, 2, 3))}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--submit-option", "timeout_min=5"), "--submit-option needs --submit slurm"),
        (("--submit", "local", "--submit-option", "x"), "--submit-option 'x' must be KEY=VALUE"),
        (("--submit", "local", "--submit-option", "nodes=2"), "nodes is set by the harness"),
        (("--submit", "local", "--submit-option", "tineout=2"), "tineout"),
        (("--submit", "local", "--gpus", "1", "--cpu-ranks", "2"), "exclude each other"),
    ],
)
def test_options_that_do_not_fit_are_one_line(
    call: Call, tiny_home: Path, options: tuple[str, ...], words: str
) -> None:
    outcome = call(*ABLATE, *options)
    assert outcome.status == 2
    assert words in outcome.err.splitlines()[-1]
    assert not (tiny_home / "stages").exists()


def test_without_submitit_a_line_says_what_to_install(
    call: Call, tiny_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    outcome = call(*ABLATE, "--submit", "local")
    assert outcome.status == 2
    assert "pip install 'webvision-harness[jobs]'" in outcome.err.splitlines()[-1]


@pytest.mark.slow
def test_what_needs_a_failed_job_is_not_started(call: Call, tiny_home: Path) -> None:
    outcome = call(*ABLATE, "--stage", "lr=1e6", "--submit", "local")
    assert outcome.status == 1
    lines = [line for line in outcome.err.splitlines() if line.startswith("job ")]
    assert "train seed 0: failed as " in lines[0]
    log = Path(lines[0].rpartition("see ")[2])
    assert "the loss is" in log.read_text()
    assert all("not started, since a job that it needs failed" in line for line in lines[1:])


def wait_until(there: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not there():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def is_trained(home: Path) -> bool:
    return bool(list((home / "stages").glob("*/best-*.pt")))


@pytest.mark.slow
def test_jobs_run_here_one_after_another_and_a_preempted_one_continues(
    call: Call, tiny_home: Path, tmp_path: Path
) -> None:
    command = (*ABLATE, "--stage", "epochs=15", "--submit", "local", "--json")
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", *command],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: is_trained(tiny_home), "no epoch was scored")
    (submitted, *_) = (tiny_home / "jobs" / "logs").glob("*_submitted.pkl")
    number = submitted.name.split("_")[0]  # of the process that watches the job's
    (work,) = Path(f"/proc/{number}/task/{number}/children").read_text().split()
    os.kill(int(work), signal.SIGUSR2)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert "job 1 of 3, baseline epochs=15 train seed 0: done as " in err
    assert json.loads(out)["seeds"] == [0]
    said = (tiny_home / "jobs" / "logs" / f"{number}_0_log.err").read_text()
    assert "Caught signal SIGUSR2" in said
    assert "continues at step" in said
    stages = [read_record(path).stages[0] for path in (tiny_home / "records").glob("*.json")]
    assert [len(stage.history) for stage in stages] == [15, 15]
    again = call(*command)
    assert "job " not in again.err
    assert json.loads(again.out) == json.loads(out)


@pytest.mark.slow
def test_slurm_runs_the_graph(
    call: Call, tiny_home: Path, slurm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_CONF", str(slurm))
    command = (*ABLATE, "--stage", "epochs=1", "--submit", "slurm")
    first = call(*command, "--submit-option", "timeout_min=10")
    assert first.status == 0, first.err
    assert "3 jobs are submitted" in first.err
    lines = [line for line in first.err.splitlines() if line.startswith("job ")]
    again = call(*command)
    if "3 jobs are submitted" in again.err:  # the first has not ended yet
        assert [line for line in again.err.splitlines() if line.startswith("job ")] == lines
    wait_until(lambda: len(list((tiny_home / "records").glob("*.json"))) == 2, "no records")
    last = call(*command, "--json")
    assert last.status == 0, last.err
    assert json.loads(last.out)["seeds"] == [0]
