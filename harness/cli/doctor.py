"""``harness doctor``: what works on this machine."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness.cli.say import say
from harness.cli.strict import StrictCommand
from harness.terminal import visible


@click.command(cls=StrictCommand)
@click.option("--thorough", is_flag=True, help="Also import torch and DeepSpeed; takes seconds.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def doctor(home: Path, thorough: bool, as_json: bool) -> None:
    """Check Python, libraries, devices, plugins, text encoder and data caches.

    Exits with status 1 if a part that every run needs does not work.

    \b
    Examples:
      harness doctor
      harness doctor --thorough
    """
    from harness.session.doctor import check_machine

    findings = check_machine(home, thorough=thorough)
    if as_json:
        say(json.dumps([finding._asdict() for finding in findings], indent=1))
    else:
        width = max(len(finding.part) for finding in findings)
        for finding in findings:
            say(f"{finding.state:<5}  {finding.part.ljust(width)}  {visible(finding.words)}")
    if any(finding.state == "fails" for finding in findings):
        raise SystemExit(1)
