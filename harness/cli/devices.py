"""The options of devices, and the processes that train on them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from harness.cli.say import say
from harness.errors import HarnessError
from harness.machine.place import read_place

F = TypeVar("F", bound=Callable[..., Any])


def _keep_local_rank(ctx: click.Context, param: click.Parameter, value: int | None) -> None:
    del ctx, param
    if value is not None:
        os.environ["LOCAL_RANK"] = str(value)


# DeepSpeed's launcher and torch's old one put this option before all other arguments.
local_rank_option = click.option(
    "--local_rank",
    "--local-rank",
    type=click.IntRange(0),
    hidden=True,
    expose_value=False,
    callback=_keep_local_rank,
)


def device_options(command: F) -> F:
    """Add the options of devices to a command that trains."""
    gpus = click.option(
        "--gpus", type=click.IntRange(0), help="Number of GPUs; 0: train on the CPU.  [default: 1]"
    )
    ranks = click.option(
        "--cpu-ranks", type=click.IntRange(1), help="Number of processes that train on the CPU."
    )
    return gpus(ranks(local_rank_option(command)))


@contextmanager
def on_devices(gpus: int | None, cpu_ranks: int | None) -> Iterator[None]:
    """Run the block in each of the processes; enter it before torch is imported.

    With several processes, this one waits for them and exits with their status. After a signal, the
    state is saved, and the command exits with 128 plus the signal's number. Raises HarnessError if
    the machine has too few GPUs.
    """
    from harness.machine import launch

    launch.share_cores()
    launch.quieten_sockets()
    launch.keep_freed_memory()
    place = read_place()
    ranks = launch.choose_ranks(gpus, cpu_ranks, place)
    if place is not None:
        launch.follow_parent()
    elif ranks > 1:
        sys.exit(launch.launch(sys.argv[1:], ranks))

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
    except RuntimeError:
        if place is not None:
            time.sleep(launch.LOST_SECONDS)
        raise
    launch.say_done()
