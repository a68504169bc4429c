"""The sizes of networks: counted once, then read from a file of the home."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from harness.assembly.contract import tricks_of
from harness.assembly.descriptions import describe, describe_provider
from harness.assembly.hooks import Hooks
from harness.assembly.recipe import StageRecipe
from harness.errors import HarnessError
from harness.planning.throughput import NetworkSize, kind_of
from harness.spec import RunSpec
from harness.store.files import write_text
from harness.store.reading import is_there, read_plain
from harness.store.record import digest
from harness.store.seals import sealed, unsealed

FILE = "network-sizes.json"
MOST_BYTES = 16 << 20


def network_sizes(
    spec: RunSpec, hooks: Hooks, stages: Sequence[StageRecipe], classes: int
) -> dict[str, NetworkSize]:
    """Return the size of each stage's network by the stage's name.

    A network that no earlier estimate of this home counted is built, which imports torch and timm:
    4 s instead of 0.4 s.
    """
    path = spec.home / FILE
    known = _read(path)
    keys = {stage.stage.name: _key(spec, hooks, stage, classes) for stage in stages}
    new = {keys[stage.stage.name]: stage for stage in stages if keys[stage.stage.name] not in known}
    if new:
        from harness.planning.step_timer import network_size

        counted = {key: network_size(spec, hooks, stage, classes) for key, stage in new.items()}
        known |= counted
        with suppress(HarnessError):  # a home that cannot be written only costs time
            write_text(path, sealed({key: list(size) for key, size in known.items()}))
    return {name: known[key] for name, key in keys.items()}


def _key(spec: RunSpec, hooks: Hooks, stage: StageRecipe, classes: int) -> str:
    """A digest of what decides the network: who builds it, its kind, its tricks, its outputs."""
    kind = kind_of(stage)
    provider = describe_provider(*hooks.network_provider(spec, stage.stage))
    tricks = [describe(trick) for trick in tricks_of(stage.model)]
    return digest([provider, tricks, kind.backbone, kind.input_size, classes])


def _read(path: Path) -> dict[str, NetworkSize]:
    """Return what the file holds; nothing if there is none or it is damaged."""
    if not is_there(path):
        return {}
    try:
        found = json.loads(unsealed(read_plain(path, MOST_BYTES)))
        return {key: NetworkSize(*map(int, size)) for key, size in found.items()}
    except (OSError, HarnessError, ValueError, TypeError):
        return {}
