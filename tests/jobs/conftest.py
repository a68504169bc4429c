"""A Slurm of one's own: controller, two nodes and munge, in a temporary folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

CONFIGURATION = """
ClusterName=tiny
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
SlurmctldPort={controller}
SlurmdParameters=config_overrides
NodeName=n[1-2] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{second}] CPUs=4
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=YES
"""


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start Slurm; yield its configuration file, which SLURM_CONF must name."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("slurmctld", "slurmd", "munged"))):
        pytest.skip("needs root and Debian's slurm-wlm, which .ci/run installs")
    folder = tmp_path_factory.mktemp("slurm")
    (folder / "state").mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    first = _three_ports()
    path = folder / "slurm.conf"
    path.write_text(
        CONFIGURATION.format(
            host=socket.gethostname(),
            folder=folder,
            controller=first + 2,
            first=first,
            second=first + 1,
        )
    )
    environment = os.environ | {"SLURM_CONF": str(path)}
    munge = (f"--socket={folder}/munge.socket", f"--key-file={key}", "--force", "--foreground")
    own = (
        f"--pid-file={folder}/munge.pid",
        f"--log-file={folder}/m.log",
        f"--seed-file={folder}/s",
    )
    commands = [
        ["munged", *munge, *own],
        ["slurmctld", "-D", "-f", str(path)],
        *(["slurmd", "-D", "-N", node, "-f", str(path)] for node in ("n1", "n2")),
    ]
    processes = []
    try:
        for command in commands:
            with (folder / f"{command[0]}.out").open("ab") as out:
                processes.append(subprocess.Popen(command, env=environment, stdout=out, stderr=out))
            _wait_for(folder / "munge.socket")
        _wait_for_nodes(environment)
        yield path
        # A step whose controller ends first waits for it for ever.
        subprocess.run(["scancel", "--user", "root"], env=environment, check=True)
        _wait_for_nodes(environment)
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            process.wait(30)


def _three_ports() -> int:
    """Return the first of three ports that nobody listens on.

    Each process looks in another order: workers that look at one time would find the same.
    """
    begin = os.getpid() % 1000
    for first in (26_820 + 3 * ((begin + n) % 1000) for n in range(1000)):
        try:
            for port in (first, first + 1, first + 2):
                socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return first
    raise AssertionError("no three ports are free")


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} was not made"
        time.sleep(0.05)


def _wait_for_nodes(environment: dict[str, str]) -> None:
    deadline = time.monotonic() + 60
    while True:
        asked = subprocess.run(
            ["sinfo", "--noheader", "--format", "%D %t"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if asked.stdout.strip() == "2 idle":
            return
        assert time.monotonic() < deadline, (asked.stdout, asked.stderr)
        time.sleep(0.2)
