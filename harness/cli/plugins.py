"""``harness plugins``: what is installed, with knobs and hooks."""

from __future__ import annotations

import inspect
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.completion import complete_data, complete_plugin
from harness.cli.lazy import NamedGroup
from harness.cli.options import pairs
from harness.cli.say import say
from harness.terminal import visible, visible_in

if TYPE_CHECKING:
    from harness.starters.write import Kind


@click.group(cls=NamedGroup, invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
@click.pass_context
def plugins(ctx: click.Context, as_json: bool) -> None:
    """List the installed plugins with their summaries, and why a plugin is broken.

    A summary is the first line of the plugin's file; that of a method names its paper.

    A new or changed plugin is imported once, in a separate process. The result is cached, so later
    calls import nothing.

    \b
    Examples:
      harness plugins
      harness plugins show malong_curriculum
      harness plugins check malong_curriculum
      harness plugins new my_idea --kind method
      harness plugins disable tensorboard
    """
    if ctx.invoked_subcommand:
        return
    from harness.assembly.discovery import (
        broken_plugins,
        disabled_plugins,
        find_plugins,
        summary_of,
    )

    entries, disabled = find_plugins(), disabled_plugins(ctx.obj)
    tried = [entry for entry in entries.values() if entry.name not in disabled]
    reasons = broken_plugins(tried, ctx.obj)
    rows = [
        {
            "name": entry.name,
            "distribution": entry.distribution,
            "version": entry.version,
            "from": entry.value,
            "summary": summary_of(entry),
            "broken": reasons.get(entry.name),
            "shadows": list(entry.shadows),
            "disabled": entry.name in disabled,
        }
        for entry in entries.values()
    ]
    say(json.dumps(rows, indent=1) if as_json else _listing(visible_in(rows)))


@plugins.command()
@click.argument("name", shell_complete=complete_plugin)
@click.option("--json", "as_json", is_flag=True, help="Print the knobs as JSON.")
@click.pass_obj
def show(home: Path, name: str, as_json: bool) -> None:
    """Show a plugin's summary, its hooks, and its knobs with default, type and source.

    \b
    Example:
      harness plugins show malong_curriculum
    """
    from harness.assembly.discovery import find_entry, find_plugins, load_plugin
    from harness.hookspecs import HOOKS
    from harness.knobs import knobs_of

    entry = find_entry(name, find_plugins(), home)
    plugin = load_plugin(entry)
    hooks = [hook for hook in HOOKS if hasattr(plugin, hook)]
    knobs = [
        {
            "knob": k.name,
            "default": str(k.default),
            "type": k.type,
            "from": f"{k.origin}: {k.source}",
        }
        for k in knobs_of(plugin).values()
    ]
    summary = inspect.cleandoc(plugin.__doc__ or "no summary")
    if as_json:
        shown: dict[str, Any] = {"name": name, "summary": summary, "hooks": hooks, "knobs": knobs}
        say(json.dumps(shown, indent=1))
        return
    say(visible(f"{name}, of {entry.distribution} {entry.version} ({entry.value})") + "\n")
    say(f"{summary}\n\nhooks: {', '.join(hooks)}\n")
    for knob in visible_in(knobs):
        say(f"  {knob['knob']} = {knob['default']}  ({knob['type']})")
        say(f"      {knob['from']}")


@plugins.command()
@click.argument("name", shell_complete=complete_plugin)
@click.option(
    "--data",
    default="",
    metavar="NAME[:PATH][?KEY=VALUE]",
    shell_complete=complete_data,
    help="Data set of the check.  [default: synthweb:tiny]",
)
@click.option(
    "--train",
    is_flag=True,
    help="Also train two steps of every stage: twice, interrupted, and on two ranks.",
)
@click.option(
    "--stage",
    "overrides",
    multiple=True,
    metavar="[STAGE.]FIELD=VALUE",
    help="Override a field of one stage or of all, such as backbone; repeatable.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the problems as JSON.")
@click.pass_obj
def check(
    home: Path, name: str, data: str, train: bool, overrides: tuple[str, ...], as_json: bool
) -> None:
    """Check a plugin against the contract of plugins.

    Exits with status 1 if it breaks the contract. harness.conformance.plugin_checks has the same
    checks for the tests of a plugin.

    \b
    Examples:
      harness plugins check malong_curriculum
      harness plugins check malong_curriculum --train
      harness plugins check mydata --data mydata:/data/mine
      harness plugins check my_net --stage backbone=my_net
    """
    from harness.assembly.discovery import find_entry, find_plugins
    from harness.spec import DataSpec

    find_entry(name, find_plugins(), home)
    asked = DataSpec.parse(data) if data else None
    from harness.conformance import check_plugin

    problems = check_plugin(
        name, data=asked, stage=pairs("--stage", overrides), home=home, train=train
    )
    if as_json:
        say(json.dumps(problems, indent=1))
    else:
        say("\n".join(map(visible, problems)) if problems else f"{name}: ok")
    if problems:
        raise SystemExit(1)


@plugins.command()
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(("method", "loss", "data", "network", "observer")),
    default="method",
    show_default=True,
    help="What the plugin is.",
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write; it must not exist yet.  [default: NAME]",
)
def new(name: str, kind: Kind, folder: Path | None) -> None:
    """Write a package with a plugin that works, to begin with.

    One page of code, the pyproject.toml that registers it, a test that calls the conformance kit,
    and a workflow that runs it.

    \b
    Examples:
      harness plugins new my_idea --kind method
      harness plugins new my_loss --kind loss --folder ~/plugins/my_loss
    """
    from harness.assembly.discovery import find_plugins
    from harness.starters.write import COMMANDS, check_name, write_package

    check_name(name, find_plugins().__contains__)
    place = folder or Path(name)
    files = write_package(name, kind, place)
    say("\n".join(visible(f"wrote {file}") for file in files))
    say(f"\nnext:\n  cd {shlex.quote(str(place))}\n  pip install -e '.[test]'")
    say(f"  {COMMANDS[kind].format(name=name)}\n  pytest")


