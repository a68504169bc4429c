"""Training time of stages, from earlier runs of the same network on the same hardware."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from harness.assembly.recipe import StageRecipe
from harness.errors import HarnessError, unknown
from harness.optimizers import Sgd
from harness.store.record import EffectiveStage, ResultRecord
from harness.store.record_files import known_records

# Assumed: the efficiency of several devices, which wait for each other.
LEAST_EFFICIENCY, MOST_EFFICIENCY = 0.9, 1.0
QUANTILES = (0.1, 0.9)  # of the speeds, by the time spent at each: the bounds


class Kind(NamedTuple):
    """What decides the speed of a stage on given hardware; batch size and classes matter less.

    ``model`` are the tricks that change the network; ``teachers`` is the number of networks that
    also process every batch. ``networks`` are trained side by side on ``views`` crops of each
    picture; ``optimizer`` is the name of its class: some compute two gradients an update.
    """

    backbone: str
    input_size: int
    precision: str
    model: tuple[str, ...] = ()
    teachers: int = 0
    compiled: bool = False
    networks: int = 1
    views: int = 1
    optimizer: str = Sgd.__name__

    def __str__(self) -> str:
        """Return the kind as text."""
        words = [self.backbone, f"at {self.input_size} pixels", f"in {self.precision}"]
        words += [f"with {', '.join(self.model)}"] if self.model else []
        words += [f"taught by {self.teachers}"] if self.teachers else []
        words += ["compiled"] if self.compiled else []
        words += [f"{self.networks} side by side"] if self.networks > 1 else []
        words += [f"{self.views} views"] if self.views > 1 else []
        words += [f"with {self.optimizer}"] if self.optimizer != Sgd.__name__ else []
        return " ".join(words)


class Speed(NamedTuple):
    """Images per second of one device, and the source of the number."""

    images_per_second: float
    low: float
    high: float
    source: str


class Span(NamedTuple):
    """An estimate between its bounds, in seconds."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return the span in the largest unit that fits: "12 days [11, 13]"."""
        units = {"days": 86_400, "hours": 3_600, "min": 60}
        fitting = (name for name, size in units.items() if self.estimate >= 2 * size)
        unit = next(fitting, "s")
        size = units.get(unit, 1)
        shown = [f"{value / size:,.{0 if value >= 20 * size else 1}f}" for value in self]
        return f"{shown[0]} {unit} [{shown[1]}, {shown[2]}]"


class Measured(NamedTuple):
    """The result of a few training steps; ``peak_bytes`` is None if the device has no counter."""

    speed: Speed
    hardware: str
    images: int  # that one device took at once
    peak_bytes: int | None


class NetworkSize(NamedTuple):
    """Numbers of values: parameters, buffers, and features of one image."""

    parameters: int
    buffers: int
    features: int


@dataclass(frozen=True, kw_only=True)
class Speeds:
    """The known speeds on one kind of hardware."""

    hardware: str
    by_kind: Mapping[Kind, Speed]


class _Trained(NamedTuple):
    """One training of one stage: its speed for one device, and how long it took."""

    images_per_second: float
    seconds: float


def kind_of(recipe: StageRecipe) -> Kind:
    """Return the kind of a stage that is to be trained."""
    stage = recipe.stage
    return Kind(
        stage.backbone,
        stage.input_size,
        stage.precision,
        tuple(map(repr, recipe.model)),
        len(stage.teachers),
        stage.compile,
        stage.networks,
        stage.views,
        type(stage.optimizer).__name__,
    )


def total(spans: Iterable[Span]) -> Span:
    """Return the sum; bounds are added too, because causes of slowness affect all stages."""
    parts = list(spans)
    return Span(*(sum(column) for column in zip(*parts, strict=True))) if parts else Span(0, 0, 0)


def training_seconds(images: float, speed: Speed, gpus: int = 1) -> Span:
    """Return the time of ``images`` draws on ``gpus`` devices.

    images / (images per second x gpus x efficiency); the efficiency of several devices is assumed
    to be between 0.9 and 1; that of one is 1. **Source:** the column "Estimated Training Time on
    WebVision" of BigVideo's deck, "Efficient & Powerful Networks"; its scaling is not stated.
    """
    least = LEAST_EFFICIENCY if gpus > 1 else 1.0
    most = MOST_EFFICIENCY if gpus > 1 else 1.0
    return Span(
        images / (speed.images_per_second * gpus * (least + most) / 2),
        images / (speed.high * gpus * most),
        images / (speed.low * gpus * least),
    )


