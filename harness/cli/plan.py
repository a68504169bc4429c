"""``harness plan``: what a run would do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from harness import api
from harness.cli.options import run_arguments, run_choices, run_options, run_spec
from harness.cli.say import say
from harness.jobs.export import FORMATS, Format, Machines, job_file


@click.command()
@run_options
@click.option(
    "--export",
    type=click.Choice(FORMATS),
    help="Print a job file of the run instead, for a cluster or a cloud.",
)
@click.option("--gpus", type=click.IntRange(0), default=1, help="Of each node, for --export.")
@click.option("--nodes", type=click.IntRange(1), default=1, help="Of the job, for --export.")
@click.option("--accelerator", default="", metavar="NAME", help="GPU of --export skypilot.")
@click.option("--image", default="", metavar="NAME", help="Container of --export kubernetes.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
@click.pass_obj
def plan(  # noqa: PLR0913 - one parameter per option
    home: Path,
    /,
    export: Format | None,
    gpus: int,
    nodes: int,
    accelerator: str,
    image: str,
    as_json: bool,
    **asked: Any,
) -> None:
    """Show the stages of a run, every effective value with its origin, and what is cached.

    \b
    Examples:
      harness plan --plugin malong_curriculum
      harness plan --plugin malong_curriculum --set model=B --stage task-1.epochs=5
      harness plan --plugin baseline --full-size --json
      harness plan --plugin pci --data webvision1:/data/webvision --export slurm --gpus 8
    """
    if export is not None:
        from harness.assembly.activation import Activation
        from harness.assembly.recipe import UNREAD, resolve

        spec = run_spec(home, asked)
        active = Activation(spec)
        resolve(active.spec, active.hooks, UNREAD)  # finds wrong input; the data may lie elsewhere
        machines = Machines(
            home=home.absolute(), gpus=gpus, nodes=nodes, accelerator=accelerator, image=image
        )
        arguments = ("run", *run_arguments(asked))
        name = f"{spec.plugin}-seed{spec.seed}"
        say(job_file(export, name, arguments, machines), end=False)
        return
    found = api.plan(**run_choices(home, asked))
    say(json.dumps(found, indent=1) if as_json else repr(found))
