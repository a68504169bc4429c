"""``harness plan``: what a run would do, before it does it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from harness.cli.options import run_options, run_spec


@click.command()
@run_options
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
@click.pass_obj
def plan(home: Path, /, as_json: bool, **asked: Any) -> None:
    """Show the stages of a run, every effective value with its origin, and what is cached.

    \b
    Examples:
      harness plan --plugin malong_curriculum
      harness plan --plugin malong_curriculum --set model=B --stage task-1.epochs=5
      harness plan --plugin baseline --full-size --json
    """
    spec = run_spec(home, asked)
    from harness.planning import planned

    found = planned(spec)
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    from tabulate import tabulate

    from harness.studies.throughput import Span

    click.echo(f"{found['label']}, seed {found['seed']}, on {found['data']}")
    click.echo(f"plugins, in order: {', '.join(found['plugins'])}\n")
    click.echo("knobs")
    knobs = [(k["name"], k["value"], k["origin"], k["source"]) for k in found["knobs"]]
    click.echo(_table(tabulate(knobs, ("knob", "value", "origin", "source"), "plain")))
    for stage in found["stages"]:
        click.echo(f"\nstage {stage['name']}  [{stage['state']}]  {stage['key'][:12]}")
        span = f"; {Span(**stage['seconds'])}" if stage["seconds"] else ""
        click.echo(f"  {stage['graph']}{span}")
        values = [(v["name"], v["value"], v["origin"]) for v in stage["values"]]
        click.echo(_table(tabulate(values, ("field", "value", "origin"), "plain")))
        for slot, tricks in stage["tricks"].items():
            for trick in tricks:
                click.echo(f"  {slot}: {trick}")
    click.echo(f"\ntraining time: {_time(found)}")
    click.echo("\ntest")
    if found["combine"]:
        click.echo(f"  together ({found['combine']}): {', '.join(found['members'])}")
    for protocol in found["protocols"]:
        click.echo(f"  {protocol}")
    click.echo(f"  record: {found['record']} [{found['record_state']}]")


def _time(found: dict[str, Any]) -> str:
    from harness.studies.throughput import Span

    if found["time"] is None:
        return "unknown, for no record has these networks; harness estimate --measure tells"
    whole, left = (Span(**found["time"][name]) for name in ("whole", "left"))
    cached = f", {left if left.estimate else 'nothing'} of it left" if left != whole else ""
    return f"{whole}{cached}, on one device: {found['time']['hardware']}"


def _table(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
