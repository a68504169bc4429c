"""Where the ranks of a run meet: all of them within a minute, or one line says who is missing."""

from __future__ import annotations

import datetime as dt
import os
import queue
import socket
import threading
import time
from dataclasses import dataclass, field

import torch.distributed as dist

from harness.errors import HarnessError
from harness.machine.launch import SOCKET
from harness.machine.place import Place
from harness.terminal import note

LIMIT = "HARNESS_JOIN_SECONDS"
LIMIT_SECONDS = 50.0
SAY_SECONDS = 60.0
POLL_SECONDS = 0.2
ALONE = "to train in one process alone: unset RANK WORLD_SIZE LOCAL_RANK"


@dataclass
class Deadline:
    """Until when a rank waits for the others, which it says once a minute."""

    seconds: float
    begun: float = field(default_factory=time.monotonic)
    said: int = 0

    @property
    def left(self) -> dt.timedelta:
        """What is left of it; at least a moment, since torch takes 0 for no limit at all."""
        return dt.timedelta(seconds=max(0.1, self.begun + self.seconds - time.monotonic()))

    def over(self, waiting_for: str) -> bool:
        """Return whether it is over; say what is being waited for if a minute went by."""
        waited = time.monotonic() - self.begun
        if waited >= (self.said + 1) * SAY_SECONDS:
            self.said += 1
            note(f"waiting for {waiting_for}, for {waited:.0f} s")
        return waited >= self.seconds


def join_limit() -> float:
    """Return how many seconds a rank waits for the others to start."""
    text = os.environ.get(LIMIT, str(LIMIT_SECONDS))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 1e6:
        raise HarnessError(f"{LIMIT}={text!r} is not a number of seconds from 1 to 1000000")
    return seconds


def meet(place: Place) -> dist.Store:
    """Return the store of a run of several ranks once all of them are there.

    Nothing listens beyond this machine if MASTER_ADDR is an address that others cannot reach.
    Raises HarnessError if the address cannot be used or a rank is missing at the end of the limit.
    """
    deadline = Deadline(join_limit())
    if _local(place):
        _stay_on_this_machine()
    try:
        store = _store(place, deadline)
        _await_all(store, place, deadline)
    except (dist.DistError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise HarnessError(
            f"rank {place.rank} of {place.world_size} lost the others at {_spot(place)} "
            f"({reason}); {ALONE}"
        ) from error
    return store


def _local(place: Place) -> bool:
    """Whether the address is this machine's own; raises HarnessError if it names nothing."""
    try:
        found = socket.getaddrinfo(place.address, place.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise HarnessError(
            f"MASTER_ADDR={place.address!r} cannot be resolved ({error}); "
            f"set it to the host of rank 0, or, {ALONE}"
        ) from error
    return all(str(address[0]).startswith(("127.", "::1")) for *_, address in found)


def _stay_on_this_machine() -> None:
    """Let gloo and NCCL listen on the loopback alone, unless the user chose an interface."""
    names = [name for _, name in socket.if_nameindex() if name in ("lo", "lo0")]
    for variable in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME") if names else ():
        os.environ.setdefault(variable, names[0])


def _store(place: Place, deadline: Deadline) -> dist.Store:
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        found: tuple[dist.Store, int, int] = next(
            dist.rendezvous("env://", place.rank, place.world_size, timeout=deadline.left)
        )
        return found[0]
    if place.rank == 0:
        return _served(place, deadline)
    while not _reachable(place):
        if deadline.over(f"rank 0 at {_spot(place)}"):
            raise HarnessError(
                f"rank {place.rank} of {place.world_size} found no rank 0 at {_spot(place)} in "
                f"{deadline.seconds:.0f} s; start it there, wait longer with {LIMIT}, or, {ALONE}"
            )
        time.sleep(POLL_SECONDS)
    return _connected(place, deadline)


def _connected(place: Place, deadline: Deadline) -> dist.Store:
    """Connect in a thread: torch waits for ever for an answer of something else at the port."""
    answer: queue.SimpleQueue[dist.Store | Exception] = queue.SimpleQueue()

    def connect() -> None:
        try:
            store = dist.TCPStore(
                place.address, place.port, place.world_size, is_master=False, timeout=deadline.left
            )
            answer.put(store)
        except Exception as error:  # raised in the thread that waits
            answer.put(error)

    threading.Thread(target=connect, name="connect", daemon=True).start()
    try:
        found = answer.get(timeout=deadline.left.total_seconds())
    except queue.Empty:
        raise HarnessError(
            f"rank {place.rank} of {place.world_size} got no answer from {_spot(place)}, where "
            f"something else may listen; choose another MASTER_PORT for all ranks, or, {ALONE}"
        ) from None
    if isinstance(found, Exception):
        raise found
    return found


def _served(place: Place, deadline: Deadline) -> dist.Store:
    """Serve the store on a socket of ours: torch's own would listen everywhere."""
    try:
        listening = _inherited() or socket.create_server(
            (place.address if _local(place) else "", place.port), backlog=place.world_size
        )
    except OSError as error:
        raise HarnessError(
            f"MASTER_PORT={place.port} cannot be listened on ({error.strerror or error}); "
            f"choose another port for all ranks, or, {ALONE}"
        ) from error
    return dist.TCPStore(
        place.address,
        place.port,
        place.world_size,
        is_master=True,
        timeout=deadline.left,
        wait_for_workers=False,
        master_listen_fd=listening.detach(),
    )


def _inherited() -> socket.socket | None:
    """The socket that our own launcher handed down."""
    number = os.environ.pop(SOCKET, None)
    return socket.socket(fileno=int(number)) if number else None


def _reachable(place: Place) -> bool:
    try:
        socket.create_connection((place.address, place.port), timeout=5.0).close()
    except OSError:
        return False
    return True


def _await_all(store: dist.Store, place: Place, deadline: Deadline) -> None:
    keys = [f"harness/rank{rank}" for rank in range(place.world_size)]
    if store.add(keys[place.rank], 1) > 1:
        raise HarnessError(
            f"two processes have RANK={place.rank} of WORLD_SIZE={place.world_size} at "
            f"{_spot(place)}; give each its own, or another MASTER_PORT to each run"
        )
    missing = list(range(place.world_size))
    while missing := [rank for rank in missing if not store.check([keys[rank]])]:
        named = f"rank{'s' if len(missing) > 1 else ''} {', '.join(map(str, missing[:9]))}"
        if deadline.over(named):
            raise HarnessError(
                f"rank {place.rank} of {place.world_size} waited {deadline.seconds:.0f} s for "
                f"{named}; start the missing ones with MASTER_ADDR={place.address} and "
                f"MASTER_PORT={place.port}, wait longer with {LIMIT}, or, {ALONE}"
            )
        time.sleep(POLL_SECONDS)


def _spot(place: Place) -> str:
    return f"{place.address}:{place.port} (MASTER_ADDR, MASTER_PORT)"
