"""This process's rank among those that a launcher started, read from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from harness.errors import HarnessError

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
MOST = 1 << 20  # a larger WORLD_SIZE is not a plausible number of processes


class Place(NamedTuple):
    """The place of one process; rank 0 listens at ``address`` and ``port`` if there are several."""

    rank: int
    world_size: int
    local_rank: int
    address: str
    port: int


def read_place(environment: Mapping[str, str] = os.environ) -> Place | None:
    """Return this process's place, or None if no launcher started it.

    MASTER_ADDR and MASTER_PORT alone have no effect. Raises HarnessError if the variables
    contradict each other or are left over from something else.
    """
    given = {name: environment[name] for name in NAMES if name in environment}
    if not given:
        return None
    for name in ("RANK", "WORLD_SIZE"):
        if name not in given:
            raise HarnessError(
                f"{_told(given)} is set and {name} is not; a launcher sets both. {_alone(given)}"
            )
    world_size = _number("WORLD_SIZE", given, 1, MOST)
    rank = _number("RANK", given, 0, world_size - 1)
    local_rank = _number("LOCAL_RANK", given, 0, world_size - 1)
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


def world_size() -> int:
    """Return the number of processes that train together; 1 if no launcher started this one."""
    place = read_place()
    return place.world_size if place else 1


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
