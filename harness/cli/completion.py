"""What the shell offers for a word that is not finished: plugins, data, knobs, stages, runs.

Nothing is trained and no record is read: runs are known by the names of their files. A line that is
wrong so far offers nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any, TypeAlias

import click
from click.shell_completion import CompletionItem

from harness.errors import HarnessError
from harness.spec import RunSpec, default_home, usable_home

Complete: TypeAlias = Callable[[click.Context, click.Parameter, str], "list[CompletionItem]"]


def _offering(names: Callable[[click.Context], Iterable[str]]) -> Complete:
    """Return the completion that offers those of the names that begin as the word does."""

    @wraps(names)
    def complete(ctx: click.Context, param: click.Parameter, word: str) -> list[CompletionItem]:
        del param
        try:
            return [CompletionItem(name) for name in names(ctx) if name.startswith(word)]
        except HarnessError:  # of a line that is wrong so far
            return []

    return complete


@_offering
def complete_plugin(ctx: click.Context) -> Iterable[str]:
    """Offer every installed plugin."""
    del ctx
    from harness.assembly.discovery import find_plugins

    return find_plugins()


@_offering
def complete_method(ctx: click.Context) -> Iterable[str]:
    """Offer the plugins that are methods."""
    from harness.assembly.discovery import plugins_with

    return plugins_with("plan", _home(ctx))


@_offering
def complete_data(ctx: click.Context) -> Iterable[str]:
    """Offer the data sets, with presets if a plugin names any; the others need a folder."""
    from harness.assembly.discovery import find_entry, find_plugins, load_plugin, plugins_with

    entries = find_plugins()
    for name in plugins_with("load_samples", _home(ctx)):
        presets = getattr(load_plugin(find_entry(name, entries)), "presets", ())
        yield from (f"{name}:{preset}" for preset in presets or ("",))


@_offering
def complete_knob(ctx: click.Context) -> Iterable[str]:
    """Offer the knobs of the method that the line names, then those of the plugins it adds."""
    from harness.assembly.discovery import find_entry, find_plugins, load_plugin
    from harness.knobs import knobs_of

    entries = find_plugins()
    for name, before in (
        (_asked(ctx, "plugin"), ""),
        *((added, f"{added}.") for added in ctx.params.get("extra") or ()),
    ):
        for knob in knobs_of(load_plugin(find_entry(name, entries))):
            yield f"{before}{knob}="


@_offering
def complete_stage(ctx: click.Context) -> Iterable[str]:
    """Offer the fields of a stage, of all stages first, then of each stage of the method."""
    from harness.assembly.activation import Activation
    from harness.assembly.recipe import OVERRIDABLE, UNREAD, resolve

    yield from (f"{field}=" for field in OVERRIDABLE)
    active = Activation(RunSpec(plugin=_asked(ctx, "plugin"), home=_home(ctx)))
    for stage in resolve(active.spec, active.hooks, UNREAD).stages:
        yield from (f"{stage.stage.name}.{field}=" for field in OVERRIDABLE)


@_offering
def complete_field(ctx: click.Context) -> Iterable[str]:
    """Offer the fields of a stage."""
    del ctx
    from harness.assembly.recipe import OVERRIDABLE

    return [f"{field}=" for field in OVERRIDABLE]


@_offering
def complete_run(ctx: click.Context) -> Iterable[str]:
    """Offer the methods that have runs, and each run's id."""
    ids = _ids(ctx)
    return [*dict.fromkeys(_parts(name)[0] for name in ids), *ids]


@_offering
def complete_record(ctx: click.Context) -> Iterable[str]:
    """Offer the ids of the runs."""
    return _ids(ctx)


@_offering
def complete_seed(ctx: click.Context) -> Iterable[str]:
    """Offer the seeds that have runs."""
    return sorted({_parts(name)[1] for name in _ids(ctx)}, key=lambda seed: (len(seed), seed))


def _ids(ctx: click.Context) -> list[str]:
    return sorted(path.stem for path in (_home(ctx) / "records").glob("*.json"))


def _parts(name: str) -> tuple[str, str]:
    """Return plugin and seed of a record's id, "PLUGIN-seedSEED-DIGEST"."""
    plugin, _, seed = name.rpartition("-")[0].rpartition("-seed")
    return plugin, seed


def _home(ctx: click.Context) -> Path:
    given: Any = ctx.obj or ctx.find_root().params.get("home")
    return usable_home(given) if given else default_home()


def _asked(ctx: click.Context, name: str) -> str:
    return str(ctx.params.get(name) or "")
