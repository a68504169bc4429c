"""``harness plan``: what a run would do, before it does it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from harness.cli.options import run_options, run_spec
from harness.cli.say import say
from harness.terminal import visible_in


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
    from harness.planning.plan import planned

    found = planned(spec)
    if as_json:
        say(json.dumps(found, indent=1))
        return
    found = visible_in(found)
    from tabulate import tabulate

    from harness.planning.throughput import Span

    say(f"{found['label']}, seed {found['seed']}, on {found['data']}")
    say(f"plugins, in order: {', '.join(found['plugins'])}\n")
    say("knobs")
    knobs = [(k["name"], k["value"], k["origin"], k["source"]) for k in found["knobs"]]
    say(_table(tabulate(knobs, ("knob", "value", "origin", "source"), "plain")))
    for stage in found["stages"]:
        say(f"\nstage {stage['name']}  [{stage['state']}]  {stage['key'][:12]}")
        span = f"; {Span(**stage['seconds'])}" if stage["seconds"] else ""
        say(f"  {stage['graph']}{span}")
        values = [(v["name"], v["value"], v["origin"]) for v in stage["values"]]
        say(_table(tabulate(values, ("field", "value", "origin"), "plain")))
        for slot, tricks in stage["tricks"].items():
            for trick in tricks:
                say(f"  {slot}: {trick}")
    say(f"\ntraining time: {_time(found)}")
    say("\ntest")
    if found["combine"]:
        say(f"  together ({found['combine']}): {', '.join(found['members'])}")
    for protocol in found["protocols"]:
        say(f"  {protocol}")
    say(f"  record: {found['record']} [{found['record_state']}]")


def _time(found: dict[str, Any]) -> str:
    from harness.planning.throughput import Span

    if found["time"] is None:
        return "unknown, for no record has these networks; harness estimate --measure tells"
    whole, left = (Span(**found["time"][name]) for name in ("whole", "left"))
    cached = f", {left if left.estimate else 'nothing'} of it left" if left != whole else ""
    return f"{whole}{cached}, on one device: {found['time']['hardware']}"


def _table(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
