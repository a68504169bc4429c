"""Data sets as commands name them: read as a run would, without its method."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import NoLabelsError

if TYPE_CHECKING:
    from harness.samples import Samples


def load_splits(home: Path, text: str, splits: Iterable[str]) -> dict[str, Samples]:
    """Read those of the splits that have labels, by name; ``text`` is what --data takes."""
    from harness.assembly.activation import instance_of
    from harness.assembly.discovery import find_entry, find_plugins, load_plugin
    from harness.assembly.hooks import Active, Hooks
    from harness.spec import DataSpec, RunSpec

    data = DataSpec.parse(text)
    plugin = instance_of(data.name, load_plugin(find_entry(data.name, find_plugins())), {})
    hooks = Hooks([Active(data.name, plugin)], method=data.name)
    spec = RunSpec(plugin=data.name, data=data, home=home)
    found = {}
    for split in splits:
        try:
            found[split] = hooks.load_samples(spec, split)
        except NoLabelsError:
            continue
    return found
