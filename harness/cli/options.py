"""The options of a run, which several commands share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from harness.api import spec_of
from harness.cli.completion import (
    complete_data,
    complete_knob,
    complete_method,
    complete_plugin,
    complete_stage,
)
from harness.errors import HarnessError
from harness.spec import ENGINES, MAX_SEED, RunSpec
from harness.store.reading import read_plain

F = TypeVar("F", bound=Callable[..., Any])
MAX_JSON_BYTES = 1 << 20


OPTIONS: Sequence[Callable[[Any], Any]] = (
    click.option(
        "--plugin",
        required=True,
        metavar="NAME",
        shell_complete=complete_method,
        help="Method to run.",
    ),
    click.option(
        "--set",
        "knobs",
        multiple=True,
        metavar="[PLUGIN.]KNOB=VALUE",
        shell_complete=complete_knob,
        help="Set a knob of the method, or of a plugin given by --with; repeatable.",
    ),
    click.option(
        "--data",
        default="",
        metavar="NAME[:PATH][?KEY=VALUE]",
        shell_complete=complete_data,
        help="Data set with its preset or folder.  [default: synthweb:small]",
    ),
    click.option(
        "--seed",
        type=click.IntRange(0, MAX_SEED),
        default=0,
        show_default=True,
        help="Seed of everything random.",
    ),
    click.option(
        "--with",
        "extra",
        multiple=True,
        metavar="NAME",
        shell_complete=complete_plugin,
        help="Add a plugin to the method, such as a trick or an observer; repeatable.",
    ),
    click.option(
        "--without",
        multiple=True,
        metavar="TRICK",
        help="Leave out a trick, by its class name; repeatable.",
    ),
    click.option(
        "--stage",
        "overrides",
        multiple=True,
        metavar="[STAGE.]FIELD=VALUE",
        shell_complete=complete_stage,
        help="Override a field of one stage, or of all others, such as epochs or lr; repeatable.",
    ),
    click.option(
        "--full-size",
        is_flag=True,
        help="Run the recipe unchanged, without the profile of the data set.",
    ),
    click.option(
        "--engine",
        type=click.Choice(ENGINES),
        default="deepspeed",
        show_default=True,
        help="What trains: DeepSpeed, torch's DistributedDataParallel, or plain torch.",
    ),
    click.option(
        "--deepspeed",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="JSON file of DeepSpeed, merged over the settings of the stages.",
    ),
)

REPEATABLE = {
    "knobs": "--set",
    "extra": "--with",
    "without": "--without",
    "overrides": "--stage",
}


def run_options(command: F) -> F:
    """Add the options of a run to a command."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def run_choices(home: Path, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the options into arguments of ``harness.plan``; raises HarnessError if one is wrong."""
    return {
        "plugin": asked["plugin"],
        "knobs": pairs("--set", asked["knobs"]),
        "data": asked["data"],
        "extra": asked["extra"],
        "without": asked["without"],
        "seed": asked["seed"],
        "stage": pairs("--stage", asked["overrides"]),
        "full_size": asked["full_size"],
        "engine": asked["engine"],
        "deepspeed": _json_file(asked["deepspeed"]) if asked["deepspeed"] else {},
        "home": home,
    }


def run_spec(home: Path, asked: Mapping[str, Any]) -> RunSpec:
    """Turn the options into a spec; raises HarnessError if one is wrong."""
    return spec_of(**run_choices(home, asked))


def run_arguments(asked: Mapping[str, Any]) -> list[str]:
    """Turn the options back into the arguments that they were read from, defaults left out."""
    found = ["--plugin", asked["plugin"]]
    for option, name in REPEATABLE.items():
        found += [text for value in asked[option] for text in (name, value)]
    for option in ("data", "seed", "engine", "deepspeed"):
        value = asked[option]
        if value not in ("", 0, None, ENGINES[0]):
            found += [f"--{option}", str(value)]
    return found + (["--full-size"] if asked["full_size"] else [])


def pairs(option: str, texts: Iterable[str]) -> dict[str, str]:
    """Read ``NAME=VALUE`` texts of a repeatable option; HarnessError if one is not, or repeated."""
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise HarnessError(f"{option} {text!r} must be NAME=VALUE")
        if key in found:
            raise HarnessError(
                f"{option} {key} is given twice, as {found[key]!r} and {value!r}; give it once"
            )
        found[key] = value
    return found


def _json_file(path: Path) -> dict[str, Any]:
    from harness.training.deepspeed_file import check_user_config

    try:
        content = json.loads(read_plain(path, MAX_JSON_BYTES), object_pairs_hook=_once)
    except OSError as error:
        raise HarnessError(f"--deepspeed {path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise HarnessError(f"--deepspeed {path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise HarnessError(f"--deepspeed {path} must contain one JSON object")
    check_user_config(content)
    return content


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object; raises ValueError for a repeated key, as one would be lost."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in keys if keys.count(key) > 1)!r} is given twice")
    return found
