"""The splits of data sets: read without a method, or once for several runs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import HarnessError, NoLabelsError
from harness.spec import DataSpec

if TYPE_CHECKING:
    from harness.assembly.hooks import Hooks
    from harness.samples import Samples
    from harness.spec import RunSpec


class SharedSplits:
    """The splits that several runs of one command use: each is read and looked at once.

    Two runs share a split if the same plugin provides it, with the same data, home and seed. A
    plugin whose own knobs may decide what it provides is asked by every run.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[object, ...], Samples | NoLabelsError] = {}

    def load(self, hooks: Hooks, spec: RunSpec, split: str) -> Samples:
        """Return a split; raises NoLabelsError if its labels are not public."""
        name, plugin = hooks.provider("load_samples")
        if name == spec.plugin:
            return hooks.load_samples(spec, split)
        key = (name, type(plugin), str(spec.data), spec.home, spec.seed, split)
        if key not in self._found:
            try:
                self._found[key] = hooks.load_samples(spec, split)
            except NoLabelsError as error:
                self._found[key] = error
        found = self._found[key]
        if isinstance(found, NoLabelsError):
            raise found
        return found


def load_splits(home: Path, text: str, splits: Iterable[str]) -> dict[str, Samples]:
    """Read those of the splits that have labels, by name; ``text`` is what --data takes."""
    hooks, spec = _provider(home, text)
    found = {}
    for split in splits:
        try:
            found[split] = hooks.load_samples(spec, split)
        except NoLabelsError:
            continue
    return found


def load_pictures(home: Path, text: str, split: str) -> Samples:
    """Read a split, with labels or, if they are not public, with -1 in their place.

    Raises NoLabelsError if the data set has no such pictures either.
    """
    hooks, spec = _provider(home, text)
    try:
        return hooks.load_samples(spec, split)
    except NoLabelsError as error:
        if error.pictures is None:
            raise
        samples: Samples = error.pictures()
        return samples


def _provider(home: Path, text: str) -> tuple[Hooks, RunSpec]:
    from harness.assembly.activation import instance_of
    from harness.assembly.discovery import find_entry, find_plugins, load_plugin
    from harness.assembly.hooks import Active, Hooks
    from harness.spec import RunSpec

    data = DataSpec.parse(text)
    plugin = instance_of(data.name, load_plugin(find_entry(data.name, find_plugins(), home)), {})
    hooks = Hooks([Active(data.name, plugin)], method=data.name)
    return hooks, RunSpec(plugin=data.name, data=data, home=home)


def spelled(data: DataSpec, plugin: object) -> str:
    """Return what --data takes for a data set, in one spelling: equal data, equal text.

    ``plugin`` is who provides the data; its method ``spelled(data)``, if it has one, returns the
    spec with its presets named. Without it, the path is a folder of this machine and left out, as
    are options that are paths.
    """
    own = getattr(plugin, "spelled", None)
    if callable(own):
        return str(own(data))
    options = {key: value for key, value in sorted(data.options.items()) if os.sep not in value}
    return str(replace(data, path=None, options=options))


def spelled_as_recorded(text: str, home: Path) -> str:
    """Return how records spell the data that --data TEXT names; TEXT if it names no plugin."""
    from harness.assembly.activation import instance_of
    from harness.assembly.discovery import find_entry, find_plugins, load_plugin

    try:
        data = DataSpec.parse(text)
        plugin = load_plugin(find_entry(data.name, find_plugins(), home))
        return spelled(data, instance_of(data.name, plugin, {}))
    except HarnessError:  # an edition such as "WebVision 1.0", or a data set of someone else's
        return text
