"""Each way of starting two ranks: they are one run, and what goes wrong is one line."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.store.record_files import read_record

pytestmark = pytest.mark.slow

Call = Callable[..., Any]
PATIENCE = 120  # seconds for a process to get anywhere on a busy machine
BIN = Path(sys.executable).parent
TREES = Path(__file__).parents[1] / "data" / "trees"
RUN = (
    *("run", "--plugin", "baseline", "--engine", "torch", "--data", "synthweb:tiny"),
    *("--gpus", "0", "--stage"),
)
ONE = (*RUN, "epochs=1")


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def started(tmp_path: Path, *command: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Start a command in a process group of its own, which is ended with the block."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    surroundings = {"PATH": path, "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=os.environ | surroundings | environment,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def told(process: Any) -> str:
    """Wait for the end, which must be status 2, and return the one line that was meant for us."""
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2, err
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1, err
    return lines[0]


# Ranks of one machine see its files at once, and need not wait for each other's errors for long.
NODE = """
from harness.cli import main
from harness.machine import launch
from harness.training import agreement

launch.LOST_SECONDS = agreement.SEEN_SECONDS = 1.0
main()
"""


@pytest.fixture
def node(fork: Call, tmp_path: Path, port: int) -> Call:
    """Start one of two nodes in a fork: what counts is what they tell each other."""

    def start(rank: int, *command: str, **environment: str) -> Any:
        several = ("--nodes", "2", "--node-rank", str(rank), "--rendezvous", f"127.0.0.1:{port}")
        return fork("-c", NODE, *command, *several, TMPDIR=str(tmp_path), **environment)

    return start


def records(home: Path) -> list[tuple[int, ...]]:
    """For each record, by how many ranks its stage was trained."""
    found = sorted((home / "records").glob("*.json"))
    return [read_record(path).stages[0].ranks for path in found]


@pytest.fixture(scope="module")
def trained(drawn_data: Path, tmp_path_factory: pytest.TempPathFactory, fork: Call) -> Path:
    """A home in which two ranks of our own have trained; whoever is one of two finds the record."""
    folder = tmp_path_factory.mktemp("trained")
    home = folder / "home"
    home.mkdir()
    (home / "data").symlink_to(drawn_data)
    command = ("harness", *ONE, "--cpu-ranks", "2")
    command = tuple(word for word in command if word not in ("--gpus", "0"))
    with fork("-m", *command, HARNESS_HOME=str(home)) as process:
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert records(home) == [(2,)]
    return home


LAUNCHERS = {
    "torchrun": ("torchrun", "--nproc-per-node", "2", "--master-port", "{port}", "-m", "harness"),
    "deepspeed": (
        *("deepspeed", "--num_accelerators", "2", "--master_port", "{port}", "--module"),
        "harness",
    ),
    "mpirun": ("mpirun", "--oversubscribe", "-n", "2", "harness"),
}


@pytest.mark.parametrize("name", LAUNCHERS)
def test_two_ranks_of_a_launcher_are_one_run(
    trained: Path, tmp_path: Path, port: int, name: str
) -> None:
    launcher = [word.format(port=port) for word in LAUNCHERS[name]]
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    environment = {"HARNESS_HOME": str(trained), "DS_ACCELERATOR": "cpu", **root}
    with started(tmp_path, *launcher, *ONE, **environment) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert "record: " in out
    assert records(trained) == [(2,)]  # one process alone would have trained a record of its own


def test_a_node_may_be_late_or_killed_and_the_same_commands_go_on(
    tiny_home: Path, node: Call, wait_for: Call
) -> None:
    long = (*RUN, "epochs=300", "--checkpoint-seconds", "0")
    with (
        node(1, *long) as second,
        ExitStack() as stack,
    ):
        time.sleep(1)  # the first to start waits for the other
        first = stack.enter_context(node(0, *long))
        wait_for(first, lambda: any((tiny_home / "stages").glob("*/checkpoint-*.json")))
        for process in (second.pid, *children(second.pid)):
            os.kill(process, signal.SIGKILL)
        line = told(first)
    assert re.search(r"rank 0 of 2 lost another rank \(.*[Cc]onnection.*\): .* continues", line)
    with (
        node(0, *long) as first,
        node(1, *long) as second,
    ):
        wait_for(first, lambda: "continues at step" in first.outputs()[1])
        assert "continues at step" in first.outputs()[1]
        for process in (first, second):
            process.send_signal(signal.SIGTERM)
        for process in (first, second):
            _, err = process.communicate(timeout=PATIENCE)
            assert process.returncode == 143, err


def test_a_rank_that_falls_silent_with_all_connections_open_is_noticed(
    tiny_home: Path, fork: Call, wait_for: Call
) -> None:
    long = (*RUN[:-3], "--cpu-ranks", "2", "--stage", "epochs=300", "--checkpoint-seconds", "0")
    with fork("-m", "harness", *long, HARNESS_LOST_SECONDS="3") as process:
        wait_for(process, lambda: any((tiny_home / "stages").glob("*/checkpoint-*.json")))
        frozen, other = children(process.pid)
        os.kill(frozen, signal.SIGSTOP)
        wait_for(process, lambda: not Path(f"/proc/{other}").exists())
        os.kill(frozen, signal.SIGCONT)  # or the agent would give it half a minute
        line = told(process)
    assert re.search(r"rank (\d) of 2 has heard nothing from rank (?!\1)\d for 3 s \(HARNESS", line)


def children(pid: int) -> list[int]:
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def test_two_homes_are_refused_even_if_one_has_the_record(
    trained: Path, tmp_path: Path, node: Call
) -> None:
    other = tmp_path / "other"
    shutil.copytree(trained, other, symlinks=True, ignore=shutil.ignore_patterns("records"))
    with (
        node(0, *ONE, HARNESS_HOME=str(trained)) as first,
        node(1, *ONE, HARNESS_HOME=str(other)) as second,
    ):
        lines = {told(first), told(second)}
    assert all("different folders as HARNESS_HOME" in line for line in lines)
    assert all(str(trained) in line and str(other) in line for line in lines)


def test_a_taken_port_and_a_missing_node_are_a_line_each(
    tiny_home: Path, node: Call, port: int
) -> None:
    with (
        socket.create_server(("127.0.0.1", port)),
        node(0, *ONE) as process,
    ):
        assert f"127.0.0.1:{port} (--rendezvous) cannot be listened on" in told(process)
    with node(0, *ONE, HARNESS_JOIN_SECONDS="1") as process:
        assert "node 0 of 2 waited 1 s for node 1" in told(process)
    with node(1, *ONE, HARNESS_JOIN_SECONDS="1") as process:
        assert "node 1 of 2 found no node 0 at" in told(process)


def test_two_ranks_divide_the_pictures_of_a_check(tmp_path: Path, port: int, fork: Call) -> None:
    root = shutil.copytree(TREES / "webvision1", tmp_path / "webvision")
    lists = (("train_filelist_all.txt", root), ("val_filelist.txt", root / "val_images_256"))
    for name, folder in lists:
        for number, line in enumerate((root / "info" / name).read_text().splitlines()):
            path = folder / line.split()[0]
            path.parent.mkdir(parents=True, exist_ok=True)
            if number in (3, 4):  # one for each rank
                path.write_bytes(b"not a picture")
            elif number != 6:
                Image.new("RGB", (300, 256), (number, 0, 0)).save(path, "JPEG")
    check = ("data", "check", str(root), "--images", "all", "--json")
    pair = [*LAUNCHERS["torchrun"][:4], str(port), "-m", "harness"]
    told, digests = [], []
    for alone in (True, False):
        home = tmp_path / f"home{len(told)}"
        place = {"HARNESS_HOME": str(home)}
        with (
            fork("-m", "harness", *check, **place)
            if alone
            else started(tmp_path, *pair, *check, **place)
        ) as process:
            out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1, err
        told.append(out.replace(str(home), ""))
        files = sorted((home / "inventories").iterdir())
        digests.append({path.name: dict(np.load(path)) for path in files})
    assert told[0] == told[1]
    assert "2 of 8 pictures cannot be decoded" in told[0]
    assert digests[0].keys() == digests[1].keys()
    for name, columns in digests[0].items():
        for column, values in columns.items():
            assert np.array_equal(values, digests[1][name][column])
