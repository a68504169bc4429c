"""What a process does before it imports torch, and how many processes train together."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

from harness.errors import HarnessError
from harness.machine.cores import cores
from harness.machine.place import Place, how_alone

POLL_SECONDS = 0.2
LOST_SECONDS = 5.0  # by which a rank delays its error if a collective breaks: its cause is first
DONE = "HARNESS_DONE"  # names a file that the first rank here creates at its end
SPINS = "3000"  # 0.1 ms; beside one busy process a step is 1.2 to 1.4 times slower for it
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h


def share_cores(ranks: int = 1) -> None:
    """Let torch's threads sleep after a short wait; call it before torch is imported.

    By default they spin for milliseconds. If another process or our loader needs the core, a
    spinning thread blocks the thread that all others wait for: a step on two busy cores was 3 to 16
    times slower. If they sleep at once, each wait costs the time to wake up: a step of test_resnet
    took 36 ms, and 21 ms with ``SPINS`` turns before they sleep (benchmarks/waiting.py).
    If this process will start several ``ranks``, each of them gets its part of the cores.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)  # GNU's OpenMP; it goes before the policy
    if ranks > 1:
        os.environ["OMP_NUM_THREADS"] = str(max(1, cores() // ranks))


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
        found = _gpus()
        if found == 0 and gpus == 1:
            raise HarnessError("--gpus 1: no GPU was found here; leave --gpus out for the CPU")
        if found < gpus:
            raise HarnessError(
                f"--gpus {gpus}: this machine has {found}; choose {found} or fewer (0: the CPU)"
            )
    return cpu_ranks or gpus or 1


def _gpus() -> int:
    """Count the GPUs in a fork: if torch must ask CUDA itself, no later fork could use CUDA."""
    import torch

    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(torch.cuda.device_count)


def check_nodes(node: Place, place: Place) -> None:
    """Raise HarnessError if ``--nodes`` asks for others than the launcher that started this."""
    here = os.environ.get("GROUP_WORLD_SIZE", "")
    if node.world_size > 1 and here != str(node.world_size):
        raise HarnessError(
            f"--nodes {node.world_size}: a launcher has started this process as rank {place.rank} "
            f"of {place.world_size}; leave out --nodes, --node-rank and --rendezvous, or, "
            f"{how_alone()}"
        )


def _check_number(gpus: int | None, cpu_ranks: int | None, place: Place) -> None:
    asked = cpu_ranks or gpus or 0
    here = os.environ.get("LOCAL_WORLD_SIZE", "")
    if asked > 1 and str(asked) not in (str(place.world_size), here):
        option = "--cpu-ranks" if cpu_ranks else "--gpus"
        raise HarnessError(
            f"{option} {asked} asks for {asked} processes, but a launcher has started this one as "
            f"rank {place.rank} of {place.world_size} (RANK, WORLD_SIZE); leave out {option}, or, "
            f"{how_alone()}"
        )


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
