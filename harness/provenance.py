"""What a record says of where it comes from: values, sources, versions, hardware and cost."""

from __future__ import annotations

import datetime as dt
import os
import platform
import resource
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from harness.activation import Activation
from harness.discovery import source_file
from harness.knobs import knobs_of
from harness.making import Made
from harness.recipe import Recipe, StageRecipe
from harness.record import (
    Cost,
    Data,
    EffectiveStage,
    Knob,
    NoiseQuality,
    Plugin,
    ResultRecord,
    Score,
    digest,
)
from harness.samples import Samples
from harness.sources import file_sha256
from harness.spec import RunSpec
from harness.stages import describe
from harness.training.ranks import Ranks

RECORDED = ("torch", "timm", "deepspeed", "numpy", "pillow", "simplejpeg", "scikit-learn", "pluggy")


def record_id(spec: RunSpec, recipe: Recipe, samples: Samples, tested: Sequence[Samples]) -> str:
    """Return the run's identity: a readable name and a digest of everything that decides it."""
    decides = {
        "label": spec.label,
        "stages": [(stage.stage.name, stage.key) for stage in recipe.stages],
        "protocols": {name: describe(views) for name, views in recipe.protocols().items()},
        "data": [samples.fingerprint, *(split.fingerprint for split in tested)],
        "seed": spec.seed,
    }
    return f"{spec.plugin}-seed{spec.seed}-{digest(decides)[:16]}"


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
    return {name: str(getattr(recipe.stage, name)) for name in recipe.origins if name != "name"}


def record_of(  # noqa: PLR0913 - a record joins all that a run knows
    identity: str,
    active: Activation,
    recipe: Recipe,
    samples: Samples,
    made: Sequence[Made],
    scores: Sequence[Score],
    noise: Sequence[NoiseQuality],
    ranks: Ranks,
) -> ResultRecord:
    """Join what was asked, what was effective, what came out and what it cost."""
    spec = active.spec
    commit, dirty = source_state()
    return ResultRecord(
        id=identity,
        plugin=spec.plugin,
        label=spec.label,
        knobs=effective_knobs(active.method, spec),
        plugins=tuple(_plugin(entry) for entry in active.entries),
        without=spec.without,
        data=Data(
            plugin=active.hooks.provider("load_samples").name,
            edition=samples.edition,
            fingerprint=samples.fingerprint,
            classes=samples.num_classes,
            train_samples=len(samples),
        ),
        seed=spec.seed,
        full_size=recipe.full_size,
        stages=tuple(_stage(m) for m in made),
        scores=tuple(scores),
        noise=tuple(noise),
        commit=commit,
        dirty=dirty,
        cost=cost_of(spec, made, ranks),
    )


def cost_of(spec: RunSpec, made: Sequence[Made], ranks: Ranks) -> Cost:
    """Return what the stages cost when they were trained, here or in an earlier run."""
    seconds = {m.recipe.stage.name: float(m.marker["seconds"]) for m in made}
    speeds = {m.recipe.stage.name: float(m.marker["images_per_second"]) for m in made}
    total = sum(seconds.values())
    return Cost(
        wall_seconds=total,
        device_seconds=total * ranks.world_size,
        stage_seconds=seconds,
        images_per_second=speeds,
        peak_memory_bytes=_peak_memory(ranks),
        hardware=hardware(ranks),
        versions=versions(),
        engine=spec.engine,
        created=dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
    )


def hardware(ranks: Ranks) -> dict[str, str]:
    """Return processor, memory and accelerator in words."""
    found = {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory_gib": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f}",
        "devices": f"{ranks.world_size} x {ranks.device.type}",
    }
    if ranks.device.type == "cuda":
        import torch

        found["accelerator"] = torch.cuda.get_device_name(ranks.device)
    return found


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

    An installed harness lies in no repository: the commit is empty then.
    """
    folder = Path(__file__).parent
    command = ["git", "-C", str(folder)]
    try:
        inside = _output([*command, "ls-files", "--error-unmatch", "run.py"])
        commit = _output([*command, "rev-parse", "HEAD"]) if inside else ""
        return commit, bool(_output([*command, "status", "--porcelain", "-uno"]))
    except (OSError, subprocess.CalledProcessError):
        return "", False


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _plugin(entry: Any) -> Plugin:
    source = source_file(entry)
    return Plugin(
        name=entry.name,
        distribution=entry.distribution,
        version=entry.version,
        source_sha256=file_sha256(str(source)) if source else "",
    )


def _stage(made: Made) -> EffectiveStage:
    recipe = made.recipe
    history: list[Mapping[str, float]] = made.marker["history"]
    return EffectiveStage(
        name=recipe.stage.name,
        key=recipe.key,
        values=effective_values(recipe),
        origins=dict(recipe.origins),
        tricks={slot: tuple(map(repr, tricks)) for slot, tricks in recipe.slots.items()},
        history=tuple(dict(entry) for entry in history),
        broken_images=made.marker["broken_images"],
    )


def _peak_memory(ranks: Ranks) -> int:
    if ranks.device.type == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated(ranks.device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
