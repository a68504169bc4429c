"""Job files: checked by Kubernetes' schema, run by a real Slurm, their shell by a shell."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from harness.store.record_files import read_record

Call = Callable[..., Any]
ASKED = ("--plugin", "baseline", "--set", "crops=5", "--data", "webvision1:/my 'web'?classes=0-9")
TINY = ("--plugin", "baseline", "--data", "synthweb:tiny", "--stage", "epochs=1")


def exported(call: Call, *arguments: str) -> str:
    outcome = call("plan", *arguments)
    assert outcome.status == 0, outcome.err
    text: str = outcome.out
    return text


@pytest.mark.parametrize("nodes", [1, 2])
def test_kubernetes_takes_its_file(call: Call, harness_home: Path, nodes: int) -> None:
    machines = ("--gpus", "4", "--nodes", str(nodes), "--image", "ghcr.io/me/harness:1")
    service, job = yaml.safe_load_all(exported(call, *ASKED, "--export", "kubernetes", *machines))
    for part in (service, job):
        kubernetes_validate.validate(part, "1.30", strict=True)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "4"}
    assert job["spec"]["completions"] == nodes
    met = "baseline-seed0-0.baseline-seed0:29500"
    several = ("--nodes", "2", "--node-rank", "1", "--rendezvous", met)
    assert command_of(container["args"][0], JOB_COMPLETION_INDEX="1") == [
        *("harness", "run", *ASKED, "--gpus", "4"),
        *(several if nodes == 2 else ()),
    ]
    assert service["metadata"]["name"] == job["spec"]["template"]["spec"]["subdomain"]


def test_skypilots_file_is_what_its_parser_took(call: Call, harness_home: Path) -> None:
    # sky.Task.from_yaml of SkyPilot 0.14.1 took this file; its 60 packages pin another click.
    machines = ("--gpus", "8", "--nodes", "2", "--accelerator", "H100")
    found = yaml.safe_load(exported(call, *ASKED, "--export", "skypilot", *machines))
    run = found.pop("run")
    assert found == {
        "name": "baseline-seed0",
        "num_nodes": 2,
        "resources": {"accelerators": "H100:8"},
        "workdir": ".",
        "volumes": {"/harness": "harness-home"},
        "envs": {"HARNESS_HOME": "/harness"},
        "setup": "pip install -e .",
    }
    said = {"SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2", "SKYPILOT_NODE_RANK": "1"}
    assert command_of(run, **said) == [
        *("harness", "run", *ASKED, "--gpus", "8"),
        *("--nodes", "2", "--node-rank", "1", "--rendezvous", "10.0.0.1:29500"),
    ]


def command_of(shell: str, **environment: str) -> list[str]:
    """Return the arguments that the shell hands to the command it would run."""
    printing = shell.strip().replace("exec harness", "printf '%s\\0' harness", 1)
    done = subprocess.run(
        ["/bin/sh", "-c", printing], env=os.environ | environment, capture_output=True, check=True
    )
    return done.stdout.decode().split("\0")[:-1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--export", "skypilot"), "needs --accelerator"),
        (("--export", "kubernetes"), "needs --image"),
        (("--export", "kubernetes", "--gpus", "0", "--image", "x"), "needs --gpus 1 or more"),
        (("--export", "slurm", "--set", "crops=3"), "knob crops must be one of"),
    ],
)
def test_what_is_missing_is_one_line(
    call: Call, harness_home: Path, arguments: tuple[str, ...], words: str
) -> None:
    assert words in call("plan", "--plugin", "baseline", *arguments).error


@pytest.mark.slow
def test_slurm_runs_its_file(
    call: Call, tiny_home: Path, slurm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_CONF", str(slurm))
    path = tiny_home / "job.sh"
    text = exported(call, *TINY, "--export", "slurm", "--gpus", "0", "--engine", "torch")
    ours = shlex.join((sys.executable, "-m", "harness"))
    path.write_text(text.replace(" harness run", f" {ours} run"))
    command = ["sbatch", "--parsable", f"--output={tiny_home}/out", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    deadline = time.monotonic() + 120
    while not list((tiny_home / "records").glob("*.json")):
        assert time.monotonic() < deadline, (tiny_home / "out").read_text()
        time.sleep(0.1)
    (path,) = (tiny_home / "records").glob("*.json")
    assert len(read_record(path).stages[0].history) == 1
