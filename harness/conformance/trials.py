"""Training two steps of every stage: twice the same, and the same after an interruption."""

from __future__ import annotations

import dataclasses
import random
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from harness.assembly.activation import Activation
from harness.assembly.hooks import Active, Hooks
from harness.assembly.prepare import prepare_active
from harness.conformance.case import Case
from harness.conformance.fakes import same_tensors
from harness.hookspecs import hookimpl
from harness.session.stage_runner import StageRunner
from harness.spec import Override
from harness.training.batches import seed_draws
from harness.training.checkpoints import load_tensors
from harness.training.interrupt import Interrupted
from harness.training.ranks import join_ranks
from harness.values import Plan, Stage

STEPS = 2  # of each stage: an epoch each, so that a checkpoint lies between them
MOST_PICTURES = 2_000  # of a data set that is trained on
MOST_TRIES = 100  # of a run that is interrupted in each of its stages


class Trained(NamedTuple):
    """What a trial left of a stage: its weights, its losses and scores, and its samples' column."""

    weights: Mapping[str, Tensor]
    history: list[dict[str, float]]
    weight: Any


class Interrupt:
    """An observer that stops every stage once, after its first step."""

    def __init__(self) -> None:
        self._stopped: set[str] = set()

    @hookimpl
    def on_step_end(self, stage: Stage, step: int) -> None:
        """Stop the run as a signal would; the checkpoint of the step is written already."""
        if step == 1 and stage.name not in self._stopped:
            self._stopped.add(stage.name)
            raise Interrupted(signal.SIGTERM)


def check_training(case: Case) -> Iterator[str]:
    """Two trainings of two steps leave the same weights, and so does an interrupted one."""
    size = len(case.hooks().load_samples(case.spec, "train"))
    if size > MOST_PICTURES:
        return
    first = train_once(case, seed=1)
    different = _difference(first, train_once(case, seed=2))
    if different:
        yield f"{different}, if it is trained twice; draw only from seeds that it is given"
        return
    different = _difference(first, train_once(case, seed=3, interrupt=Interrupt()))
    if different:
        yield (
            f"{different}, if it is interrupted after a step and resumed; something that must "
            "survive is not in the network, the optimiser or a declared state"
        )


def train_once(
    case: Case,
    *,
    seed: int,
    interrupt: Interrupt | None = None,
    overrides: tuple[Override, ...] = (),
) -> dict[str, Trained]:
    """Train every stage for two steps in a home of its own, on all pictures at once.

    ``seed`` is that of the global random states, which must not matter. ``overrides`` follow those
    of the case.
    """
    size = len(case.hooks().load_samples(case.spec, "train"))
    steps = (Override("", "epochs", str(STEPS)), Override("", "batch_size", str(size)))
    with TemporaryDirectory(prefix="harness-check-") as folder:
        spec = dataclasses.replace(
            case.spec,
            home=linked_home(case, Path(folder)),
            engine="torch",
            checkpoint_seconds=0.0,
            overrides=(*case.spec.overrides, *steps, *overrides),
        )
        further = [Active("interrupt", interrupt)] if interrupt else []
        for _ in range(MOST_TRIES):
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002 - the global state is what is tried
            seed_draws(seed)
            active = [*case.before, Active(case.name, case.plugin), *case.after, *further]
            hooks = Hooks(active, method=spec.plugin)
            try:
                return _train(Activation.of(spec, case.plugin, hooks))
            except Interrupted:
                continue
    raise AssertionError("a stage is interrupted once")


def linked_home(case: Case, folder: Path) -> Path:
    """Return ``folder`` as a home that has the data of the case's."""
    drawn = case.spec.home / "data"
    drawn.mkdir(parents=True, exist_ok=True)
    (folder / "data").symlink_to(drawn.absolute())
    return folder


def _train(active: Activation) -> dict[str, Trained]:
    prepared, ranks = prepare_active(active), join_ranks()
    runner = StageRunner(prepared, ranks)
    runner.check(prepared.recipe)
    stages = prepared.recipe.stages
    prepared.hooks.on_run_start(prepared.spec, Plan(stages=tuple(one.stage for one in stages)))
    found = {}
    for recipe in stages:
        finished = runner.run(recipe)
        found[recipe.stage.name] = Trained(
            weights=load_tensors(finished.folder.path / "weights.pt"),
            history=finished.marker["history"],
            weight=runner.samples(recipe).weight,
        )
    return found


def _difference(one: dict[str, Trained], other: dict[str, Trained]) -> str:
    """Say what differs between two trainings, or nothing."""
    for name, mine in one.items():
        theirs = other[name]
        if not np.array_equal(mine.weight, theirs.weight):
            return f"stage {name!r}: its noise tricks give different sample weights"
        if mine.history != theirs.history:
            return f"stage {name!r}: its losses differ"
        if not same_tensors(mine.weights, theirs.weights):
            return f"stage {name!r}: the network's weights differ"
    return ""
