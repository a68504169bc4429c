"""``harness doctor`` tries every part and says what it found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("tried_home")


@pytest.fixture
def doctor(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return status and findings by part of ``harness doctor --json``."""

    def examined(*arguments: str) -> tuple[int, dict[str, tuple[str, str]]]:
        outcome = call(*arguments, "doctor", "--json")
        findings = json.loads(outcome.out)
        return outcome.status, {f["part"]: (f["state"], f["words"]) for f in findings}

    return examined


def test_every_part_is_found(
    doctor: Callable[..., Any], tiny_home: Path, install: Callable[..., Path]
) -> None:
    install("ailing", "raise RuntimeError('no such luck')")
    status, findings = doctor()
    assert status == 0
    parts = {"python", "torch", "timm", "numpy", "cpu", "deepspeed", "text encoder", "home"}
    assert parts | {"plugins", "data", "stages", "records"} <= set(findings)
    assert {state for state, _ in findings.values()} <= {"works", "note"}
    assert findings["plugin ailing"] == ("note", "broken: RuntimeError: no such luck")
    assert "synthweb-v1-tiny-0" in findings["data"][1]
    count, whole = (int(word) for word in findings["plugins"][1].split() if word.isdigit())
    assert count == whole - 1


def test_a_record_with_its_predictions_counts_once(
    doctor: Callable[..., Any], tiny_home: Path
) -> None:
    (tiny_home / "records" / "one").mkdir(parents=True)
    (tiny_home / "records" / "one.json").touch()
    (tiny_home / "records" / ".lock").touch()
    assert doctor()[1]["records"][1].startswith("1 kept")


def test_what_is_not_finished_or_disabled_is_counted_apart(
    doctor: Callable[..., Any], tiny_home: Path, call: Callable[..., Any]
) -> None:
    for name in ("begun", "whole", "other"):
        (tiny_home / "stages" / name).mkdir(parents=True)
    for name in ("whole", "other"):
        (tiny_home / "stages" / name / "done.json").touch()
    assert call("plugins", "disable", "tensorboard").status == 0
    findings = doctor()[1]
    assert findings["stages"][1].startswith("2 kept and 1 unfinished, ")
    count, whole, off = (int(w) for w in findings["plugins"][1].split() if w.isdigit())
    assert (count, off) == (whole, 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hidden", "status", "part", "state", "says"),
    [
        ("", 0, "deepspeed", "works", ""),
        ("deepspeed", 0, "deepspeed", "note", "plain torch trains instead"),
        ("torch", 1, "devices", "fails", "torch cannot be imported"),
    ],
)
def test_torch_and_deepspeed_are_imported_if_asked(
    hidden: str, status: int, part: str, state: str, says: str
) -> None:
    script = (
        "import sys\n"
        "from harness.cli import main\n"
        f"sys.modules.update(dict.fromkeys({hidden.split()!r}))\n"
        "sys.argv = ['harness', 'doctor', '--thorough', '--json']\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stderr
    found = {finding["part"]: finding for finding in json.loads(done.stdout)}
    assert found[part]["state"] == state
    assert says in found[part]["words"]


def test_gpus_are_those_of_the_driver(
    doctor: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\necho 'NVIDIA H200, 143771 MiB'\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    findings = doctor()[1]
    assert findings["gpu 0"] == ("works", "NVIDIA H200, 143771 MiB")
    assert "gpu" not in findings


def test_people_read_it_line_by_line(call: Callable[..., Any], tiny_home: Path) -> None:
    lines = call("doctor").out.splitlines()
    assert lines[0].startswith("works  python")
    assert all(line.split()[0] in ("works", "note", "fails") for line in lines)


def test_a_home_that_cannot_be_written_fails(doctor: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    status, findings = doctor("--home", str(tmp_path / "file" / "home"))
    assert status == 1
    assert findings["home"][0] == "fails"
    assert "HARNESS_HOME" in findings["home"][1]
