"""The processes that train together, and the collectives between them."""

from __future__ import annotations

import atexit
import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from harness.errors import HarnessError
from harness.launch.heartbeat import Heartbeat, lost_limit
from harness.launch.joining import join_limit, meet
from harness.machine.place import Place, read_place, show_place

# Rank 0 may cluster, or wait for another run's stage, for hours; torch's default is 10 minutes.
TIMEOUT = dt.timedelta(days=7)
T = TypeVar("T")
_stores: dict[Place, dist.Store] = {}
ALONE = Place(rank=0, world_size=1, local_rank=0, address="", port=0)


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """This process's rank, and the device that it computes on.

    ``store`` is where several ranks met: what one says there need not be waited for.
    """

    rank: int
    world_size: int
    device: torch.device
    store: dist.Store | None = None

    @property
    def first(self) -> bool:
        """Whether this process is rank 0, which writes and reports."""
        return self.rank == 0

    def barrier(self) -> None:
        """Wait until every rank is here."""
        if self.world_size > 1:
            dist.barrier()

    def broadcast(self, value: object) -> object:
        """Return rank 0's value in every rank."""
        if self.world_size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def decided(self, call: Callable[[], T]) -> T:
        """Call a function in rank 0 only; return its result, or raise its error, in every rank.

        Nobody then waits for a rank 0 that has failed, and no rank reads for itself what another
        machine's disk cache may show it otherwise.
        """
        if self.world_size == 1:
            return call()
        answer: tuple[T | None, Exception | None] = None, None
        if self.first:
            try:
                answer = call(), None
            except (HarnessError, OSError) as error:
                answer = None, error
        result, problem = cast("tuple[T, Exception | None]", self.broadcast(answer))
        if problem is not None:
            raise problem
        return result

    def in_turn(self, call: Callable[[], T]) -> T:
        """Call a function in rank 0, and then in all others, which find what it wrote.

        An error of any rank is raised in all.
        """
        own: list[T] = []
        self.decided(lambda: own.append(call()))
        return self.together(lambda: own[0] if own else call())

    def together(self, call: Callable[[], T]) -> T:
        """Call a function in every rank; raise the first rank's error in all of them.

        The function must not wait for other ranks, which one that has failed would never answer.
        """
        found: list[T] = []
        failed: Exception | None = None
        try:
            found.append(call())
        except (HarnessError, OSError) as error:
            failed = error
        for problem in cast("list[Exception | None]", self.gather(failed)):
            if problem is not None:
                raise problem
        return found[0]

    def gather(self, value: object) -> list[object]:
        """Return the values of all ranks, in order, in every rank."""
        if self.world_size == 1:
            return [value]
        values: list[object] = [None] * self.world_size
        dist.all_gather_object(values, value)
        return values

    def collect(self, value: object) -> list[object]:
        """Return the values of all ranks, in order, in rank 0; an empty list in the others."""
        if self.world_size == 1:
            return [value]
        values: list[object] = [None] * self.world_size if self.first else []
        dist.gather_object(value, values if self.first else None, dst=0)
        return values

    def union(self, found: dict[int, str]) -> dict[int, str]:
        """Return the entries of all ranks; the loader's threads may still add to ``found``."""
        copies = self.gather(dict(found))
        return {row: text for part in copies for row, text in cast("dict[int, str]", part).items()}

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """Return for each flag whether any rank set it."""
        if self.world_size == 1:
            return flags
        counts = torch.tensor(flags, dtype=torch.float32, device=self.device)
        return tuple((self.mean(counts) > 0).tolist())

    def mean(self, tensor: Tensor) -> Tensor:
        """Return the mean over all ranks."""
        if self.world_size > 1:
            dist.all_reduce(tensor)
            tensor /= self.world_size
        return tensor

    def joined(self, tensor: Tensor) -> Tensor:
        """Return the tensors of all ranks, which must have one shape, one after another."""
        if self.world_size == 1:
            return tensor
        parts = [torch.empty_like(tensor) for _ in range(self.world_size)]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    def average_buffers(self, module: nn.Module) -> None:
        """Average batch-norm statistics, which drift apart between ranks as they train.

        Other buffers are not averaged: the mean of two queues of features is not a queue.
        """
        for part in module.modules():
            if isinstance(part, _BatchNorm) and self.world_size > 1:
                for statistic in (part.running_mean, part.running_var):
                    if statistic is not None:  # it tracks no statistics
                        self.mean(statistic)


def counted(ranks: int) -> str:
    """Return a number of ranks in words.

    >>> counted(1), counted(2)
    ('1 rank', '2 ranks')
    """
    return f"{ranks} rank" if ranks == 1 else f"{ranks} ranks"


def join_ranks() -> Ranks:
    """Join the processes that the launcher started, or be the only one.

    A single process opens no port. The group stays joined until the process ends. Raises
    HarnessError if the launcher's variables contradict each other or a rank is missing.
    """
    place = read_place()
    if place is None:
        place = ALONE
    else:
        show_place(place)  # to DeepSpeed, and to plugins
    cuda = torch.cuda.is_available()
    if cuda and place.local_rank >= torch.cuda.device_count():
        raise HarnessError(
            f"LOCAL_RANK={place.local_rank}, but this machine has {torch.cuda.device_count()} GPUs;"
            " start no more ranks here, or train on the CPU with --gpus 0"
        )
    device = torch.device("cuda", place.local_rank) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        _join("nccl" if cuda else "gloo", place, device if cuda else None)
        atexit.register(_leave)
    store = _stores.get(place)
    return Ranks(rank=place.rank, world_size=place.world_size, device=device, store=store)


def _join(backend: str, place: Place, device: torch.device | None) -> None:
    # NCCL connects now, and barriers use this device, if it is told which; gloo has none.
    if place.world_size == 1:
        dist.init_process_group(
            backend, store=dist.HashStore(), rank=0, world_size=1, device_id=device
        )
        return
    lost = lost_limit()
    store = meet(place)
    heartbeat = Heartbeat(store, place, lost)
    # A firewall between the ranks fails here, not after TIMEOUT.
    limit = dt.timedelta(seconds=join_limit())
    try:
        dist.init_process_group(
            backend,
            store=store,
            rank=place.rank,
            world_size=place.world_size,
            timeout=limit,
            device_id=device,
        )
        dist.barrier()
    except RuntimeError as error:
        raise HarnessError(
            f"rank {place.rank} of {place.world_size} cannot reach the others, though all are "
            f"started: {str(error).splitlines()[0]}; open the ports between the machines, or name "
            "the interface with GLOO_SOCKET_IFNAME or NCCL_SOCKET_IFNAME"
        ) from error
    heartbeat.start()
    atexit.register(heartbeat.leave)
    _stores[place] = store
    store.set_timeout(TIMEOUT)
    set_timeout = getattr(dist, "set_timeout", None) or dist.distributed_c10d._set_pg_timeout
    set_timeout(TIMEOUT)  # public since torch 2.14


def _leave() -> None:
    """End gloo's threads before the interpreter exits.

    A thread that frees its last tensor later needs the interpreter's lock and ends the process with
    SIGABRT: this happened to 14 of 80 ranks that had finished their work.
    """
    if dist.is_initialized():
        dist.destroy_process_group()