@plugins.command()
@click.argument("name", shell_complete=complete_plugin)
@click.pass_obj
def disable(home: Path, name: str) -> None:
    """Leave a plugin out, without importing it or removing its distribution.

    It is listed, but neither imported nor used in runs of this --home.

    \b
    Example:
      harness plugins disable tensorboard
    """
    from harness.assembly.discovery import disable_plugin

    disable_plugin(name, home)
    say(visible(f"{name} is disabled; harness plugins enable {name} undoes it"))


@plugins.command()
@click.argument("name", shell_complete=complete_plugin)
@click.pass_obj
def enable(home: Path, name: str) -> None:
    """Undo harness plugins disable.

    \b
    Example:
      harness plugins enable tensorboard
    """
    from harness.assembly.discovery import enable_plugin

    enable_plugin(name, home)
    say(visible(f"{name} is enabled"))


def _listing(rows: Sequence[dict[str, Any]]) -> str:
    lines = []
    columns = ("name", "distribution", "version")
    widths = [max(len(str(row[column])) for row in (*rows, _HEAD)) for column in columns]
    for row in (_HEAD, *rows):
        cells = [
            str(row[column]).ljust(width) for column, width in zip(columns, widths, strict=True)
        ]
        about = f"BROKEN: {row['broken']}" if row["broken"] else row["summary"]
        about = "disabled" if row["disabled"] else about
        shadows = f"  hides the plugin of {', '.join(row['shadows'])}" if row["shadows"] else ""
        lines.append(("  ".join((*cells, about)).rstrip() + shadows).rstrip())
    return "\n".join(lines)


_HEAD: dict[str, Any] = {
    "name": "name",
    "distribution": "distribution",
    "version": "version",
    "summary": "summary",
    "broken": None,
    "shadows": [],
    "disabled": False,
}
