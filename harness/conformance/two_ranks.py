"""Training on one and on two ranks: what ranks must share, they share."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness.assembly.rank_dependence import ranks_that_matter
from harness.conformance.case import Case
from harness.conformance.trials import MOST_PICTURES, STEPS, Trained, linked_home, train_once
from harness.errors import HarnessError
from harness.knobs import spelled
from harness.machine.place import read_place
from harness.spec import Override
from harness.values import SLOTS

SECONDS = 300.0
TOLERANCE = 1e-3  # of a loss: sums are rounded otherwise, and batch norm divides by their roots


def check_two_ranks(case: Case) -> Iterator[str]:
    """Two ranks find the losses of one, up to rounding.

    Batch norm, batch tricks and losses see the same half of a batch in both. Only a plugin that
    another process finds by its name is tried, and only if its networks draw nothing.
    """
    size = len(case.hooks().load_samples(case.spec, "train"))
    if not case.named or read_place() is not None or size > MOST_PICTURES:
        return
    batch = size + size % 2
    fields = {"epochs": STEPS, "batch_size": batch, "norm_group": batch // 2}
    overrides = tuple(Override("", name, spelled(value)) for name, value in fields.items())
    try:
        alone = train_once(case, seed=1, overrides=overrides)
    except HarnessError:  # a network whose batch norm cannot be grouped
        return
    if _draws(case, overrides):
        return
    together = _on_two_ranks(case, overrides)
    if isinstance(together, str):
        yield f"on two ranks: {together}"
        return
    for name, losses in together.items():
        yield from _differences(name, alone[name], losses)


def _differences(name: str, alone: Trained, together: list[float]) -> Iterator[str]:
    for step, (entry, loss) in enumerate(zip(alone.history, together, strict=True), 1):
        if not math.isclose(entry["loss"], loss, rel_tol=TOLERANCE):
            yield (
                f"stage {name!r}: the loss of step {step} is {entry['loss']:.6g} on one rank and "
                f"{loss:.6g} on two; a rank sees only its part of a batch, so values kept from "
                "samples or batches must be a declared state"
            )
            return


def _draws(case: Case, overrides: tuple[Override, ...]) -> bool:
    """Whether a network draws in training, as dropout does: each rank then draws its own."""
    hooks = case.hooks()
    outputs = hooks.load_samples(case.spec, "train").num_classes
    matter = ranks_that_matter(case.spec, hooks, 2, outputs)
    nothing: dict[str, tuple[Any, ...]] = dict.fromkeys(SLOTS, ())
    stages = case.recipe(overrides=overrides).stages
    return matter is not None and any(matter(s.stage, nothing | s.slots) for s in stages)


def _on_two_ranks(case: Case, overrides: tuple[Override, ...]) -> dict[str, list[float]] | str:
    """Return the losses of every stage by a run of its own, or the last line of its errors."""
    fields = {(one.stage, one.field): one for one in (*case.spec.overrides, *overrides)}
    given = [text for one in fields.values() for text in ("--stage", _text(one))]
    further = [] if case.name in (case.spec.plugin, case.spec.data.name) else ["--with", case.name]
    with TemporaryDirectory(prefix="harness-check-") as folder:
        home = linked_home(case, Path(folder))
        command = [
            *(sys.executable, "-m", "harness", "--home", str(home), "run", "--json"),
            *("--plugin", case.spec.plugin, *further, "--data", str(case.spec.data)),
            *("--engine", "torch", "--cpu-ranks", "2", *given),
        ]
        try:
            ended = subprocess.run(
                command,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"no result after {SECONDS:.0f} s"
        if ended.returncode:
            return (ended.stderr.strip().splitlines() or [f"status {ended.returncode}"])[-1]
        record = json.loads(Path(json.loads(ended.stdout)["record"]).read_bytes())
    return {
        stage["name"]: [entry["loss"] for entry in stage["history"]] for stage in record["stages"]
    }


def _text(override: Override) -> str:
    return f"{override.stage}.{override.field}={override.text}".lstrip(".")
