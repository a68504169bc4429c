"""One visible loop: every stage of every method is trained by it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from harness.assembly.calling import calling
from harness.assembly.contract import (
    check_batch_values,
    check_factor,
    check_loss_values,
    check_rows,
)
from harness.assembly.recipe import StageRecipe
from harness.data.pictures.loader import Crops, Loaded, Pictures, prefetch
from harness.errors import TrainingError
from harness.samplers import Rows
from harness.samples import Samples
from harness.terminal import note
from harness.training.batches import (
    Collator,
    cross_entropy,
    in_parts,
    join_batches,
    seed_draws,
    split_batch,
    to_device,
    with_teacher_logits,
)
from harness.training.checkpoints import (
    load_checkpoint,
    newest_checkpoint,
    save_best,
    save_checkpoint,
)
from harness.training.engine import Engine
from harness.training.interrupt import Interrupted, Request, listening
from harness.training.layout import Layout
from harness.training.meter import Meter, Observer
from harness.training.position import TrainState
from harness.training.prefetch import prefetch_to_device
from harness.training.ranks import Ranks, counted
from harness.values import Batch, Loss, apply

LONG_CHECKPOINT_SECONDS = 600.0  # within an epoch


@dataclass(frozen=True, kw_only=True)
class Job:
    """One stage to train: its recipe, its samples after the noise tricks, its seed and folder.

    ``teachers`` are networks on the device that are not trained. ``evaluate`` scores a network on
    val after each epoch; ``report`` takes a line about each broken image. A checkpoint is written
    at the end of an epoch if the last one is ``checkpoint_seconds`` old.
    """

    recipe: StageRecipe
    samples: Samples
    seed: int
    threads: int
    folder: Path
    evaluate: Callable[[nn.Module], dict[str, float]]
    report: Callable[[str], None]
    teachers: Sequence[nn.Module] = ()
    checkpoint_seconds: float = 5.0

    @property
    def steps_per_epoch(self) -> int:
        """The number of steps that draw as many samples as the training list has entries."""
        return math.ceil(len(self.samples) / self.recipe.stage.batch_size)

    @property
    def steps(self) -> int:
        """The number of steps of the whole stage."""
        return self.recipe.stage.epochs * self.steps_per_epoch

    def lr(self, step: int) -> float:
        """Return the learning rate of the step that follows ``step`` finished ones."""
        stage = self.recipe.stage
        factor = stage.schedule.factor(step / self.steps)
        return stage.lr * check_factor(self.recipe.who(stage.schedule), factor)


def train(job: Job, engine: Engine, ranks: Ranks, observer: Observer) -> tuple[TrainState, Meter]:
    """Train a stage to its end, from its newest checkpoint if there is one.

    Raises TrainingError if a loss is not finite or a GPU's memory is used up. Raises Interrupted
    after a signal, once the checkpoint is written.
    """
    try:
        return _train(job, engine, ranks, observer)
    except torch.OutOfMemoryError as error:
        stage = job.recipe.stage
        raise TrainingError(
            f"stage {stage.name!r}: the memory of {ranks.device} is used up: "
            f"{str(error).partition('. GPU')[0]}; try --stage batch_size={stage.batch_size // 2} "
            f"or --stage accumulation={2 * stage.accumulation}"
        ) from error


def _train(job: Job, engine: Engine, ranks: Ranks, observer: Observer) -> tuple[TrainState, Meter]:
    stage = job.recipe.stage
    position = _resume(job, engine, ranks)
    pictures = Pictures(job.samples, job.report, broken=position.broken)
    loss: Loss = apply(job.recipe.loss, cross_entropy)
    layout = Layout.of(stage, ranks)
    meter = Meter(stage, ranks, job.steps, position)
    keeper = Keeper(job, engine, ranks, position)
    first = position.step
    observer.on_stage_start(stage, job.steps, first)
    engine.module.train()
    with listening() as request:
        if _is_unscored(job, position):
            observer.on_step_end(stage, position.step, _end_epoch(job, engine, ranks, position))
            keeper.keep(request, epoch_ends=True)
            meter.go_on()
        for batches in prefetch_to_device(
            _batches(job, pictures, layout, position.step), ranks.device
        ):
            lr = job.lr(position.step)
            engine.set_lr(lr)
            for number, waiting in enumerate(batches):
                # Dropout draws from torch's own generator, which no checkpoint holds.
                seed_draws(waiting.seed, ranks.device)
                seeds = layout.seeds(job.seed, position.step, number)
                micro = _tricked(job, to_device(waiting, ranks.device), seeds)
                if position.step == first:
                    check_batch_values(f"stage {stage.name!r}", micro, len(job.samples))
                whole, who = in_parts(loss, seeds), job.recipe.loss_who
                value = weighted_mean(whole, engine(micro.images), micro, who)
                engine.backward(value)
                engine.step()
                meter.add(value, micro)
            position.step += 1
            epoch_ends = position.step % job.steps_per_epoch == 0
            if meter.due() or epoch_ends:
                scalars = meter.read(lr)
                if epoch_ends:
                    pictures.learn(ranks.union(position.broken))
                    ranks.average_buffers(engine.module)
                    keeper.keep_unscored()
                    scalars |= _end_epoch(job, engine, ranks, position)
                observer.on_step_end(stage, position.step, scalars)
                keeper.keep(request, epoch_ends=epoch_ends)
                meter.go_on()
    return position, meter


def _tricked(job: Job, batch: Batch, seeds: Sequence[int]) -> Batch:
    """Return the batch with the teachers' logits, after the batch tricks, applied part by part."""
    if job.recipe.batch:
        parts = [apply(job.recipe.batch, part) for part in split_batch(batch, seeds)]
        batch = join_batches(parts)
    return with_teacher_logits(batch, job.teachers)


