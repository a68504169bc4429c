"""Start one process per rank, and end all of them when one fails."""

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
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from harness.errors import HarnessError
from harness.machine.cores import cores
from harness.machine.interpreter import python
from harness.machine.killed import killed_words, memory_kills
from harness.machine.place import Place
from harness.terminal import page

POLL_SECONDS = 0.2
SETTLE_SECONDS = 1.0
LOST_SECONDS = 5.0  # that a rank delays its error if a collective breaks: the cause comes first
GRACE_SECONDS = 30.0
TAIL = 2000
DONE, SOCKET = "HARNESS_DONE", "HARNESS_SOCKET"  # given to rank 0: a file, a file descriptor
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h


def share_cores() -> None:
    """Let torch's threads sleep while they wait; call it before torch is imported.

    By default they spin. If another process or our loader needs the core, a spinning thread blocks
    the thread that all others wait for: a step on two busy cores was 3 to 16 times slower, and
    with sleeping threads not slower than with one thread.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def quieten_sockets() -> None:
    """Hide torch's stack traces of a refused connection; call it before torch is imported."""
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def keep_freed_memory() -> None:
    """Let glibc keep freed memory for the next step; without glibc, do nothing.

    By default it returns memory to the system and requests it again, page by page. On a CPU a step
    of test_resnet took 34 ms with the default and 29 ms without it, for 1 % more memory.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(M_MMAP_THRESHOLD, 32 << 20)  # the largest value that glibc accepts
    mallopt(M_TRIM_THRESHOLD, 1 << 30)


def choose_ranks(gpus: int | None, cpu_ranks: int | None, place: Place | None = None) -> int:
    """Return how many processes train together; if ``place`` is given, they are already running.

    ``gpus`` 0 and ``cpu_ranks`` hide the GPUs from everything that is imported after this. Raises
    HarnessError if the machine has too few GPUs, or another number of processes was started.
    """
    if cpu_ranks and gpus:
        raise HarnessError("--gpus and --cpu-ranks exclude each other; choose one")
    if gpus == 0 or cpu_ranks:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if place is not None:
        _check_number(gpus, cpu_ranks, place)
        return place.world_size
    if gpus:
        import torch

        found = torch.cuda.device_count()
        if found == 0 and gpus == 1:
            raise HarnessError("--gpus 1: no GPU was found here; leave --gpus out for the CPU")
        if found < gpus:
            raise HarnessError(
                f"--gpus {gpus}: this machine has {found}; choose {found} or fewer (0: the CPU)"
            )
    return cpu_ranks or gpus or 1


def _check_number(gpus: int | None, cpu_ranks: int | None, place: Place) -> None:
    asked = cpu_ranks or gpus or 0
    here = os.environ.get("LOCAL_WORLD_SIZE", "")
    if asked > 1 and str(asked) not in (str(place.world_size), here):
        option = "--cpu-ranks" if cpu_ranks else "--gpus"
        raise HarnessError(
            f"{option} {asked} asks for {asked} processes, but RANK={place.rank} and "
            f"WORLD_SIZE={place.world_size} are set, as if a launcher had started this one. "
            f"To start {asked} from here: unset RANK WORLD_SIZE LOCAL_RANK"
        )


def launch(arguments: Sequence[str], ranks: int) -> int:
    """Run ``harness ARGUMENTS`` in ``ranks`` processes; return the status of the first that failed.

    The output of rank 0 is shown; that of another rank only if it failed first. A signal to this
    process is passed on to all ranks, which end when they are ready. Raises HarnessError if all
    ended with status 0 but rank 0 did not finish its work.
    """
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as store:
        group = _Group(list(arguments), ranks, Path(folder), store)
        kills = memory_kills()
        processes = [group.start(rank) for rank in range(ranks)]
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
        if processes[0].returncode == 0 and not group.done.exists():
            raise HarnessError(
                f"rank 0 of {ranks} ended with status 0, but did not finish: nothing was "
                "recorded; a plugin or a library may have ended Python"
            )
        if failed is None:
            return 0
        if failed > 0:
            sys.stderr.write(page(_last_words(group.log(failed))))
        status = processes[failed].returncode
        if status < 0 and not heard:
            words = killed_words(failed, ranks, -status, (kills, memory_kills()))
            sys.stderr.write(f"\n{words}")
        return status if status >= 0 else 128 - status


def say_done() -> None:
    """Report to the launching process that this rank has finished; without one, do nothing."""
    if DONE in os.environ:
        Path(os.environ[DONE]).touch()


def heeded_signals() -> list[signal.Signals]:
    """Return the signals that stop a run, without those that nohup or a shell disabled."""
    asking = (
        *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
        *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU),  # schedulers' warnings
    )
    return [number for number in asking if signal.getsignal(number) != signal.SIG_IGN]


def follow_parent() -> None:
    """Stop this rank when the process that started it has ended in any way."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="follow parent", daemon=True).start()


@dataclass(frozen=True)
class _Group:
    """The ranks of one launch: their command, and the socket at which they meet."""

    arguments: list[str]
    ranks: int
    folder: Path
    store: socket.socket

    @property
    def done(self) -> Path:
        """The file that rank 0 creates when it has finished its work."""
        return self.folder / "done"

    def log(self, rank: int) -> Path:
        """The output file of a rank; rank 0 has none."""
        return self.folder / f"rank{rank}"

    def start(self, rank: int) -> subprocess.Popen[bytes]:
        """Start one rank; rank 0 inherits the socket, so no other process can take its port."""
        environment = os.environ | {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(self.ranks),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(self.store.getsockname()[1]),
            "OMP_NUM_THREADS": str(max(1, cores() // self.ranks)),
        }
        command = python("from harness.cli import main; main()", *self.arguments)
        if rank == 0:
            socket_number = self.store.fileno()
            environment |= {DONE: str(self.done), SOCKET: str(socket_number)}
            return subprocess.Popen(
                command, env=environment, start_new_session=True, pass_fds=[socket_number]
            )
        with self.log(rank).open("wb") as file:
            return subprocess.Popen(
                command, env=environment, stdout=file, stderr=file, start_new_session=True
            )


def _wait(processes: Sequence[subprocess.Popen[bytes]], heard: Sequence[int]) -> int | None:
    """Wait until all ended or one failed; return the rank that did, or None."""
    while all(not process.poll() for process in processes) and _running(processes):
        time.sleep(POLL_SECONDS)
    # One error ends several ranks: wait for the first to print it, after a signal for all.
    deadline = time.monotonic() + (GRACE_SECONDS if heard else SETTLE_SECONDS)
    while time.monotonic() < deadline and _running(processes if heard else processes[:1]):
        time.sleep(POLL_SECONDS)
    ended = [(rank, process.poll() or 0) for rank, process in enumerate(processes)]
    failed = [rank for rank, status in ended if status]
    # The other ranks only lost their connection to the killed one.
    killed = [rank for rank, status in ended if status < 0 and -status != signal.SIGABRT]
    return next(iter(killed + failed), None)


def _running(processes: Sequence[subprocess.Popen[bytes]]) -> bool:
    return any(process.poll() is None for process in processes)


def _last_words(log: Path) -> str:
    """Return the line of a HarnessError, or otherwise the end of the output."""
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
