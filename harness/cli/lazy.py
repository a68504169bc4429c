"""A group of commands, each imported only when it is used, so that ``--help`` is fast."""

from __future__ import annotations

import importlib
from typing import Any

import click

from harness.errors import HarnessError, unknown


class LazyGroup(click.Group):
    """A group whose command ``name`` is the attribute ``name`` of the module ``prefix + name``.

    ``order`` lists the commands in the order of the help.
    """

    def __init__(
        self, *args: Any, prefix: str = "", order: tuple[str, ...] = (), **kw: Any
    ) -> None:
        super().__init__(*args, **kw)
        self._prefix, self._order = prefix, order

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the commands in their order."""
        return list(self._order)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return the command called ``name``; raises HarnessError if it is unknown."""
        if name not in self._order and ctx.resilient_parsing:  # completion of a wrong line
            return None
        if name not in self._order:
            raise HarnessError(unknown("command", name, self._order, listing="commands"))
        command: click.Command = getattr(importlib.import_module(self._prefix + name), name)
        return command