def weighted_mean(loss: Loss, logits: Tensor, batch: Batch, who: str = "the loss") -> Tensor:
    """Return the batch's loss, divided by its size: a weight of 0.5 halves a gradient.

    **Source:** Malong deck, "Methodology: Train with Curriculum Learning": each sample's gradient
    is multiplied by r_t. Raises PluginError that names ``who`` made the loss if it is not one value
    for each weight: another shape would be broadcast to a wrong mean.
    """
    values = loss(logits.float(), batch)
    check_loss_values(who, values, len(batch.weights))
    return (values * batch.weights).mean()


def _batches(job: Job, pictures: Pictures, layout: Layout, first: int) -> Iterator[list[Batch]]:
    """Yield this rank's micro-batches of every step, prepared ahead in the loader's threads."""
    stage = job.recipe.stage
    named = job.recipe.who(stage.sampler)
    with calling(named):
        draw = stage.sampler.prepare(job.samples, stage.batch_size, job.seed)
    crops = Crops(stage.input_size, stage.min_crop_area)
    columns = Collator(job.samples)
    places = layout.places()

    def load(rows: Rows, step: int) -> list[Batch]:
        loaded = pictures.training_batch(rows, places, crops, (job.seed, step))
        pieces = zip(*(np.split(column, stage.accumulation) for column in loaded), strict=True)
        return [
            columns.collate(Loaded(*piece), layout.seeds(job.seed, step, micro)[0])
            for micro, piece in enumerate(pieces)
        ]

    def drawn(step: int) -> Rows:
        return check_rows(named, draw(step), stage.batch_size, job.samples)

    work = (partial(load, drawn(step), step) for step in range(first, job.steps))
    return prefetch(work, job.threads)


def _end_epoch(job: Job, engine: Engine, ranks: Ranks, position: TrainState) -> dict[str, float]:
    """Score the epoch on val and keep its weights if they are the best so far."""
    scores = job.evaluate(engine.module)
    engine.module.train()
    epoch = position.step // job.steps_per_epoch
    loss = position.loss_sum / job.steps_per_epoch
    position.history.append({"epoch": float(epoch), "loss": loss, **scores})
    position.loss_sum = 0.0
    if scores and scores["val_top1"] > position.best_top1:
        position.best_epoch, position.best_top1 = epoch, scores["val_top1"]
        weights = engine.module.state_dict()
        ranks.decided(partial(save_best, job.folder, epoch, weights))
    return {"epoch_loss": loss, **scores}


def _is_unscored(job: Job, position: TrainState) -> bool:
    """Return whether a run ended after the checkpoint of an epoch but before its score."""
    epochs, further = divmod(position.step, job.steps_per_epoch)
    return not further and epochs > len(position.history)


class Keeper:
    """Writes checkpoints when they are due, and stops the run after a signal."""

    def __init__(self, job: Job, engine: Engine, ranks: Ranks, position: TrainState) -> None:
        self._job, self._engine, self._ranks, self._position = job, engine, ranks, position
        self._kept = time.monotonic()
        self._kept_step = position.step

    def keep(self, request: Request, *, epoch_ends: bool) -> None:
        """Write a checkpoint if it is time; raise Interrupted if any rank received a signal."""
        # All ranks stop after the same step: some may not have received the signal yet.
        stop, due = self._ranks.any(request.number > 0, self._is_due(epoch_ends=epoch_ends))
        # A checkpoint of this step exists: overwriting it could lose it, and scoring is repeated.
        if (stop or due) and self._kept_step != self._position.step:
            if not epoch_ends:
                self._ranks.average_buffers(self._engine.module)
            self._save()
        if stop:
            self._ranks.barrier()  # otherwise the launcher ends rank 0 while it is writing
            raise Interrupted(request.number)

    def keep_unscored(self) -> None:
        """Write a checkpoint if it is time: an error in scoring then does not lose the epoch."""
        if self._ranks.any(self._is_due(epoch_ends=True))[0]:
            self._save()

    def _is_due(self, *, epoch_ends: bool) -> bool:
        wait = self._job.checkpoint_seconds if epoch_ends else LONG_CHECKPOINT_SECONDS
        return self._ranks.first and time.monotonic() - self._kept > wait

    def _save(self) -> None:
        self._kept_step = self._position.step
        broken = self._ranks.union(self._position.broken)

        def save() -> None:
            position = asdict(replace(self._position, broken=broken))
            state = {"engine": self._engine.state(), "position": position}
            save_checkpoint(self._job.folder, self._position.step, state)

        self._ranks.decided(save)
        self._kept = time.monotonic()


def _resume(job: Job, engine: Engine, ranks: Ranks) -> TrainState:
    found = ranks.decided(partial(newest_checkpoint, job.folder, note))
    if found is None:
        return TrainState(ranks=[ranks.world_size])
    state = load_checkpoint(found, ranks.device)
    engine.load_state(state["engine"])
    position = TrainState(**state["position"])
    if position.ranks[-1:] != [ranks.world_size]:
        job.report(
            f"stage {job.recipe.stage.name!r} goes on with {counted(ranks.world_size)}, "
            f"after {' and then '.join(map(counted, position.ranks))}; its record says so"
        )
        position.ranks.append(ranks.world_size)
    return position
