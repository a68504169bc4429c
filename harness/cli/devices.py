"""The options that say where to train, and the processes that they ask for."""

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


# DeepSpeed's launcher, and torch's old one, put it before all other arguments.
local_rank_option = click.option(
    "--local_rank",
    "--local-rank",
    type=click.IntRange(0),
    hidden=True,
    expose_value=False,
    callback=_keep_local_rank,
)


def device_options(command: F) -> F:
    """Give a command that trains the options of its devices."""
    gpus = click.option(
        "--gpus", type=click.IntRange(0), help="GPUs to train on; 0: the CPU.  [default: 1]"
    )
    ranks = click.option(
        "--cpu-ranks", type=click.IntRange(1), help="Processes that train on the CPU."
    )
    return gpus(ranks(local_rank_option(command)))


@contextmanager
def on_devices(gpus: int | None, cpu_ranks: int | None) -> Iterator[None]:
    """Do what follows in as many processes as were asked for; call it before torch is imported.

    With several, this process only waits for them, and exits as they did. A signal ends the command
    with 128 and its number, as soon as the place is kept. Raises HarnessError where the machine has
    too few GPUs.
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
        say(f"\nstopped by {stop}; the same command continues the run", err=True)
        sys.exit(128 + stop.number)
    except SystemExit as end:
        raise HarnessError(
            f"something ended Python with status {end.code or 0} before the work was done; "
            "a plugin must not call sys.exit"
        ) from end
    except RuntimeError:
        if place is not None:
            time.sleep(launch.LOST_SECONDS)
        raise
    launch.say_done()
