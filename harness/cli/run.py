"""``harness run``: train, test and record one method."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from harness.cli.devices import device_options, node_options, on_devices
from harness.cli.options import run_options, run_spec
from harness.cli.strict import StrictCommand
from harness.machine.place import Place


@click.command(cls=StrictCommand)
@run_options
@device_options
@node_options
@click.option(
    "--checkpoint-seconds",
    type=click.FloatRange(0),
    default=5.0,
    show_default=True,
    help="Shortest time between checkpoints at the ends of epochs; 0: after each epoch.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print the path of the record and the scores as JSON."
)
@click.pass_obj
def run(
    home: Path,
    /,
    gpus: int | None,
    cpu_ranks: int | None,
    node: Place,
    checkpoint_seconds: float,
    as_json: bool,
    **asked: Any,
) -> None:
    """Train, test and record one method.

    A finished stage is not trained again. After an interruption, the same command continues.

    \b
    Examples:
      harness run --plugin malong_curriculum
      harness run --plugin malong_curriculum --set model=B --seed 3
      harness run --plugin baseline --data webvision1:/data/webvision --gpus 8
      harness run --plugin baseline --data synthweb:tiny --stage epochs=1
      harness run --plugin baseline --nodes 2 --node-rank 0 --rendezvous gpu1:29500
    """
    spec = replace(run_spec(home, asked), checkpoint_seconds=checkpoint_seconds)
    with on_devices(gpus, cpu_ranks, node):
        from harness.assembly.knob_effects import check_knobs
        from harness.runner import run as run_method

        check_knobs(spec)
        record = run_method(spec)
    from harness.assembly.activation import Activation
    from harness.cli.result import print_result
    from harness.store.curves import curves_of

    curves = curves_of(Activation(spec).spec)  # with the data set that was chosen by default
    print_result(record, home, as_json=as_json, curves=curves if curves.is_dir() else None)
