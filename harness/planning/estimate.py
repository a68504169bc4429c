"""The estimated cost of a recipe: time, disk and memory, with the source of each number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from harness.assembly.activation import Activation
from harness.assembly.hooks import Hooks
from harness.assembly.prepare import prepare
from harness.assembly.recipe import UNREAD, Recipe, StageRecipe, resolve
from harness.data.webvision.lists.editions import EDITIONS
from harness.downloads import without_downloads
from harness.errors import HarnessError, unknown
from harness.planning.network_sizes import network_sizes
from harness.planning.noise_passes import CorePass, noise_passes, pairs_of
from harness.planning.passes import EPOCHS_KEPT, Pass, passes_of
from harness.planning.throughput import (
    LEAST_EFFICIENCY,
    MOST_EFFICIENCY,
    Kind,
    Measured,
    NetworkSize,
    Span,
    Speed,
    Speeds,
    kind_of,
    recorded_speeds,
    total,
    training_seconds,
)
from harness.spec import RunSpec
from harness.store.record_files import known_records

FLOAT = 4  # bytes
SEEN_BYTES = 44  # five classes and probabilities of an image, and those of its label
COLUMN_BYTES = 9  # label, weight and subset of an image, as a stage stores them
ANSWER_BYTES = 25  # of a test image under one protocol: 22 were measured, compressed
CHECKPOINTS = 2

# Training and val images of an edition, if its data is not on this machine.
PUBLISHED = {
    "webvision1": (2_400_000, 50_000, "the organisers, rounded"),
    "mini-webvision": (65_944, 2_500, "the entries that public loaders count"),
    "webvision2": (16_076_665, 294_099, "PCI deck, 'Datasets & Challenges'"),
}


class DataSize(NamedTuple):
    """The numbers of images and classes; ``tested`` is val and test, None if unknown."""

    train: int
    tested: int | None
    classes: int
    source: str


@dataclass(frozen=True, kw_only=True)
class StageCost:
    """The cost of one stage: images x epochs / (images per second x devices)."""

    name: str
    kind: Kind
    epochs: int
    images: int
    speed: Speed
    seconds: Span
    device_days: float
    state_bytes: int  # of weights, gradients, momentum and teachers on each device
    peak_bytes: int | None  # measured, with activations


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The cost of a recipe without cached stages; ``disk`` is in bytes, by purpose."""

    label: str
    data: str
    size: DataSize
    gpus: int
    hardware: str
    stages: tuple[StageCost, ...]
    seconds: Span
    device_days: float
    passes: tuple[Pass, ...]  # without training; not in ``seconds``
    of_cores: tuple[CorePass, ...]  # noise handling, of one core; not in ``seconds``
    disk: Mapping[str, int]
    checkpoint_bytes: int
    notes: tuple[str, ...]


Measure = Callable[[RunSpec, Hooks, Sequence[StageRecipe], int, int], Mapping[str, Measured]]


@without_downloads()
def estimate(
    asked: RunSpec,
    *,
    gpus: int = 1,
    images: int | None = None,
    given: Mapping[str, float] | None = None,
    hardware: str | None = None,
    measure: Measure | None = None,
) -> Estimate:
    """Estimate what a recipe costs on ``gpus`` devices; nothing is downloaded.

    The speed of a stage is the one ``given`` under its name or under "", else ``measure``'s, else
    that of earlier records of the same backbone, input size, precision, network tricks and
    hardware. ``images`` is the number of training images if the data is not on this machine.

    Raises:
        HarnessError: A speed or the number of images is unknown, the recipe is invalid, or a model
            that it names would have to be downloaded.
    """
    spec, hooks, recipe, size, pairs = _resolved(asked, images)
    given = given or {}
    strangers = sorted(set(given) - {"", *(stage.stage.name for stage in recipe.stages)})
    if strangers:
        names = [stage.stage.name for stage in recipe.stages]
        raise HarnessError(unknown("stage", strangers[0], names, listing="stages"))
    open_stages = [s for s in recipe.stages if given.get(s.stage.name, given.get("")) is None]
    measured = measure(spec, hooks, open_stages, size.classes, gpus) if measure else {}
    kinds = [kind_of(stage) for stage in open_stages]
    speeds = Speeds(hardware="", by_kind={})
    if open_stages and measure is None:
        speeds = recorded_speeds(known_records(spec.home / "records"), kinds, hardware)
    sizes = network_sizes(spec, hooks, recipe.stages, size.classes)
    stages = []
    for stage in recipe.stages:
        name = stage.stage.name
        number = given.get(name, given.get(""))
        steps = measured.get(name)
        speed = steps.speed if steps else speeds.by_kind.get(kind_of(stage))
        if number is not None:
            speed = Speed(number, number, number, "given")
        if speed is None:
            raise HarnessError(
                f"no record shows how fast {kind_of(stage)} trains{_on(hardware)}: add --measure "
                "to time a few steps here, or --images-per-second NUMBER of one device"
            )
        stages.append(_stage_cost(stage, size.train, speed, gpus, sizes, steps))
    found = sorted({steps.hardware for steps in measured.values()})
    return Estimate(
        label=spec.label,
        data=str(spec.data),
        size=size,
        gpus=gpus,
        hardware=" and ".join(found) or speeds.hardware or "device",
        stages=tuple(stages),
        seconds=total(stage.seconds for stage in stages),
        device_days=sum(stage.device_days for stage in stages),
        passes=passes_of(
            recipe, {one.name: one.speed for one in stages}, size.train, size.tested, gpus
        ),
        of_cores=noise_passes(recipe, size.train, pairs, sizes),
        disk=_disk(recipe, size, sizes),
        checkpoint_bytes=max(
            CHECKPOINTS * FLOAT * (2 * known.parameters + known.buffers) for known in sizes.values()
        ),
        notes=_notes(recipe, gpus, measured),
    )


