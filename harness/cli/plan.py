"""``harness plan``: what a run would do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from harness import api
from harness.cli.devices import Planned, planned_options
from harness.cli.options import run_arguments, run_choices, run_options, run_spec
from harness.cli.say import say
from harness.cli.strict import StrictCommand
from harness.errors import HarnessError
from harness.jobs.export import FORMATS, Format, Machines, job_file


@click.command(cls=StrictCommand)
@run_options
@click.option(
    "--export",
    type=click.Choice(FORMATS),
    help="Print a job file of the run instead, for a cluster or a cloud.",
)
@planned_options
@click.option("--accelerator", default="", metavar="NAME", help="GPU of --export skypilot.")
@click.option("--image", default="", metavar="NAME", help="Container of --export kubernetes.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
@click.pass_obj
def plan(
    home: Path,
    /,
    export: Format | None,
    planned: Planned,
    accelerator: str,
    image: str,
    as_json: bool,
    **asked: Any,
) -> None:
    """Show the stages of a run, every effective value with its origin, and what is cached.

    It takes the options of "harness run". --gpus, --cpu-ranks and --nodes decide whether the batch
    can be split, and the keys of stages whose result depends on the number of processes.

    \b
    Examples:
      harness plan --plugin malong_curriculum
      harness plan --plugin malong_curriculum --set model=B --stage task-1.epochs=5
      harness plan --plugin baseline --full-size --json
      harness plan --plugin huawei --data webvision1:/data/webvision --gpus 8
      harness plan --plugin pci --data webvision1:/data/webvision --export slurm --gpus 8
    """
    if export is not None:
        from harness.assembly.activation import Activation
        from harness.assembly.knob_effects import check_knobs
        from harness.assembly.recipe import UNREAD, resolve
        from harness.planning.plan import check_batches

        if planned.cpu_ranks:
            raise HarnessError(
                f"--export {export} cannot take --cpu-ranks; give --gpus N, or --gpus 0 for one "
                "process on each node's CPU"
            )
        spec = run_spec(home, asked)
        check_knobs(spec)
        active = Activation(spec)
        recipe = resolve(active.spec, active.hooks, UNREAD)  # the data may lie elsewhere
        check_batches(recipe, planned.ranks)
        machines = Machines(
            home=home.absolute(),
            gpus=1 if planned.gpus is None else planned.gpus,
            nodes=planned.nodes,
            accelerator=accelerator,
            image=image,
        )
        arguments = ("run", *run_arguments(asked))
        name = f"{spec.plugin}-seed{spec.seed}"
        say(job_file(export, name, arguments, machines), end=False)
        return
    found = api.plan(**run_choices(home, asked), ranks=planned.ranks)
    say(json.dumps(found, indent=1) if as_json else repr(found))
