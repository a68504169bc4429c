"""A group of commands, each imported only when it is used, so that ``--help`` is fast."""

from __future__ import annotations

import importlib
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from harness.cli.strict import StrictCommand
from harness.errors import HarnessError, unknown
from harness.spec import usable_home

SYNONYMS = {"train": "run", "fit": "run", "board": "leaderboard"}


class LazyGroup(StrictCommand, click.Group):
    """A group whose command ``name`` is the attribute ``name`` of the module ``prefix + name``.

    ``order`` lists the commands in the order of the help. With ``group``, installed packages add
    commands by entry points of that group, which follow in alphabetical order.
    """

    def __init__(
        self,
        *args: Any,
        prefix: str = "",
        order: tuple[str, ...] = (),
        group: str = "",
        **kw: Any,
    ) -> None:
        super().__init__(*args, **kw)
        self._prefix, self._order, self._group = prefix, order, group

    @cached_property
    def _added(self) -> dict[str, EntryPoint]:
        found = entry_points(group=self._group) if self._group else ()
        return {one.name: one for one in sorted(found) if one.name not in self._order}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the commands in their order."""
        return [*self._order, *self._added]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return the command called ``name``; raises HarnessError if it is unknown."""
        if name not in self._order and name in self._added:
            return home_anywhere(_loaded(self._added[name]))
        if name not in self._order and ctx.resilient_parsing:  # completion of a wrong line
            return None
        if name not in self._order:
            raise HarnessError(_no_command(name, self.list_commands(ctx)))
        command: click.Command = getattr(importlib.import_module(self._prefix + name), name)
        return home_anywhere(command)


def _no_command(name: str, names: list[str]) -> str:
    """Return what is wrong with a command's name, and what may be meant."""
    from harness.assembly.discovery import find_plugins

    if name in find_plugins():
        return f"{name!r} is a plugin, not a command; did you mean harness run --plugin {name}?"
    if name in SYNONYMS:
        return f"unknown command {name!r}; did you mean {SYNONYMS[name]!r}?"
    return unknown("command", name, names, listing="commands")


class NamedGroup(StrictCommand, click.Group):
    """A group that says which command may be meant by an unknown name."""

    command_class = StrictCommand

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return what click needs of the command; raises HarnessError if it is unknown."""
        if args[0] not in self.commands and not ctx.resilient_parsing:
            raise HarnessError(unknown("command", args[0], self.commands, listing="commands"))
        return super().resolve_command(ctx, args)


def home_anywhere(command: click.Command) -> click.Command:
    """Let a command also take --home after its name.

    So do the commands of a group. An option of its own called --home stays what it is.
    """
    if not any("--home" in param.opts for param in command.params):
        command.params.append(
            click.Option(
                ["--home"],
                type=click.Path(path_type=Path),
                expose_value=False,
                hidden=True,
                is_eager=True,
                callback=_use_home,
            )
        )
    for inner in getattr(command, "commands", {}).values():
        home_anywhere(inner)
    return command


def _use_home(ctx: click.Context, param: click.Parameter, home: Path | None) -> None:
    del param
    if home is None or ctx.resilient_parsing:
        return
    if ctx.find_root().get_parameter_source("home") is ParameterSource.COMMANDLINE:
        ctx.fail("--home is given twice, before and after the command; give it once")
    ctx.obj = usable_home(home)


def _loaded(entry: EntryPoint) -> click.Command:
    """Import a command that a package adds; a broken one is said in its help, not a traceback."""
    where = f"command {entry.name!r} of {entry.dist.name if entry.dist else entry.value}"
    try:
        command = entry.load()
    except Exception as error:  # a package's code can raise anything at all
        reason = f"{type(error).__name__}: {error}"
        return _unusable(entry.name, f"{where} cannot be imported: {reason}")
    if not isinstance(command, click.Command):
        return _unusable(entry.name, f"{where} is not a click command but {command!r:.80}")
    return command


def _unusable(name: str, reason: str) -> click.Command:
    def refuse() -> None:
        raise HarnessError(f"{reason}; reinstall or remove the package")

    return click.Command(name, callback=refuse, short_help="(cannot be used)")
