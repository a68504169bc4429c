"""The options that give the runs of a command to a scheduler."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from harness.cli.devices import on_devices
from harness.errors import HarnessError
from harness.terminal import note

if TYPE_CHECKING:
    from harness.jobs.submission import Scheduler
    from harness.spec import RunSpec

F = TypeVar("F", bound=Callable[..., Any])


def submit_options(command: F) -> F:
    """Add ``--submit`` and ``--submit-option`` to a command of many runs."""
    submit = click.option(
        "--submit",
        type=click.Choice(("slurm", "local")),
        help="Train each stage as a job of its own: of Slurm, or here, one after another.",
    )
    options = click.option(
        "--submit-option",
        "submit_with",
        multiple=True,
        metavar="KEY=VALUE",
        help="Parameter of submitit, such as slurm_partition=gpu or timeout_min=60; repeatable.",
    )
    return submit(options(command))


class Submission(NamedTuple):
    """What the user asked of the scheduler, and of each job's devices."""

    scheduler: Scheduler
    options: tuple[str, ...]
    gpus: int
    cpu_ranks: int

    @property
    def ranks(self) -> int:
        """The number of processes of a job."""
        return self.gpus or self.cpu_ranks

    def done(self, specs: Iterable[RunSpec], home: Path) -> bool:
        """Submit what is not finished of the runs; return whether nothing is still to be done.

        Slurm's jobs go on after this: what is then to be typed is printed. Exits with status 1 if
        a job failed here.
        """
        from harness.jobs.graph import job_graph
        from harness.jobs.submission import Resources, parse_options, submit

        resources = Resources(
            scheduler=self.scheduler,
            gpus=self.gpus,
            cpu_ranks=self.cpu_ranks,
            options=parse_options(self.options),
        )
        states = [one.state for one in submit(job_graph(specs, self.ranks), resources, home, note)]
        if "submitted" in states:
            note(
                f"{states.count('submitted')} jobs are submitted; squeue --me lists them. The same "
                "command shows the results once they have ended"
            )
            return False
        if "failed" in states:
            sys.exit(1)
        return True


@contextmanager
def here_or_submitted(
    scheduler: Scheduler | None,
    options: tuple[str, ...],
    gpus: int | None,
    cpu_ranks: int | None,
) -> Iterator[Submission | None]:
    """Run the block once, with what a scheduler is asked, or on this machine's devices, with None.

    Raises HarnessError if the options do not fit together.
    """
    found = _submission(scheduler, options, gpus, cpu_ranks)
    with nullcontext() if found else on_devices(gpus, cpu_ranks):
        yield found


def _submission(
    scheduler: Scheduler | None,
    options: tuple[str, ...],
    gpus: int | None,
    cpu_ranks: int | None,
) -> Submission | None:
    if scheduler is None:
        if options:
            raise HarnessError("--submit-option needs --submit slurm or --submit local")
        return None
    if gpus and cpu_ranks:
        raise HarnessError("--gpus and --cpu-ranks exclude each other; choose one")
    return Submission(scheduler, options, gpus or 0, cpu_ranks or 1)
