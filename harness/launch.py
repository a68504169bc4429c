"""Starting one process per rank, and ending all of them when one ends."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from harness.cores import cores
from harness.errors import HarnessError
from harness.terminal import page

POLL_SECONDS = 0.2
SETTLE_SECONDS = 1.0
LOST_SECONDS = 5.0  # that a rank keeps silent when a collective breaks: who broke it speaks first
GRACE_SECONDS = 30.0
TAIL = 2000
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h


def share_cores() -> None:
    """Let torch's threads sleep while they wait; call it before torch is imported.

    By default they spin. Where another process or our own loader wants the core, a spinning thread
    keeps it from the one that everybody waits for: a step on two busy cores was 3 to 16 times
    slower, and with sleeping threads no slower than with one.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def keep_freed_memory() -> None:
    """Let glibc keep what a step freed for the next one; without glibc, do nothing.

    By default it returns it to the system and asks for it again, page by page. On a CPU a step of
    test_resnet took 34 ms then and 29 ms since, for 1 % more memory.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(M_MMAP_THRESHOLD, 32 << 20)  # the largest that glibc takes
    mallopt(M_TRIM_THRESHOLD, 1 << 30)


def in_rank() -> bool:
    """Whether this process was started as a rank, by us or by another launcher."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def choose_ranks(gpus: int | None, cpu_ranks: int | None) -> int:
    """Return how many processes to start; raises HarnessError where the machine has too few GPUs.

    ``gpus`` 0 and ``cpu_ranks`` hide the GPUs from everything that is imported after this.
    """
    if cpu_ranks and gpus:
        raise HarnessError("--gpus and --cpu-ranks exclude each other; choose one")
    if gpus == 0 or cpu_ranks:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        return cpu_ranks or 1
    if gpus and gpus > 1 and not in_rank():
        import torch

        found = torch.cuda.device_count()
        if found < gpus:
            raise HarnessError(
                f"--gpus {gpus}: this machine has {found}; choose {found} or fewer (0: the CPU)"
            )
    if gpus == 1 and not in_rank():
        import torch

        if not torch.cuda.is_available():
            raise HarnessError("--gpus 1: no GPU was found here; leave --gpus out for the CPU")
    return gpus or 1


def launch(arguments: Sequence[str], ranks: int) -> int:
    """Run ``harness ARGUMENTS`` in ``ranks`` processes; return the status of the first that failed.

    Rank 0 speaks; what the others say is shown only where one of them failed first. A signal to
    this process goes to all of them, and they end in their own time.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        logs = [Path(folder) / f"rank{rank}" for rank in range(ranks)]
        processes = [_start(arguments, rank, ranks, port, logs[rank]) for rank in range(ranks)]
        heard: list[int] = []

        def hear(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a handler's form
            heard.append(number)
            _tell(processes, number)

        before = {number: signal.signal(number, hear) for number in heeded_signals()}
        try:
            failed = _wait(processes, heard)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            _end(processes)
        if failed is None:
            return 0
        if failed > 0:
            sys.stderr.write(page(_last_words(logs[failed])))
        status = processes[failed].returncode
        return status if status >= 0 else 128 - status


def heeded_signals() -> list[signal.Signals]:
    """Return the signals that ask for a stop, without those that nohup or a shell switched off."""
    asking = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    return [number for number in asking if signal.getsignal(number) != signal.SIG_IGN]


def follow_parent() -> None:
    """Ask this rank to stop when the process that started it is gone, however that ended."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="follow parent", daemon=True).start()


def _start(
    arguments: Sequence[str], rank: int, ranks: int, port: int, log: Path
) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": str(max(1, cores() // ranks)),
    }
    command = [sys.executable, "-m", "harness", *arguments]
    if rank == 0:
        return subprocess.Popen(command, env=environment, start_new_session=True)
    with log.open("wb") as file:
        return subprocess.Popen(
            command, env=environment, stdout=file, stderr=file, start_new_session=True
        )


def _wait(processes: Sequence[subprocess.Popen[bytes]], heard: Sequence[int]) -> int | None:
    """Wait until all ended or one failed; return the rank that did, or None."""
    while all(not process.poll() for process in processes) and _running(processes):
        time.sleep(POLL_SECONDS)
    # One error ends several ranks: let the first one say it, and after a signal let all of them.
    deadline = time.monotonic() + (GRACE_SECONDS if heard else SETTLE_SECONDS)
    while time.monotonic() < deadline and _running(processes if heard else processes[:1]):
        time.sleep(POLL_SECONDS)
    return next((rank for rank, process in enumerate(processes) if process.poll()), None)


def _running(processes: Sequence[subprocess.Popen[bytes]]) -> bool:
    return any(process.poll() is None for process in processes)


def _last_words(log: Path) -> str:
    """Return the one line of an error that the user can mend, else the end of what was said."""
    text = log.read_text(errors="replace")
    errors = [line for line in text.splitlines(keepends=True) if line.startswith("Error: ")]
    return errors[-1] if errors else text[-TAIL:]


def _tell(processes: Sequence[subprocess.Popen[bytes]], number: int) -> None:
    for process in processes:
        if process.poll() is None:
            process.send_signal(number)


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    _tell(processes, signal.SIGTERM)
    for process in processes:
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
