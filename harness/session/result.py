"""Build the record of a finished run."""

from __future__ import annotations

import datetime as dt
import resource
from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.assembly.data_sets import spelled
from harness.assembly.discovery import Entry, source_file
from harness.assembly.identity import (
    effective_knobs,
    effective_values,
    hardware,
    source_state,
    versions,
)
from harness.assembly.prepare import Prepared
from harness.assembly.sources import file_sha256
from harness.session.stage_loader import FinishedStage
from harness.spec import RunSpec
from harness.store.record import (
    Cost,
    Data,
    EffectiveStage,
    NoiseQuality,
    Plugin,
    ResultRecord,
    Score,
)
from harness.training.ranks import Ranks


def record_of(
    prepared: Prepared,
    finished: Sequence[FinishedStage],
    scores: Sequence[Score],
    noise: Sequence[NoiseQuality],
    extra: Mapping[str, Mapping[str, float]],
    ranks: Ranks,
) -> ResultRecord:
    """Return the record: what was asked, which values were effective, the results and the cost."""
    spec, active, samples = prepared.spec, prepared.active, prepared.samples
    provider = active.hooks.provider("load_samples")
    commit, dirty = source_state()
    return ResultRecord(
        id=prepared.identity,
        decides=dict(prepared.decides),
        plugin=spec.plugin,
        label=spec.label,
        knobs=effective_knobs(active.method, spec),
        plugins=tuple(_plugin(entry) for entry in active.entries),
        without=spec.without,
        data=Data(
            plugin=provider.name,
            edition=samples.edition,
            fingerprint=samples.fingerprint,
            classes=samples.num_classes,
            train_samples=len(samples),
            tested={split.split: split.fingerprint for split in prepared.tested},
            asked=spelled(replace(spec.data, name=provider.name), provider.plugin),
        ),
        seed=spec.seed,
        full_size=prepared.recipe.full_size,
        stages=tuple(_stage(one) for one in finished),
        members=tuple(member.stage.name for member in prepared.recipe.members),
        combine=prepared.recipe.combine if prepared.recipe.networks > 1 else "",
        scores=tuple(scores),
        noise=tuple(noise),
        extra={name: dict(values) for name, values in extra.items()},
        commit=commit,
        dirty=dirty,
        cost=cost_of(spec, finished, ranks),
    )


def cost_of(spec: RunSpec, finished: Sequence[FinishedStage], ranks: Ranks) -> Cost:
    """Return the cost of training the stages, in this run or in an earlier one."""
    seconds = {one.recipe.stage.name: float(one.marker["seconds"]) for one in finished}
    speeds = {one.recipe.stage.name: float(one.marker["images_per_second"]) for one in finished}
    return Cost(
        wall_seconds=sum(seconds.values()),
        device_seconds=sum(one.marker["seconds"] * one.marker["devices"] for one in finished),
        stage_seconds=seconds,
        images_per_second=speeds,
        peak_memory_bytes=_peak_memory(ranks),
        hardware=hardware() | _devices(ranks),
        versions=versions(),
        engine=spec.engine,
        created=dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
    )


def _plugin(entry: Entry) -> Plugin:
    source = source_file(entry)
    return Plugin(
        name=entry.name,
        distribution=entry.distribution,
        version=entry.version,
        source_sha256=file_sha256(str(source)) if source else "",
    )


def _stage(finished: FinishedStage) -> EffectiveStage:
    recipe = finished.recipe
    history: list[Mapping[str, float]] = finished.marker["history"]
    return EffectiveStage(
        name=recipe.stage.name,
        key=recipe.key,
        values=effective_values(recipe),
        origins=dict(recipe.origins),
        tricks={slot: tuple(map(repr, tricks)) for slot, tricks in recipe.slots.items()},
        history=tuple(dict(entry) for entry in history),
        broken_images=finished.marker["broken_images"],
        ranks=tuple(finished.marker["ranks"]),
    )


def _devices(ranks: Ranks) -> dict[str, str]:
    found = {"devices": f"{ranks.world_size} x {ranks.device.type}"}
    if ranks.device.type == "cuda":
        import torch

        found["accelerator"] = torch.cuda.get_device_name(ranks.device)
    return found


def _peak_memory(ranks: Ranks) -> int:
    if ranks.device.type == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated(ranks.device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
