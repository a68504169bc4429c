"""Where a result comes from: its identity, effective values, versions, hardware and commit."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from harness.assembly.descriptions import describe, describe_provider
from harness.assembly.hooks import Hooks
from harness.assembly.recipe import Recipe, StageRecipe
from harness.knobs import knobs_of
from harness.machine.cores import cores
from harness.samples import Samples
from harness.spec import RunSpec
from harness.store.record import Knob
from harness.store.stages import stage_folder
from harness.values import Stage

RECORDED = ("torch", "timm", "deepspeed", "numpy", "pillow", "simplejpeg", "scikit-learn", "pluggy")


def what_decides(
    spec: RunSpec,
    recipe: Recipe,
    samples: Samples,
    tested: Sequence[Samples],
    world_size: int = 1,
    hooks: Hooks | None = None,
) -> dict[str, Any]:
    """Return everything that decides a run, as JSON has it: its id is the digest of this.

    The number of ranks that trained a stage decides how its sums were rounded. A stage that is
    not finished will be trained by ``world_size`` ranks.
    """
    decides: dict[str, Any] = {
        "label": spec.label,
        "stages": [(stage.stage.name, stage.key) for stage in recipe.stages],
        "ranks": [stage_folder(spec.home, stage.key).ranks(world_size) for stage in recipe.stages],
        "members": [
            [member.key, *((name, describe(views)) for name, views in protocols.items())]
            for member in recipe.members
            for protocols in [recipe.protocols(member)]
        ],
        "combine": recipe.combine if recipe.networks > 1 else None,
        "data": [samples.fingerprint, *(split.fingerprint for split in tested)],
        "seed": spec.seed,
    }
    if hooks is not None and (measuring := hooks.measuring()):
        decides["metrics"] = {name: describe_provider(plugin) for name, plugin in measuring}
    plain: dict[str, Any] = json.loads(json.dumps(decides))
    return plain


def effective_knobs(method: object, spec: RunSpec) -> dict[str, Knob]:
    """Return every knob of the method with its value and origin."""
    return {
        name: Knob(
            value=str(getattr(method, name)),
            origin="command line" if name in spec.knobs else info.origin,
            source=info.source,
        )
        for name, info in knobs_of(type(method)).items()
    }


def effective_values(recipe: StageRecipe) -> dict[str, str]:
    """Return every field of a stage as text."""
    names = [name for name in recipe.origins if name != "name"]
    return {name: _shown(getattr(recipe.stage, name)) for name in names}


def _shown(value: object) -> str:
    """Return a field of a stage as text, earlier stages by their names."""
    if isinstance(value, Stage):
        return value.name
    if isinstance(value, tuple):
        return str(tuple(part.name if isinstance(part, Stage) else part for part in value))
    return str(value)


def hardware() -> dict[str, str]:
    """Return processor, cores and memory in words."""
    return {
        "processor": _processor(),
        "cores": str(cores()),
        "memory_gib": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f}",
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that decide a result."""
    found = {"python": platform.python_version()}
    for name in RECORDED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


@cache
def source_state() -> tuple[str, bool]:
    """Return the commit that the harness runs from and whether it was changed since.

    An installed harness is not in a repository: the commit is then empty.
    """
    folder = Path(__file__).parent
    command = ["git", "-C", str(folder)]
    try:
        inside = _output([*command, "ls-files", "--error-unmatch", Path(__file__).name])
        commit = _output([*command, "rev-parse", "HEAD"]) if inside else ""
        return commit, bool(_output([*command, "status", "--porcelain", "-uno"]))
    except (OSError, subprocess.CalledProcessError):
        return "", False


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
