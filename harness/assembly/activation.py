"""From the run's specification to its active plugins."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

from harness.assembly.discovery import (
    Entry,
    disabled_plugins,
    find_entry,
    find_plugins,
    load_plugin,
)
from harness.assembly.hooks import Active, Hooks
from harness.assembly.spelling import spelled_once
from harness.errors import HarnessError, PluginError, unknown
from harness.knobs import check_fields, parse_knobs
from harness.spec import DataSpec, RunSpec

NETWORKS = "timm"
TEXTS = "texts"
OBSERVERS = ("console", "tensorboard")
DEFAULT_DATA = DataSpec(name="synthweb", path="small")


class Activation:
    """The run's spec with its data decided, its method, its active plugins and their entries."""

    def __init__(self, spec: RunSpec) -> None:
        entries = find_plugins()
        find = partial(find_entry, entries=entries, home=spec.home)
        if spec.plugin in spec.extra:
            raise HarnessError(
                f"--with {spec.plugin}: it is already the run's method; leave it out"
            )
        names = [spec.plugin, *spec.extra]
        loaded = {name: load_plugin(find(name)) for name in dict.fromkeys(names)}
        knobs = _knobs_by_plugin(spec)
        self.method: Any = instance_of(spec.plugin, loaded[spec.plugin], knobs[spec.plugin])
        active = [Active(spec.plugin, self.method)]
        active += [
            Active(name, instance_of(name, loaded[name], knobs[name])) for name in spec.extra
        ]
        spec = _with_data(spec, active)
        if spec.data.name not in names:
            active.append(_active(find(spec.data.name)))
        if not any(hasattr(plugin, "build_model") for _, plugin in active):
            active.append(_active(find(NETWORKS)))
        left_out = (*names, *disabled_plugins(spec.home))
        active += [_active(find(name)) for name in (TEXTS, *OBSERVERS) if name not in left_out]
        self.spec = spelled_once(spec, loaded)
        self.hooks = Hooks(active, method=spec.plugin, without=spec.without)
        self.entries: list[Entry] = [entries[name] for name, _ in active]

    @classmethod
    def of(cls, spec: RunSpec, method: object, hooks: Hooks) -> Activation:
        """Return an activation of plugins that are set up already, such as those under test."""
        made = cls.__new__(cls)
        made.spec, made.method, made.hooks, made.entries = spec, method, hooks, []
        return made


def _knobs_by_plugin(spec: RunSpec) -> dict[str, dict[str, str]]:
    """Return the knobs of the method, and of each added plugin, set as "PLUGIN.KNOB".

    Raises HarnessError for a plugin that the run does not add.
    """
    found: dict[str, dict[str, str]] = {name: {} for name in (spec.plugin, *spec.extra)}
    for key, text in spec.knobs.items():
        name, dot, knob = key.rpartition(".")
        if dot and name not in found:
            reason = unknown("plugin of this run", name, found, listing="the run's")
            raise HarnessError(f"--set {key}={text}: {reason}; add it with --with {name}")
        found[name if dot else spec.plugin][knob] = text
    return found


def _with_data(spec: RunSpec, active: list[Active]) -> RunSpec:
    """Decide the data set: the one given, else that of a plugin, else the default."""
    if spec.data.name:
        return spec
    bringers = [name for name, plugin in active if hasattr(plugin, "load_samples")]
    data = DataSpec(name=bringers[0]) if bringers else DEFAULT_DATA
    return dataclasses.replace(spec, data=data)


def _active(entry: Entry) -> Active:
    return Active(entry.name, instance_of(entry.name, load_plugin(entry), {}))


def instance_of(name: str, loaded: Any, knobs: Mapping[str, str]) -> object:
    """Return a plugin with these knobs; raises HarnessError if one does not fit."""
    if not isinstance(loaded, type):
        if knobs:
            raise PluginError(f"plugin {name!r} has no knobs: it is not a dataclass")
        return loaded
    values = parse_knobs(name, loaded, knobs)
    try:
        instance: object = loaded(**values)
    except (TypeError, ValueError) as error:
        raise PluginError(f"plugin {name!r} cannot be set up: {error}") from error
    if dataclasses.is_dataclass(instance):
        check_fields(instance)
    return instance
