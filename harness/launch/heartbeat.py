"""Notices a rank that is gone although none of its connections was closed.

A machine that loses its power or its network does not close its connections, and a rank that waits
in a collective does not notice: neither gloo's nor the store's connections have a keepalive, and a
collective may rightly wait for hours.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from contextlib import suppress

import torch.distributed as dist

from harness.launch.joining import seconds_from
from harness.machine.place import Place
from harness.terminal import note

LIMIT = "HARNESS_LOST_SECONDS"
LIMIT_SECONDS = 300.0
BEATS = 30  # in that time
GONE = b"gone"


def lost_limit() -> float:
    """Return after how many seconds of silence a rank counts as lost; HarnessError if set wrong."""
    return seconds_from(LIMIT, LIMIT_SECONDS)


class Heartbeat:
    """Says in the ranks' store that this rank is alive, and ends it if another falls silent.

    Every rank makes one, then all of them ``start``.
    """

    def __init__(self, store: dist.TCPStore, place: Place, limit: float) -> None:
        self._store, self._place, self._limit = store, place, limit
        self._keys = [f"harness/alive{rank}" for rank in range(place.world_size)]
        self._heard: list[bytes] = []
        self._closed = threading.Event()
        store.set(self._keys[place.rank], "0")

    def start(self) -> None:
        """Beat and listen until the process ends.

        One thread asks the store and another watches it: if rank 0's machine is the one that is
        gone, the first gets no answer, and torch's store has no limit for that.
        """
        for work in (self._beat, self._watch):
            threading.Thread(target=work, name=f"heartbeat {work.__name__}", daemon=True).start()

    def leave(self) -> None:
        """Say that this rank has finished; the others then do not wait for it."""
        with suppress(dist.DistError):  # rank 0 may have closed the store before
            self._store.set(self._keys[self._place.rank], GONE.decode())

    def _beat(self) -> None:
        where = (self._store.host, self._store.port)
        try:
            # A separate connection: an operation of the thread that trains may take hours.
            store = dist.TCPStore(*where, is_master=False, wait_for_workers=False)
            for beat in itertools.count(1):
                store.set(self._keys[self._place.rank], str(beat))
                self._heard = store.multi_get(self._keys)
                time.sleep(self._limit / BEATS)
        except dist.DistError:  # it was closed, which the thread that trains also finds
            self._closed.set()

    def _watch(self) -> None:
        watch = Silence(self._place)
        while not self._closed.wait(self._limit / BEATS):
            silent = watch.silent(self._heard)
            if silent:
                ranks = f"rank{'s' if len(silent) > 1 else ''} {', '.join(map(str, silent[:9]))}"
                note(
                    f"Error: rank {self._place.rank} of {self._place.world_size} has heard nothing "
                    f"from {ranks} for {self._limit:.0f} s ({LIMIT}): a machine or the network "
                    "failed. The same command continues from here"
                )
                os._exit(2)  # the other threads may wait for the silent ranks forever


class Silence:
    """Counts for how many looks each other rank has said nothing new.

    Looks are counted, not seconds: if all ranks are stopped and continue, as by Ctrl-Z or a
    scheduler, none was silent.

    >>> watch = Silence(Place(0, 3, 0, "", 0))
    >>> [watch.silent([b"", b"1", GONE]) for _ in range(BEATS + 1)][-2:]
    [[], [1]]
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._last: list[bytes] = []
        self._same: list[int] = []

    def silent(self, said: list[bytes]) -> list[int]:
        """Return the ranks that have said nothing new in ``BEATS`` looks."""
        if len(self._last) != len(said):
            self._last, self._same = said, [0] * len(said)
            return []
        for rank, (now, last) in enumerate(zip(said, self._last, strict=True)):
            self._same[rank] = self._same[rank] + 1 if now == last else 0
        self._last = said
        return [
            rank
            for rank, looks in enumerate(self._same)
            if rank != self._place.rank and said[rank] != GONE and looks >= BEATS
        ]
