"""The options of devices, and the processes that train on them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, NamedTuple, TypeVar, cast

import click

from harness.cli.local_rank import local_rank_option
from harness.cli.say import say
from harness.errors import HarnessError
from harness.machine.place import LOOPBACK, Place, read_place

F = TypeVar("F", bound=Callable[..., Any])
MOST_RANKS = 1 << 20  # far above any machine
ONE_NODE = Place(0, 1, 0, LOOPBACK, 0)


def device_options(command: F) -> F:
    """Add the options of devices to a command that trains."""
    gpus = click.option(
        "--gpus", type=click.IntRange(0), help="Number of GPUs; 0: train on the CPU.  [default: 1]"
    )
    ranks = click.option(
        "--cpu-ranks", type=click.IntRange(1), help="Number of processes that train on the CPU."
    )
    return gpus(ranks(local_rank_option(command)))


def node_options(command: F) -> F:
    """Add the options of several machines without a scheduler, as the argument ``node``."""

    @wraps(command)
    def with_node(
        *args: Any, nodes: int | None, node_rank: int | None, rendezvous: str | None, **named: Any
    ) -> Any:
        return command(*args, node=node_of(nodes, node_rank, rendezvous), **named)

    nodes = click.option(
        "--nodes",
        type=click.IntRange(1),
        help="Number of machines; start the same command on each.  [default: 1]",
    )
    rank = click.option("--node-rank", type=click.IntRange(0), help="This machine: 0, 1, ...")
    meeting = click.option(
        "--rendezvous", metavar="HOST:PORT", help="Where the machines meet: a port of machine 0."
    )
    return cast("F", nodes(rank(meeting(with_node))))


class Planned(NamedTuple):
    """Where a run would train: GPUs or processes of each machine, and the number of machines."""

    gpus: int | None
    cpu_ranks: int | None
    nodes: int

    @property
    def ranks(self) -> int:
        """The number of processes that train together."""
        return (self.cpu_ranks or self.gpus or 1) * self.nodes


def planned_options(command: F) -> F:
    """Add the options of ``run`` that say where and how it trains, as the argument ``planned``.

    For commands that only look ahead: the machine may be another one than this.
    """

    @wraps(command)
    def with_planned(
        *args: Any,
        gpus: int | None,
        cpu_ranks: int | None,
        nodes: int | None,
        node_rank: int | None,
        rendezvous: str | None,
        checkpoint_seconds: float,
        **named: Any,
    ) -> Any:
        del checkpoint_seconds
        if gpus and cpu_ranks:
            raise HarnessError("--gpus and --cpu-ranks exclude each other; choose one")
        if node_rank is not None or rendezvous is not None:
            node_of(nodes, node_rank, rendezvous)
        return command(*args, planned=Planned(gpus, cpu_ranks, nodes or 1), **named)

    options = (
        click.option(
            "--gpus", type=click.IntRange(0, MOST_RANKS), help="GPUs of each machine.  [default: 1]"
        ),
        click.option(
            "--cpu-ranks", type=click.IntRange(1, MOST_RANKS), help="Processes on the CPU instead."
        ),
        click.option(
            "--nodes", type=click.IntRange(1, MOST_RANKS), help="Number of machines.  [default: 1]"
        ),
        click.option("--node-rank", type=click.IntRange(0), hidden=True),
        click.option("--rendezvous", metavar="HOST:PORT", hidden=True),
        click.option("--checkpoint-seconds", type=click.FloatRange(0), default=5.0, hidden=True),
    )
    decorated: Any = with_planned
    for option in reversed(options):
        decorated = option(decorated)
    return cast("F", decorated)


def node_of(nodes: int | None, node_rank: int | None, rendezvous: str | None) -> Place:
    """Return this machine's place among those that train together; HarnessError if it is unclear.

    >>> node_of(2, 1, "gpu1:29500")
    Place(rank=1, world_size=2, local_rank=0, address='gpu1', port=29500)
    """
    if nodes in (None, 1) and not node_rank and rendezvous is None:
        return ONE_NODE
    if nodes is None or node_rank is None or rendezvous is None:
        raise HarnessError(
            "--nodes, --node-rank and --rendezvous belong together; for two machines: "
            "--nodes 2 --node-rank 0 (1 on the other) --rendezvous HOST:PORT"
        )
    if node_rank >= nodes:
        raise HarnessError(f"--node-rank {node_rank} is not below --nodes {nodes}; count from 0")
    host, _, port = rendezvous.rpartition(":")
    if not host or not port.isdecimal() or not 1 <= int(port[:9]) <= 65_535:
        raise HarnessError(
            f"--rendezvous {rendezvous!r} is not HOST:PORT with a port from 1 to 65535, such as "
            "gpu1:29500"
        )
    return Place(node_rank, nodes, 0, host.strip("[]"), int(port))


@contextmanager
def on_devices(gpus: int | None, cpu_ranks: int | None, node: Place = ONE_NODE) -> Iterator[None]:
    """Run the block in each of the processes; enter it before torch is imported.

    With several processes, this one waits for those of ``node``, which is this machine, and exits
    with their status. After a signal, the state is saved, and the command exits with 128 plus the
    signal's number. Raises HarnessError if the machine has too few GPUs.
    """
    from harness.machine import launch

    place = read_place()
    launch.share_cores(1 if place else cpu_ranks or gpus or 1)
    launch.quieten_sockets()
    launch.keep_freed_memory()
    ranks = launch.choose_ranks(gpus, cpu_ranks, place)
    if place is not None:
        launch.check_nodes(node, place)
        launch.follow_parent()
    elif ranks > 1 or node.world_size > 1:
        from harness.cli import main
        from harness.launch import agent

        sys.exit(agent.launch(main, ranks, node))

    from harness.training.interrupt import Interrupted, ignore_signals, stoppable

    try:
        with stoppable():
            yield
    except Interrupted as stop:
        ignore_signals()
        say(f"\nstopped by {stop}; the same command continues from here", err=True)
        sys.exit(128 + stop.number)
    except SystemExit as end:
        raise HarnessError(
            f"something called sys.exit({end.code or 0}) before the work was done; "
            "a plugin must not call sys.exit"
        ) from end
    except RuntimeError as error:
        if place is None or place.world_size == 1:
            raise
        from harness.launch.joining import lost

        time.sleep(launch.LOST_SECONDS)  # if it was the cause, the other's error comes first
        reason = lost(error)
        if not reason:
            raise
        raise HarnessError(
            f"rank {place.rank} of {place.world_size} lost another rank ({reason}): that rank, its "
            "machine or the network failed, and its last lines say why. The same command "
            "continues from here"
        ) from error
    launch.say_done()
