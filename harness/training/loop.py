"""One visible loop: every stage of every method is trained by it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
import torch

from harness.assembly.calling import calling
from harness.assembly.contract import check_rows
from harness.data.pictures.loader import Crops, Pictures, prefetch
from harness.errors import TrainingError
from harness.samplers import Rows
from harness.samples import Samples
from harness.training.batches import Collator, seed_draws, to_device
from harness.training.checkpoints import save_best
from harness.training.engine import Engine
from harness.training.interrupt import listening
from harness.training.job import Job
from harness.training.keeper import Keeper, resume
from harness.training.layout import Layout
from harness.training.learner import Team
from harness.training.meter import Meter, Observer
from harness.training.position import TrainState
from harness.training.prefetch import prefetch_to_device
from harness.training.ranks import Ranks
from harness.values import Batch

Engines: TypeAlias = Sequence[Engine]


class Trained(NamedTuple):
    """A stage that was trained to its end."""

    position: TrainState
    meter: Meter
    team: Team


def train(job: Job, engines: Engines, ranks: Ranks, observer: Observer) -> Trained:
    """Train a stage to its end, from its newest checkpoint if there is one.

    There is one engine for each of the stage's networks.

    Raises TrainingError if a loss is not finite or a GPU's memory is used up. Raises Interrupted
    after a signal, once the checkpoint is written.
    """
    try:
        return _train(job, engines, ranks, observer)
    except torch.OutOfMemoryError as error:
        stage = job.recipe.stage
        raise TrainingError(
            f"stage {stage.name!r}: the memory of {ranks.device} is used up: "
            f"{str(error).partition('. GPU')[0]}; try --stage batch_size={stage.batch_size // 2} "
            f"or --stage accumulation={2 * stage.accumulation}"
        ) from error


def _train(job: Job, engines: Engines, ranks: Ranks, observer: Observer) -> Trained:
    stage = job.recipe.stage
    team = Team(job.recipe, engines, job.samples, ranks, job.teachers)
    position = resume(job, team, ranks)
    pictures = Pictures(job.samples, job.report, broken=position.broken)
    layout = Layout.of(stage, ranks)
    meter = Meter(stage, ranks, job.steps, position)
    keeper = Keeper(job, team, ranks, position)
    first = position.step
    observer.on_stage_start(stage, job.steps, first)
    with listening() as request:
        if _is_unscored(job, position):
            scalars = position.scalars | _end_epoch(job, team, ranks, position)
            observer.on_step_end(stage, position.step, scalars)
            keeper.keep(request, epoch_ends=True)
            meter.go_on()
        for batches in _steps(job, team, pictures, layout, position, ranks.device):
            lr = job.lr(position.step)
            team.set_lr(lr)
            for again in range(stage.optimizer.passes):
                for number, waiting in enumerate(batches):
                    # Dropout draws from torch's own generator, which no checkpoint holds.
                    seed_draws(waiting.seed, ranks.device)
                    seeds = layout.seeds(job.seed, position.step, number)
                    micro = to_device(waiting, ranks.device, **job.dates(position.step))
                    check = position.step == first and not again
                    show = not again and (check or (position.step + 1) % job.steps_per_epoch == 0)
                    loss = team.learn(micro, seeds, check=check, keep=not again, show=show)
                    if not again:
                        meter.add(loss, micro)
            position.step += 1
            team.end_step(position.step / job.steps)
            epoch_ends = position.step % job.steps_per_epoch == 0
            _show(job, team, position, observer)
            if meter.due() or epoch_ends:
                scalars = position.scalars = meter.read(lr)
                if epoch_ends:
                    pictures.learn(ranks.union(position.broken))
                    team.average_buffers(ranks)
                    keeper.keep_unscored()
                    scalars = scalars | _end_epoch(job, team, ranks, position)
                observer.on_step_end(stage, position.step, scalars)
                keeper.keep(request, epoch_ends=epoch_ends)
                meter.go_on()
    return Trained(position, meter, team)


def _show(job: Job, team: Team, position: TrainState, observer: Observer) -> None:
    """Let the observer look at the step's batch, if it was kept."""
    if team.shown is not None:
        batch, team.shown = team.shown, None
        observer.on_batch(job.recipe.stage, position.step, batch, team.learners[0].module)


def _steps(
    job: Job,
    team: Team,
    pictures: Pictures,
    layout: Layout,
    position: TrainState,
    device: torch.device,
) -> Iterator[list[Batch]]:
    """Yield the micro-batches of every step that is left.

    Where epoch tricks are due, the batches prepared ahead end, and begin again with what the tricks
    choose from the networks as they are then.
    """
    while position.step < job.steps:
        job.choose(team, position.step)
        chosen = [learner.chosen or job.samples for learner in team.learners]
        steps = range(position.step, job.next_choice(position.step))
        yield from prefetch_to_device(_batches(job, pictures, layout, chosen, steps), device)


def _batches(
    job: Job, pictures: Pictures, layout: Layout, chosen: Sequence[Samples], steps: range
) -> Iterator[list[Batch]]:
    """Yield this rank's micro-batches of every step, prepared ahead in the loader's threads."""
    stage = job.recipe.stage
    named = job.recipe.who(stage.sampler)
    drawn_from = _of_any(chosen)
    with calling(named):
        draw = stage.sampler.prepare(drawn_from, stage.batch_size, job.seed)
    tricks = job.recipe.picture
    crops = Crops(stage.input_size, stage.min_crop_area, stage.views, tricks)
    columns = Collator(chosen[0] if len(chosen) == 1 else drawn_from)
    places = layout.places()
    clean = job.clean_batches() if job.clean is not None else None

    def load(rows: Rows, step: int) -> list[Batch]:
        loaded = pictures.training_batch(rows, places, crops, (job.seed, step))
        batches = [
            columns.collate(piece, layout.seeds(job.seed, step, micro)[0])
            for micro, piece in enumerate(loaded.split(stage.accumulation))
        ]
        return batches if clean is None else [replace(b, clean=clean(step)) for b in batches]

    def drawn(step: int) -> Rows:
        with calling(named, draws=None):
            rows = draw(step)
        return check_rows(named, rows, stage.batch_size, drawn_from)

    return prefetch((partial(load, drawn(step), step) for step in steps), job.threads)


def _of_any(chosen: Sequence[Samples]) -> Samples:
    """Return the samples from which pictures are drawn: those that any network trains on."""
    if len(chosen) == 1:
        return chosen[0]
    return chosen[0].assign(subset=np.max([samples.subset for samples in chosen], axis=0))


def _end_epoch(job: Job, team: Team, ranks: Ranks, position: TrainState) -> dict[str, float]:
    """Score the epoch on val and keep its weights if they are the best so far."""
    scores = job.evaluate(team.module)
    team.train_mode()
    epoch = position.step // job.steps_per_epoch
    loss = position.loss_sum / job.steps_per_epoch
    position.history.append({"epoch": float(epoch), "loss": loss, **scores})
    position.loss_sum = 0.0
    alone = len(team.learners) == 1
    if alone and scores and scores["val_top1"] > position.best_top1:
        position.best_epoch, position.best_top1 = epoch, scores["val_top1"]
        weights = team.learners[0].module.state_dict()
        ranks.decided(partial(save_best, job.folder, epoch, weights))
    return {"epoch_loss": loss, **scores}


def _is_unscored(job: Job, position: TrainState) -> bool:
    """Return whether a run ended after the checkpoint of an epoch but before its score."""
    epochs, further = divmod(position.step, job.steps_per_epoch)
    return not further and epochs > len(position.history)