def known_seconds(
    home: Path, stages: Sequence[StageRecipe], train: int
) -> tuple[dict[str, Span], str]:
    """Return the time on one device of the stages with known speed, by key, and the hardware."""
    kinds = {stage.key: kind_of(stage) for stage in stages}
    speeds = recorded_speeds(known_records(home / "records"), list(kinds.values()))
    known = {
        stage.key: training_seconds(train * stage.stage.epochs, speeds.by_kind[kinds[stage.key]])
        for stage in stages
        if kinds[stage.key] in speeds.by_kind
    }
    return known, speeds.hardware


def recorded_speeds(
    records: Iterable[ResultRecord], kinds: Sequence[Kind], hardware: str | None = None
) -> Speeds:
    """Return the recorded speeds of these kinds on one kind of hardware.

    ``hardware`` selects it by a part of its name; by default it is the one with most of the kinds,
    then the newest. A stage that several runs share counts once. The speed is all images over all
    seconds; a tenth of the seconds was spent below ``low``, and a tenth above ``high``. Raises
    HarnessError if no record has the hardware.
    """
    known: dict[str, dict[Kind, list[_Trained]]] = {}
    for place, kind, trained in _trained(records):
        known.setdefault(place, {}).setdefault(kind, []).append(trained)
    if hardware is not None:
        met = list(known)
        known = {name: of for name, of in known.items() if hardware.lower() in name.lower()}
        if not known:
            raise HarnessError(unknown("hardware", hardware, met, listing="in the records"))
    if not known:
        return Speeds(hardware="", by_kind={})
    # Records come oldest first, and of equals max takes the first.
    chosen = max(reversed(known), key=lambda name: len(set(kinds) & set(known[name])))
    found = {kind: _speed(of) for kind, of in known[chosen].items() if kind in kinds}
    return Speeds(hardware=chosen, by_kind=found)


def _speed(trained: Sequence[_Trained]) -> Speed:
    """Combine trainings, weighted by time: the first steps of a short one are not typical."""
    many = f"{len(trained)} earlier trainings" if len(trained) > 1 else "one earlier training"
    whole = sum(one.seconds for one in trained)
    images = sum(one.images_per_second * one.seconds for one in trained)
    by_speed = sorted(trained)
    until = list(accumulate(one.seconds for one in by_speed))
    low, high = (
        by_speed[min(bisect_left(until, share * whole), len(until) - 1)].images_per_second
        for share in QUANTILES
    )
    mean = images / whole
    return Speed(mean, min(low, mean), max(high, mean), many)


def _trained(records: Iterable[ResultRecord]) -> Iterable[tuple[str, Kind, _Trained]]:
    met: set[str] = set()
    for record in records:  # the first record trained the stage; later ones reuse it
        place, devices = _place(record.cost.hardware)
        for stage in record.stages:
            speed = record.cost.images_per_second.get(stage.name, 0.0)
            seconds = record.cost.stage_seconds.get(stage.name, 0.0)
            kind = _kind(stage)
            if kind is None or speed <= 0 or seconds <= 0 or stage.key in met:
                continue
            met.add(stage.key)
            yield place, kind, _Trained(speed / devices, seconds)


def _place(hardware: Mapping[str, str]) -> tuple[str, int]:
    """Return a device's name and the number of devices; ranks on a CPU share one."""
    count, _, kind = hardware.get("devices", "").partition(" x ")
    if kind == "cuda" and count.isdecimal() and int(count):
        return hardware.get("accelerator", "unknown GPU"), int(count)
    return f"{hardware.get('processor', 'unknown CPU')}, {hardware.get('cores', '?')} cores", 1


def _kind(stage: EffectiveStage) -> Kind | None:
    """Return the kind of a stage of a record; None if the record does not have it."""
    values = stage.values
    try:
        size = int(values["input_size"])
        backbone, precision = values["backbone"], values["precision"]
        networks, views = int(values.get("networks", 1)), int(values.get("views", 1))
    except (KeyError, ValueError):
        return None
    teachers = values.get("teachers", "()").count("'") // 2  # of ('one', 'two')
    compiled = values.get("compile") == "True"
    optimizer = values.get("optimizer", Sgd.__name__).partition("(")[0]
    model = stage.tricks.get("model", ())
    return Kind(backbone, size, precision, model, teachers, compiled, networks, views, optimizer)
