"""``harness plan``: what a run would do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from harness import api
from harness.cli.options import run_choices, run_options
from harness.cli.say import say


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
    found = api.plan(**run_choices(home, asked))
    say(json.dumps(found, indent=1) if as_json else repr(found))
