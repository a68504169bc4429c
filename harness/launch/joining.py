"""Where ranks, or nodes, meet: all of them within a minute, or one line says who is missing."""

from __future__ import annotations

import datetime as dt
import os
import queue
import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import torch.distributed as dist

from harness.errors import HarnessError
from harness.machine.place import Place, how_alone
from harness.terminal import note

LIMIT = "HARNESS_JOIN_SECONDS"
LIMIT_SECONDS = 50.0
SAY_SECONDS = 60.0
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Members:
    """What those that meet are called in messages, and how a user names their place."""

    one: str
    rank: str
    size: str
    address: str
    port: str
    alone: Callable[[], str]

    def called(self, place: Place) -> str:
        """Return what a message calls this member."""
        return f"{self.one} {place.rank} of {place.world_size}"

    def spot(self, place: Place) -> str:
        """Return where they meet, with the names of the settings."""
        names = dict.fromkeys((self.address, self.port))
        return f"{place.address}:{place.port} ({', '.join(names)})"


RANKS = Members("rank", "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", how_alone)
NODES = Members(
    *("node", "--node-rank", "--nodes", "--rendezvous", "--rendezvous"),
    lambda: "to train on this machine alone: leave out --nodes, --node-rank and --rendezvous",
)


@dataclass
class Deadline:
    """How long a rank waits for the others; once a minute it says so."""

    seconds: float
    begun: float = field(default_factory=time.monotonic)
    said: int = 0

    @property
    def left(self) -> dt.timedelta:
        """The time left, at least 0.1 s: torch takes 0 for no limit."""
        return dt.timedelta(seconds=max(0.1, self.begun + self.seconds - time.monotonic()))

    def over(self, waiting_for: str) -> bool:
        """Return whether it is over; say what is being waited for if a minute went by."""
        waited = time.monotonic() - self.begun
        if waited >= (self.said + 1) * SAY_SECONDS:
            self.said += 1
            note(f"waiting for {waiting_for}, for {waited:.0f} s")
        return waited >= self.seconds


def seconds_from(variable: str, default: float) -> float:
    """Return the seconds that a variable of the environment sets; HarnessError if set wrong."""
    text = os.environ.get(variable, str(default))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 1e6:
        raise HarnessError(f"{variable}={text!r} is not a number of seconds from 1 to 1000000")
    return seconds


def join_limit() -> float:
    """Return how many seconds a rank waits for the others to start."""
    return seconds_from(LIMIT, LIMIT_SECONDS)


def meet(place: Place, members: Members = RANKS) -> dist.TCPStore:
    """Return the store of several ranks, or nodes, once all of them are there.

    Nothing listens beyond this machine if the address is a loopback address. Raises HarnessError if
    the address cannot be used or a member is missing at the end of the limit.
    """
    deadline = Deadline(join_limit())
    _check_address(place, members)
    if _local(place):
        _stay_on_this_machine()
    try:
        store = _store(place, members, deadline)
        _await_all(store, place, members, deadline)
    except (dist.DistError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise HarnessError(
            f"{members.called(place)} lost the others at {members.spot(place)} ({reason}); "
            f"{members.alone()}"
        ) from error
    return store


def lost(error: RuntimeError) -> str:
    """Return what happened if a collective failed because another rank is gone; otherwise ""."""
    # gloo raises a plain RuntimeError that begins with the place in its source.
    if not isinstance(error, dist.DistError) and "gloo/transport" not in str(error):
        return ""
    return re.sub(r"^\[[^]]*\] ", "", str(error)).partition("\n")[0].partition(". ")[0]


def _check_address(place: Place, members: Members) -> None:
    try:
        socket.getaddrinfo(place.address, place.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise HarnessError(
            f"{members.address}={place.address!r} cannot be resolved ({error}); "
            f"set it to the host of {members.one} 0, or, {members.alone()}"
        ) from error


def _local(place: Place) -> bool:
    """Return whether the address is a loopback address, which no other machine can reach.

    A host's own name does not count, though many hosts resolve theirs to 127.0.1.1.
    """
    return place.address.startswith(("127.", "localhost")) or place.address == "::1"


def _stay_on_this_machine() -> None:
    """Let gloo and NCCL listen on the loopback alone, unless the user chose an interface."""
    names = [name for _, name in socket.if_nameindex() if name in ("lo", "lo0")]
    for variable in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME") if names else ():
        os.environ.setdefault(variable, names[0])


def _store(place: Place, members: Members, deadline: Deadline) -> dist.TCPStore:
    served = members is RANKS and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    if place.rank == 0 and not served:
        return _served(place, members, deadline)
    while not _reachable(place):
        if deadline.over(f"{members.one} 0 at {members.spot(place)}"):
            raise HarnessError(
                f"{members.called(place)} found no {members.one} 0 at {members.spot(place)} in "
                f"{deadline.seconds:.0f} s; start it there, wait longer with {LIMIT}, or, "
                f"{members.alone()}"
            )
        time.sleep(POLL_SECONDS)
    return _connected(place, members, deadline)


def _connected(place: Place, members: Members, deadline: Deadline) -> dist.TCPStore:
    """Connect in a thread: if something else listens at the port, torch waits for it forever."""
    answer: queue.SimpleQueue[dist.TCPStore | Exception] = queue.SimpleQueue()

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
            f"{members.called(place)} got no answer from {members.spot(place)}, where another "
            f"program may be listening; choose another {members.port} for all {members.one}s, or, "
            f"{members.alone()}"
        ) from None
    if isinstance(found, Exception):
        raise found
    return found


def _served(place: Place, members: Members, deadline: Deadline) -> dist.TCPStore:
    """Serve the store on a socket of ours: torch's own would listen everywhere."""
    try:
        listening = socket.create_server(
            (place.address if _local(place) else "", place.port), backlog=place.world_size
        )
    except OSError as error:
        raise HarnessError(
            f"{members.spot(place)} cannot be listened on ({error.strerror or error}); "
            f"choose another port for all {members.one}s, or, {members.alone()}"
        ) from error
    return dist.TCPStore(
        place.address,
        int(listening.getsockname()[1]),  # a free one if 0 was asked for
        place.world_size,
        is_master=True,
        timeout=deadline.left,
        wait_for_workers=False,
        master_listen_fd=listening.detach(),
    )


def _reachable(place: Place) -> bool:
    try:
        socket.create_connection((place.address, place.port), timeout=5.0).close()
    except OSError:
        return False
    return True


def _await_all(store: dist.Store, place: Place, members: Members, deadline: Deadline) -> None:
    keys = [f"harness/{members.one}{rank}" for rank in range(place.world_size)]
    if store.add(keys[place.rank], 1) > 1:
        raise HarnessError(
            f"two processes have {members.rank}={place.rank} of {members.size}={place.world_size} "
            f"at {members.spot(place)}; give each process a different {members.rank}, or each run "
            f"a different {members.port}"
        )
    missing = list(range(place.world_size))
    while missing := [rank for rank in missing if not store.check([keys[rank]])]:
        named = f"{members.one}{'s' if len(missing) > 1 else ''} {', '.join(map(str, missing[:9]))}"
        if deadline.over(named):
            raise HarnessError(
                f"{members.called(place)} waited {deadline.seconds:.0f} s for {named}; start the "
                f"missing ones, which meet at {members.spot(place)}, wait longer with {LIMIT}, or, "
                f"{members.alone()}"
            )
        with suppress(dist.DistStoreError):  # it is still missing
            store.wait([keys[missing[0]]], dt.timedelta(seconds=POLL_SECONDS))
