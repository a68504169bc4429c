"""A plugin under test, in a run that is set up but not trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.assembly.activation import DEFAULT_DATA, NETWORKS, TEXTS, instance_of
from harness.assembly.discovery import Entry, find_entry, find_plugins, load_plugin
from harness.assembly.hooks import Active, Hooks
from harness.assembly.recipe import UNREAD, Recipe, resolve
from harness.spec import DataSpec, Override, RunSpec

TINY = DataSpec(name=DEFAULT_DATA.name, path="tiny")
METHOD = "baseline"  # the method of a run that tests a plugin without a plan


@dataclass(frozen=True, kw_only=True)
class Case:
    """A plugin under test: how it was loaded, and set up with its defaults.

    ``named`` says whether another process finds it by its name.
    """

    name: str
    named: bool
    loaded: Any
    plugin: object
    spec: RunSpec
    before: tuple[Active, ...]
    after: tuple[Active, ...]

    @property
    def is_method(self) -> bool:
        """Whether it has a plan."""
        return hasattr(self.plugin, "plan")

    @property
    def can_run(self) -> bool:
        """Whether there is data to test it on: a data set needs its files."""
        return not hasattr(self.plugin, "load_samples") or self.spec.data.name == self.name

    def hooks(self, plugin: object | None = None) -> Hooks:
        """Return the hooks of a run with this plugin, or with it set up otherwise."""
        plugin = self.plugin if plugin is None else plugin
        active = Active(self.name, plugin)
        return Hooks([*self.before, active, *self.after], method=self.spec.plugin)

    def recipe(
        self,
        plugin: object | None = None,
        *,
        full_size: bool = False,
        overrides: tuple[Override, ...] = (),
    ) -> Recipe:
        """Return the recipe of a run with this plugin, or with it set up otherwise."""
        given = (*self.spec.overrides, *overrides)
        spec = dataclasses.replace(self.spec, full_size=full_size, overrides=given)
        return resolve(spec, self.hooks(plugin), UNREAD)


def case_of(
    plugin: str | object, data: DataSpec, home: Path, overrides: tuple[Override, ...] = ()
) -> Case:
    """Return the case of a plugin's name, class, object or module; raises HarnessError."""
    name = plugin if isinstance(plugin, str) else _name(plugin)
    entries = find_plugins()
    loaded = plugin
    if isinstance(plugin, str):
        loaded = load_plugin(find_entry(name, entries, home))
    instance = instance_of(name, loaded, {})
    method = name if hasattr(instance, "plan") else METHOD
    others = [] if hasattr(instance, "load_samples") else [data.name]
    others += [] if hasattr(instance, "build_model") else [NETWORKS]
    others += [] if name == TEXTS else [TEXTS]
    return Case(
        name=name,
        named=isinstance(plugin, str),
        loaded=loaded,
        plugin=instance,
        spec=RunSpec(plugin=method, data=data, home=home, overrides=overrides),
        before=() if method == name else (_installed(METHOD, entries),),
        after=tuple(_installed(other, entries) for other in others),
    )


def _name(plugin: object) -> str:
    return str(getattr(plugin, "__name__", type(plugin).__name__))


def _installed(name: str, entries: Mapping[str, Entry]) -> Active:
    return Active(name, instance_of(name, load_plugin(find_entry(name, entries)), {}))
