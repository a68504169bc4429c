"""This process's rank among those that a launcher started, read from the environment.

torchrun, DeepSpeed's launcher and Kubeflow set RANK and WORLD_SIZE. ``srun`` and ``mpirun`` set
variables of their own; with one task, or in a shell or a batch script without ``srun``, these mean
nothing here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from harness.errors import HarnessError

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
MOST = 1 << 20  # a larger WORLD_SIZE is not a plausible number of processes
# Set by torch's agent and DeepSpeed's launcher: a task of srun may have started one of them.
OWN_RANKS = ("TORCHELASTIC_RUN_ID", "CROSS_SIZE")
USUAL_PORT, FIRST_PORT, PORTS = 29_500, 15_000, 15_000
# A number, or the UUID of a GPU or of a MIG device; an older driver's MIG-GPU-UUID/0/0, too.
ONE_DEVICE = re.compile(r"[0-9]+|(GPU|MIG)-[^,\s]+")
LOOPBACK = "127.0.0.1"


class Place(NamedTuple):
    """The place of one process; rank 0 listens at ``address`` and ``port`` if there are several."""

    rank: int
    world_size: int
    local_rank: int
    address: str
    port: int


@dataclass(frozen=True)
class _Launcher:
    """How a launcher that is not torch's names a process's place; ``job`` are numbers of a job.

    All processes are on one machine if the variable ``part`` equals ``whole``, which is a number or
    names another variable.
    """

    name: str
    rank: str
    size: str
    local_rank: str
    part: str
    whole: str
    job: tuple[str, ...]
    sign: str

    def started(self, environment: Mapping[str, str]) -> bool:
        """Return whether it started this process together with others."""
        if self.rank not in environment or self.sign not in environment:
            return False
        return environment.get(self.size, "").strip() not in ("", "1")


# The innermost first: mpirun may start its ranks through srun.
LAUNCHERS = (
    _Launcher(
        name="mpirun",
        rank="OMPI_COMM_WORLD_RANK",
        size="OMPI_COMM_WORLD_SIZE",
        local_rank="OMPI_COMM_WORLD_LOCAL_RANK",
        part="OMPI_COMM_WORLD_LOCAL_SIZE",
        whole="OMPI_COMM_WORLD_SIZE",
        job=("PMIX_NAMESPACE",),
        sign="OMPI_COMM_WORLD_SIZE",
    ),
    _Launcher(
        name="mpirun",
        rank="PMI_RANK",
        size="PMI_SIZE",
        local_rank="MPI_LOCALRANKID",
        part="MPI_LOCALNRANKS",
        whole="PMI_SIZE",
        job=(),
        sign="MPI_LOCALRANKID",
    ),
    # A batch script has SLURM_PROCID and the job's SLURM_NTASKS, but it is not a step; a shell of
    # salloc or of srun --pty is a step of one task.
    _Launcher(
        name="srun",
        rank="SLURM_PROCID",
        size="SLURM_STEP_NUM_TASKS",
        local_rank="SLURM_LOCALID",
        part="SLURM_STEP_NUM_NODES",
        whole="1",
        job=("SLURM_JOB_ID", "SLURM_STEP_ID"),
        sign="SLURM_STEP_ID",
    ),
)


def read_place(environment: Mapping[str, str] = os.environ) -> Place | None:
    """Return this process's place, or None if no launcher started it.

    MASTER_ADDR and MASTER_PORT alone have no effect. Raises HarnessError if the variables
    contradict each other or are left over from something else.
    """
    launcher = _launcher(environment)
    given = {name: environment[name] for name in NAMES if name in environment}
    if not given:
        return _place_of(launcher, environment) if launcher else None
    for name in ("RANK", "WORLD_SIZE"):
        if name not in given:
            raise HarnessError(
                f"{_told(given)} is set and {name} is not; a launcher sets both. {_alone(given)}"
            )
    world_size = _number("WORLD_SIZE", given, 1, MOST)
    rank = _number("RANK", given, 0, world_size - 1)
    local_rank = _number("LOCAL_RANK", given, 0, world_size - 1)
    if launcher and not any(name in environment for name in OWN_RANKS):
        _check_equal(launcher, environment, given, (rank, world_size))
    if world_size == 1:
        return Place(rank, world_size, local_rank, "", 0)
    address = environment.get("MASTER_ADDR", "").strip()
    if not address or "MASTER_PORT" not in environment:
        missing = "MASTER_PORT" if address else "MASTER_ADDR"
        raise HarnessError(
            f"{_told(given)} ask for {world_size} processes that train together, but {missing} "
            f"is not set, so they cannot find each other. {_alone(given)}"
        )
    ports = {**given, "MASTER_PORT": environment["MASTER_PORT"]}
    return Place(rank, world_size, local_rank, address, _number("MASTER_PORT", ports, 1, 65_535))


def show_place(place: Place) -> None:
    """Set the variables that libraries and plugins read, whichever launcher started this."""
    os.environ |= {
        "RANK": str(place.rank),
        "WORLD_SIZE": str(place.world_size),
        "LOCAL_RANK": str(place.local_rank),
    }
    if place.world_size > 1:
        os.environ |= {"MASTER_ADDR": place.address, "MASTER_PORT": str(place.port)}


def world_size() -> int:
    """Return the number of processes that train together; 1 if no launcher started this one."""
    place = read_place()
    return place.world_size if place else 1


def how_alone(environment: Mapping[str, str] = os.environ) -> str:
    """Return how to train in one process, for the end of a message."""
    launcher = _launcher(environment)
    if launcher:
        return f"to train in one process alone: start it without {launcher.name}"
    return f"to train in one process alone: unset {' '.join(NAMES)}"


def first_host(nodes: str) -> str:
    """Return the first host of SLURM's list of nodes.

    >>> first_host("gpu-[007-009,012],login1"), first_host("r[1-2]n[3,5]"), first_host("a1,a2")
    ('gpu-007', 'r1n3', 'a1')
    """
    first = re.sub(r"\[([^],-]*)[^]]*\]", r"\1", nodes)
    return first.partition(",")[0].strip()


def _launcher(environment: Mapping[str, str]) -> _Launcher | None:
    return next((one for one in LAUNCHERS if one.started(environment)), None)


def _place_of(launcher: _Launcher, environment: Mapping[str, str]) -> Place:
    given = {
        name: environment[name]
        for name in (launcher.rank, launcher.size, launcher.local_rank)
        if name in environment
    }
    if launcher.local_rank not in given:
        raise HarnessError(
            f"{_told(given)} are set and {launcher.local_rank} is not; set {', '.join(NAMES)}, "
            f"MASTER_ADDR and MASTER_PORT for each process, or, {how_alone(environment)}"
        )
    size = _whole(launcher.size, given, launcher, 2, MOST)
    rank = _whole(launcher.rank, given, launcher, 0, size - 1)
    local_rank = _whole(launcher.local_rank, given, launcher, 0, size - 1)
    if ONE_DEVICE.fullmatch(environment.get("CUDA_VISIBLE_DEVICES", "").strip()):
        local_rank = 0  # the scheduler shows each task its own GPU only
    port = environment.get("MASTER_PORT", "").strip() or str(_port(launcher, environment))
    return Place(
        rank,
        size,
        local_rank,
        _address(launcher, environment, given),
        _whole("MASTER_PORT", {"MASTER_PORT": port}, launcher, 1, 65_535),
    )


def _address(launcher: _Launcher, environment: Mapping[str, str], given: Mapping[str, str]) -> str:
    if environment.get("MASTER_ADDR", "").strip():
        return environment["MASTER_ADDR"].strip()
    if environment.get(launcher.part) == environment.get(launcher.whole, launcher.whole):
        return LOOPBACK
    nodes = environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_JOB_NODELIST", "")
    if launcher.name == "srun" and first_host(nodes):
        return first_host(nodes)
    raise HarnessError(
        f"{_told(given)} ask for processes on several machines, but MASTER_ADDR is not set; set it "
        f"to the host of rank 0 for all (-x MASTER_ADDR=HOST, MPICH: -genv MASTER_ADDR HOST), or, "
        f"{how_alone(environment)}"
    )


def _port(launcher: _Launcher, environment: Mapping[str, str]) -> int:
    """Return a port: the same in all processes of one job, another in other jobs."""
    number = 0
    for name in launcher.job:
        digits = re.sub(r"\D", "", environment.get(name, ""))
        number = 37 * number + int(digits[-9:] or 0)
    return FIRST_PORT + number % PORTS if number else USUAL_PORT


def _check_equal(
    launcher: _Launcher,
    environment: Mapping[str, str],
    given: Mapping[str, str],
    found: tuple[int, int],
) -> None:
    says = {name: environment[name] for name in (launcher.rank, launcher.size)}
    if (says[launcher.rank].strip(), says[launcher.size].strip()) != tuple(map(str, found)):
        raise HarnessError(
            f"{_told(given)} contradict {launcher.name}'s {_told(says)}; to follow "
            f"{launcher.name}: unset {' '.join(given)}"
        )


def _whole(name: str, given: Mapping[str, str], launcher: _Launcher, least: int, most: int) -> int:
    text = given[name].strip()
    number = int(text) if text.isdecimal() and len(text) < 20 else -1
    if not least <= number <= most:
        raise HarnessError(
            f"{name}={given[name]!r} is not an int from {least} to {most}, though {launcher.name} "
            f"started this process; start it again, or set RANK, WORLD_SIZE and LOCAL_RANK yourself"
        )
    return number


def _number(name: str, given: Mapping[str, str], least: int, most: int) -> int:
    text = given.get(name, str(least)).strip()
    number = int(text) if text.isdecimal() and len(text) < 20 else -1
    if not least <= number <= most:
        size = f" (WORLD_SIZE={given['WORLD_SIZE']})" if name in ("RANK", "LOCAL_RANK") else ""
        raise HarnessError(
            f"{name}={given[name]!r} is not an int from {least} to {most}{size}. {_alone(given)}"
        )
    return number


def _told(given: Mapping[str, str]) -> str:
    return " and ".join(f"{name}={value}" for name, value in given.items())


def _alone(given: Mapping[str, str]) -> str:
    names = " ".join(name for name in NAMES if name in given)
    return f"To train in this process alone: unset {names}"
