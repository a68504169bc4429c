"""``harness data``: look at a data set, draw it, index or pack its pictures."""

from __future__ import annotations

import importlib

import click

COMMANDS = ("check", "stats", "index", "pack")


class LazyData(click.Group):
    """Imports a command's file when the command is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the commands in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        """Return the command called ``name``."""
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"harness.cli.data_{name}")
        command: click.Command = getattr(module, name)
        return command


@click.group(cls=LazyData)
def data() -> None:
    """Check, draw, index and pack WebVision's data sets.

    \b
    Examples:
      harness data check /data/webvision
      harness data stats /data/webvision --output webvision.svg
      harness data index /data/webvision
    """
