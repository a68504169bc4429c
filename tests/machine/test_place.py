"""What a launcher, or something left over from one, says in the environment."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.machine.launch import choose_ranks
from harness.machine.place import Place, read_place

PEERS = {"MASTER_ADDR": "node1", "MASTER_PORT": "29500"}
TWO = {"RANK": "1", "WORLD_SIZE": "2"}


def test_a_place_is_read_whole_or_not_at_all() -> None:
    assert read_place({}) is None
    assert read_place(PEERS) is None  # many clusters set them for every job
    assert read_place({"RANK": "0", "WORLD_SIZE": "1"}) == Place(0, 1, 0, "", 0)
    assert read_place(TWO | PEERS | {"LOCAL_RANK": "0"}) == Place(1, 2, 0, "node1", 29500)


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"RANK": "0"}, "RANK=0 is set and WORLD_SIZE is not"),
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE=2 is set and RANK is not"),
        ({"LOCAL_RANK": "0"}, "LOCAL_RANK=0 is set and RANK is not"),
        ({**TWO, **PEERS, "RANK": "x"}, "RANK='x' is not an int from 0 to 1"),
        ({**TWO, **PEERS, "RANK": ""}, "RANK='' is not an int"),
        ({**TWO, **PEERS, "RANK": "-1"}, "RANK='-1' is not an int"),
        ({**TWO, **PEERS, "RANK": "2"}, r"RANK='2' is not an int from 0 to 1 \(WORLD_SIZE=2\)"),
        ({**TWO, **PEERS, "WORLD_SIZE": "0"}, "WORLD_SIZE='0' is not an int from 1"),
        ({**TWO, **PEERS, "WORLD_SIZE": "9" * 5000}, "WORLD_SIZE='9+' is not an int from 1"),
        ({**TWO, **PEERS, "LOCAL_RANK": "²"}, "LOCAL_RANK='²' is not an int"),
        (TWO, "MASTER_ADDR is not set"),
        ({**TWO, "MASTER_ADDR": "node1"}, "MASTER_PORT is not set"),
        ({**TWO, **PEERS, "MASTER_PORT": "65536"}, "MASTER_PORT='65536' is not an int"),
    ],
)
def test_what_is_odd_or_left_over_is_named_with_what_to_do(
    environment: dict[str, str], told: str
) -> None:
    with pytest.raises(HarnessError, match=told) as error:
        read_place(environment)
    names = [n for n in ("RANK", "WORLD_SIZE", "LOCAL_RANK") if n in environment]
    assert str(error.value).endswith(f"To train in this process alone: unset {' '.join(names)}")


# What Open MPI 4.1, MPICH 4.0 and Slurm 22.05 set for the second of two processes.
OMPI = {
    "OMPI_COMM_WORLD_RANK": "1",
    "OMPI_COMM_WORLD_SIZE": "2",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
    "PMIX_NAMESPACE": "931659777",
}
HYDRA = {"PMI_RANK": "1", "PMI_SIZE": "2", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2"}
SLURM = {
    "SLURM_JOB_ID": "401",
    "SLURM_JOB_NODELIST": "gpu-[007-008]",
    "SLURM_LOCALID": "0",
    "SLURM_NTASKS": "2",
    "SLURM_PROCID": "1",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NODELIST": "gpu-[007-008]",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_NUM_TASKS": "2",
}


def without(environment: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name not in names}


def test_the_variables_of_other_launchers_say_a_place() -> None:
    assert read_place(OMPI) == Place(1, 2, 1, "127.0.0.1", 24_777)
    assert read_place(HYDRA) == Place(1, 2, 1, "127.0.0.1", 29_500)
    assert read_place(SLURM) == Place(1, 2, 0, "gpu-007", 29_837)
    assert read_place(SLURM | {"SLURM_STEP_NUM_NODES": "1"}) == Place(1, 2, 0, "127.0.0.1", 29_837)
    chosen = {"MASTER_ADDR": "head", "MASTER_PORT": "4000"}
    for environment in (OMPI, HYDRA, SLURM):
        assert read_place(environment | chosen)[3:] == ("head", 4000)  # type: ignore[index]
    # A job's steps meet at ports of their own.
    assert read_place(SLURM | {"SLURM_STEP_ID": "1"}) == Place(1, 2, 0, "gpu-007", 29_838)
    # Where the scheduler shows each task one GPU, that is the first.
    uuid = "8932f937-d72c-4106-c12f-20bd9faed9f6"
    for one in ("3", f"GPU-{uuid}", "GPU-8932f937", f"MIG-{uuid}", f"MIG-GPU-{uuid}/1/0"):
        place = read_place(OMPI | {"CUDA_VISIBLE_DEVICES": one})
        assert place == Place(1, 2, 0, "127.0.0.1", 24_777), one
    for several in ("", "-1", "0,1", f"GPU-{uuid},GPU-8932f938", f"MIG-{uuid}, MIG-0"):
        place = read_place(OMPI | {"CUDA_VISIBLE_DEVICES": several})
        assert place == Place(1, 2, 1, "127.0.0.1", 24_777), several
    # Kubeflow's controller sets no LOCAL_RANK.
    assert read_place(TWO | PEERS) == Place(1, 2, 0, "node1", 29500)


@pytest.mark.parametrize(
    "environment",
    [
        without(SLURM, "SLURM_STEP_ID", "SLURM_STEP_NUM_TASKS"),  # a batch script, without srun
        without(SLURM, "SLURM_STEP_ID", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),  # salloc's shell
        SLURM | {"SLURM_STEP_ID": "4294967290", "SLURM_STEP_NUM_TASKS": "1"},  # its other kind
        SLURM | {"SLURM_NTASKS": "1", "SLURM_STEP_NUM_TASKS": "1"},  # srun --pty, srun -n 1
        OMPI | {"OMPI_COMM_WORLD_SIZE": "1"},
        without(HYDRA, "MPI_LOCALRANKID"),  # srun --mpi=pmi2, which says the rest itself
    ],
)
def test_a_process_that_was_started_alone_trains_alone(environment: dict[str, str]) -> None:
    assert read_place(environment) is None


def test_the_innermost_of_several_launchers_counts() -> None:
    torchrun = {"RANK": "5", "WORLD_SIZE": "8", "TORCHELASTIC_RUN_ID": "x", **PEERS}
    assert read_place(SLURM | torchrun) == Place(5, 8, 0, "node1", 29500)
    assert read_place(SLURM | OMPI) == read_place(OMPI)
    with pytest.raises(
        HarnessError,
        match=r"RANK=0 and WORLD_SIZE=1 contradict mpirun's OMPI_COMM_WORLD_RANK=1 and "
        r"OMPI_COMM_WORLD_SIZE=2; to follow mpirun: unset RANK WORLD_SIZE",
    ):
        read_place(OMPI | {"RANK": "0", "WORLD_SIZE": "1"})
    same = {"RANK": "1", "WORLD_SIZE": "2", **PEERS}
    assert read_place(OMPI | same) == Place(1, 2, 0, "node1", 29500)


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        (OMPI | {"OMPI_COMM_WORLD_LOCAL_SIZE": "1"}, "several machines, but MASTER_ADDR is not"),
        (OMPI | {"OMPI_COMM_WORLD_RANK": "2"}, "OMPI_COMM_WORLD_RANK='2' is not an int from 0"),
        (OMPI | {"OMPI_COMM_WORLD_SIZE": "x"}, "OMPI_COMM_WORLD_SIZE='x' is not an int from 2"),
        (SLURM | {"MASTER_PORT": "0"}, "MASTER_PORT='0' is not an int from 1 to 65535"),
        (without(SLURM, "SLURM_LOCALID"), "SLURM_LOCALID is not; set RANK, WORLD_SIZE"),
    ],
)
def test_what_another_launcher_leaves_open_is_named(environment: dict[str, str], told: str) -> None:
    with pytest.raises(HarnessError, match=told):
        read_place(environment)


def test_a_number_of_processes_other_than_those_started_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(HarnessError, match=r"--cpu-ranks 2 asks for 2 .* unset RANK WORLD_SIZE"):
        choose_ranks(None, 2, Place(0, 1, 0, "", 0))
    with pytest.raises(HarnessError, match="--gpus 8 asks for 8 processes"):
        choose_ranks(8, None, Place(0, 2, 0, "node1", 29500))
    assert choose_ranks(None, 2, Place(0, 2, 0, "node1", 29500)) == 2
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")  # as torchrun says it, on several machines
    assert choose_ranks(8, None, Place(0, 16, 0, "node1", 29500)) == 16


@pytest.mark.slow
def test_a_run_leaves_nothing_behind_that_looks_like_a_launcher(
    tiny_home: Path, call: Callable[..., Any]
) -> None:
    command = ("run", "--plugin", "baseline", "--data", "synthweb:tiny", "--stage", "epochs=1")
    assert call(*command).status == 0
    assert not {"RANK", "WORLD_SIZE", "LOCAL_RANK"} & set(os.environ)
    assert call(*command, "--seed", "1").status == 0
