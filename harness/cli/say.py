"""What commands print, with control characters made visible."""

from __future__ import annotations

import click

from harness.terminal import page


def say(text: str, *, err: bool = False, end: bool = True) -> None:
    """Print lines to standard output, or to standard error; ``end`` ends the last one."""
    click.echo(page(text), err=err, nl=end)