def _on(hardware: str | None) -> str:
    return f" on {hardware}" if hardware else ""


def _resolved(asked: RunSpec, images: int | None) -> tuple[RunSpec, Hooks, Recipe, DataSize, Span]:
    """Resolve the recipe, with the data if it is on this machine, else with published numbers.

    The last value is the sum of the squares of the classes' sizes.
    """
    active = Activation(asked)
    spec = active.spec
    edition = EDITIONS.get(spec.data.name)
    if edition is None or spec.data.path:
        prepared = prepare(asked)
        tested = sum(map(len, prepared.tested))
        classes = prepared.samples.num_classes
        found = DataSize(len(prepared.samples), tested, classes, "counted here")
        size = found._replace(train=images, source="given") if images else found
        counts = np.bincount(prepared.samples.label, minlength=1).astype(np.float64)
        squares = float(counts @ counts) * (size.train / max(1, found.train)) ** 2
        pairs = Span(squares, squares, squares)
        return prepared.spec, prepared.hooks, prepared.recipe, size, pairs
    train, tested_images, source = PUBLISHED[edition.name]
    if spec.data.options and images is None:
        raise HarnessError(
            f"the number of training pictures of {spec.data} is not known here: name its folder, "
            f"--data {spec.data.name}:/data/webvision?..., or add --images NUMBER"
        )
    classes = len(edition.kept) if edition.kept else edition.num_classes
    size = DataSize(images or train, tested_images, classes, "given" if images else source)
    pairs = pairs_of(size.train, classes)
    return spec, active.hooks, resolve(spec, active.hooks, UNREAD), size, pairs


def _stage_cost(
    recipe: StageRecipe,
    train: int,
    speed: Speed,
    gpus: int,
    sizes: Mapping[str, NetworkSize],
    steps: Measured | None,
) -> StageCost:
    stage, own = recipe.stage, sizes[recipe.stage.name]
    seconds = training_seconds(train * stage.epochs, speed, gpus)
    taught = sum(sizes[t.name].parameters + sizes[t.name].buffers for t in stage.teachers)
    return StageCost(
        name=stage.name,
        kind=kind_of(recipe),
        epochs=stage.epochs,
        images=train * stage.epochs,
        speed=speed,
        seconds=seconds,
        device_days=seconds.estimate * gpus / 86_400,
        state_bytes=FLOAT * (3 * own.parameters + own.buffers + taught),
        peak_bytes=steps.peak_bytes if steps else None,
    )


def _disk(recipe: Recipe, size: DataSize, sizes: Mapping[str, NetworkSize]) -> dict[str, int]:
    """Return the bytes that a finished run leaves under its home, by kind."""
    seen = recipe.seen
    protocols = len(recipe.protocols(recipe.members[0]))
    disk = {
        "weights": sum(
            EPOCHS_KEPT * FLOAT * (known.parameters + known.buffers) for known in sizes.values()
        ),
        "samples": len(recipe.stages) * size.train * COLUMN_BYTES,
    }
    if seen:
        bytes_each = sum(sizes[name].features * FLOAT + SEEN_BYTES for name in seen)
        disk["features"] = size.train * bytes_each
    if size.tested is not None:
        disk["predictions"] = size.tested * protocols * EPOCHS_KEPT * ANSWER_BYTES
    return disk


def _notes(recipe: Recipe, gpus: int, measured: Mapping[str, Measured]) -> tuple[str, ...]:
    reading = ", reading pictures" if measured else ""
    notes = [f"not counted: scoring val after each epoch, other noise tricks{reading}"]
    if gpus > 1:
        notes.append(
            f"assumed: {gpus} devices have {LEAST_EFFICIENCY:g} to {MOST_EFFICIENCY:g} of {gpus} "
            "times the speed of one; the interval includes this"
        )
    for stage in (recipe.stage for recipe in recipe.stages):
        parts = gpus * stage.accumulation
        if stage.batch_size % parts:
            notes.append(
                f"a run would refuse a batch of {stage.batch_size} on {gpus} devices with "
                f"accumulation {stage.accumulation}; change it with --stage batch_size=..."
            )
        wanted = max(1, stage.batch_size // parts)
        if stage.name in measured and measured[stage.name].images < wanted:
            notes.append(
                f"{stage.backbone} at {stage.input_size} pixels was timed with "
                f"{measured[stage.name].images} pictures at once, not {wanted}"
            )
    return tuple(dict.fromkeys(notes))
