"""``harness estimate``: time, disk and memory of a recipe, before it runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.devices import Planned, planned_options
from harness.cli.options import run_options, run_spec
from harness.cli.say import say
from harness.cli.strict import StrictCommand
from harness.errors import HarnessError
from harness.progress import ProgressLine

if TYPE_CHECKING:
    from harness.planning.estimate import Estimate, Measure
    from harness.planning.throughput import Speed

MOST_IMAGES = 1 << 40


@click.command(cls=StrictCommand)
@run_options
@planned_options
@click.option(
    "--images",
    type=click.IntRange(1, MOST_IMAGES),
    help="Number of training images.  [default: counted, or as published]",
)
@click.option(
    "--images-per-second",
    "given",
    multiple=True,
    metavar="[STAGE=]NUMBER",
    help="Speed of one device, in all stages or in one; repeatable.",
)
@click.option("--measure", is_flag=True, help="Time a few steps of every network on this device.")
@click.option(
    "--hardware", metavar="NAME", help="Use only records of hardware whose name contains this."
)
@click.option("--json", "as_json", is_flag=True, help="Print the estimate as JSON.")
@click.pass_obj
def estimate(  # noqa: PLR0913 - one parameter per option
    home: Path,
    /,
    planned: Planned,
    images: int | None,
    given: tuple[str, ...],
    measure: bool,
    hardware: str | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """Estimate training time, disk and memory of a recipe.

    The time of a stage is images times epochs, divided by the speed of its network. The speed comes
    from earlier records of the same network, input size, precision and hardware, from --measure, or
    from --images-per-second. It takes the options of "harness run"; --gpus or --cpu-ranks, times
    --nodes, is the number of devices.

    \b
    Examples:
      harness estimate --plugin malong_curriculum
      harness estimate --plugin baseline --data webvision2 --gpus 64 --measure
      harness estimate --plugin baseline --data webvision2 --gpus 8 --images-per-second 800
    """
    spec = run_spec(home, asked)
    from harness.machine.launch import keep_freed_memory, share_cores

    share_cores()
    keep_freed_memory()
    from harness.assembly.knob_effects import check_knobs
    from harness.planning.estimate import estimate as estimate_cost

    check_knobs(spec)
    with ProgressLine() as line:
        found = estimate_cost(
            spec,
            gpus=planned.ranks,
            images=images,
            given=_speeds(given),
            hardware=hardware,
            measure=_timer(line) if measure else None,
        )
    if as_json:
        say(json.dumps(_json(found), indent=1))
    else:
        say("\n".join(_lines(found)))


def _timer(line: ProgressLine) -> Measure:
    from harness.planning.step_timer import StepTimer

    return StepTimer(tell=line.show)


def _speeds(given: Sequence[str]) -> dict[str, float]:
    speeds = {}
    for text in given:
        stage, _, number = text.rpartition("=")
        try:
            speeds[stage] = float(number)
        except ValueError:
            speeds[stage] = 0.0
        if not 0 < speeds[stage] < MOST_IMAGES:
            raise HarnessError(
                f"--images-per-second {text!r} must be [STAGE=]NUMBER with a number above 0"
            )
    return speeds


def _json(found: Estimate) -> dict[str, Any]:
    values = asdict(found)
    values["size"], values["seconds"] = found.size._asdict(), found.seconds._asdict()
    values["passes"] = [{**one._asdict(), "seconds": one.seconds._asdict()} for one in found.passes]
    values["of_cores"] = [
        {"name": one.name, "seconds": one.seconds._asdict() if one.seconds else None}
        for one in found.of_cores
    ]
    for stage, own in zip(values["stages"], found.stages, strict=True):
        for name in ("kind", "speed", "seconds"):
            stage[name] = getattr(own, name)._asdict()
    return values


def _lines(found: Estimate) -> Sequence[str]:
    from tabulate import tabulate

    from harness.planning.passes import LEAST_FORWARDS, MOST_FORWARDS

    rows = [
        (
            stage.name,
            f"{stage.kind.backbone} ({stage.kind.input_size}, {stage.kind.precision})",
            str(stage.epochs),
            _speed(stage.speed),
            stage.speed.source,
            str(stage.seconds),
            _number(stage.device_days),
        )
        for stage in found.stages
    ]
    rows.append(("total", "", "", "", "", str(found.seconds), _number(found.device_days)))
    head = ("stage", "network (input)", "epochs", "images/s", "from", "time", "device-days")
    align = ("left", "left", "right", "right", "left", "right", "right")
    state = max(found.stages, key=lambda stage: stage.state_bytes)
    peaks = [stage.peak_bytes for stage in found.stages if stage.peak_bytes]
    with_activations = (
        f"with activations {_bytes(max(peaks))} at most, measured"
        if peaks
        else "activations not measured; add --measure on a GPU"
    )
    parts = ", ".join(f"{name} {_bytes(count)}" for name, count in found.disk.items())
    passes = ", ".join(f"{one.name} {one.seconds}" for one in found.passes)
    cores = ", ".join(f"{one.name} {one.seconds or 'not known'}" for one in found.of_cores)
    devices = "device" if found.gpus == 1 else "devices"
    return [
        f"{found.label} on {found.data}: {found.size.train:,} training pictures "
        f"({found.size.source}), {found.gpus} x {found.hardware}",
        "",
        tabulate(rows, head, disable_numparse=True, colalign=align),
        "",
        f"images/s: one device; time: {found.gpus} {devices}",
        f"besides training: {passes or 'nothing known'}; assumed: a training step is "
        f"{LEAST_FORWARDS:g} to {MOST_FORWARDS:g} forward passes",
        *(
            [f"noise handling, of one core: {cores}; several cores or ranks share it"]
            if cores
            else []
        ),
        f"disk: {_bytes(sum(found.disk.values()))} ({parts}), and up to "
        f"{_bytes(found.checkpoint_bytes)} of checkpoints during training; without the data set",
        f"memory of one device: {_bytes(state.state_bytes)} for weights, gradients and momentum; "
        f"{with_activations}",
        *found.notes,
    ]


def _speed(speed: Speed) -> str:
    found, low, high = map(_number, speed[:3])
    return found if low == high else f"{found} [{low}, {high}]"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _bytes(count: float) -> str:
    from humanize import naturalsize

    return naturalsize(count, format="%.3g")
