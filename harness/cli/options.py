"""The options that say what a run is; ``run`` and ``plan`` share them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from harness.errors import HarnessError
from harness.machine.cores import cores
from harness.spec import DataSpec, Override, RunSpec
from harness.store.reading import read_plain

F = TypeVar("F", bound=Callable[..., Any])
MAX_JSON_BYTES = 1 << 20


def complete_plugin(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the name of an installed plugin."""
    del ctx, param
    from harness.assembly.discovery import find_plugins

    return [CompletionItem(name) for name in find_plugins() if name.startswith(incomplete)]


OPTIONS: Sequence[Callable[[Any], Any]] = (
    click.option(
        "--plugin", required=True, shell_complete=complete_plugin, help="The method to run."
    ),
    click.option(
        "--set", "knobs", multiple=True, metavar="KNOB=VALUE", help="Set a knob of the method."
    ),
    click.option(
        "--data",
        default="",
        metavar="NAME[:PATH][?KEY=VALUE]",
        help="Data set, and its preset or folder.  [default: synthweb:small]",
    ),
    click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True),
    click.option(
        "--with",
        "extra",
        multiple=True,
        metavar="NAME",
        shell_complete=complete_plugin,
        help="Add a plugin: an observer, a data set, another method's tricks.",
    ),
    click.option("--without", multiple=True, metavar="TRICK", help="Leave one trick out."),
    click.option(
        "--stage",
        "overrides",
        multiple=True,
        metavar="[STAGE.]FIELD=VALUE",
        help="Override a field of one stage or of all: epochs, lr, batch_size, precision, ...",
    ),
    click.option(
        "--full-size", is_flag=True, help="Leave the data set's profile out: the recipe as it is."
    ),
    click.option(
        "--engine",
        type=click.Choice(["deepspeed", "torch"]),
        default="deepspeed",
        show_default=True,
    ),
    click.option(
        "--deepspeed",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A DeepSpeed JSON, merged over what the stages decide.",
    ),
)


def run_options(command: F) -> F:
    """Give a command the options of a run."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def run_spec(home: Path, asked: Mapping[str, Any]) -> RunSpec:
    """Turn the options into a spec; raises HarnessError where one does not read as it should."""
    deepspeed = _json_file(asked["deepspeed"]) if asked["deepspeed"] else {}
    return RunSpec(
        plugin=asked["plugin"],
        knobs=dict(_pair("--set", text) for text in asked["knobs"]),
        data=DataSpec.parse(asked["data"]) if asked["data"] else DataSpec(),
        extra=tuple(dict.fromkeys(asked["extra"])),
        without=tuple(asked["without"]),
        seed=asked["seed"],
        overrides=tuple(_override(text) for text in asked["overrides"]),
        full_size=asked["full_size"],
        engine=asked["engine"],
        deepspeed=deepspeed,
        loader_threads=min(8, cores()),
        home=home,
    )


def _pair(option: str, text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise HarnessError(f"{option} {text!r} must read NAME=VALUE")
    return key, value


def _override(text: str) -> Override:
    path, value = _pair("--stage", text)
    stage, _, field = path.rpartition(".")
    return Override(stage, field, value)


def _json_file(path: Path) -> dict[str, Any]:
    from harness.training.deepspeed_file import check_user_config

    try:
        content = json.loads(read_plain(path, MAX_JSON_BYTES))
    except OSError as error:
        raise HarnessError(f"--deepspeed {path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise HarnessError(f"--deepspeed {path}: cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise HarnessError(f"--deepspeed {path}: must hold one JSON object")
    check_user_config(content)
    return content
