"""A group of commands, each imported only when it is used, so that ``--help`` is fast."""

from __future__ import annotations

import importlib
from typing import Any

import click


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

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        """Return the command called ``name``, or None if there is none."""
        if name not in self._order:
            return None
        command: click.Command = getattr(importlib.import_module(self._prefix + name), name)
        return command
