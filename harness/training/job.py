"""One stage to train: everything that its loop is given."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from torch import nn

from harness.assembly.calling import calling
from harness.assembly.contract import check_factor
from harness.assembly.recipe import StageRecipe
from harness.data.pictures.loader import Crops, Pictures
from harness.samplers import Uniform, draw_seed
from harness.samples import Samples
from harness.training.batches import Collator
from harness.training.learner import Team
from harness.values import Batch

CLEAN = 1  # tells the random draws of the clean pictures from others

ChooseSamples: TypeAlias = Callable[[Sequence[nn.Module], int], list[Samples]]
"""Maps the networks and the number of finished epochs to each network's samples."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One stage to train: its recipe, its samples after the noise tricks, its seed and folder.

    ``teachers`` are networks on the device that are not trained. ``evaluate`` scores a network on
    val after each epoch; ``report`` takes a line about each broken image. A checkpoint is written
    at the end of an epoch if the last one is ``checkpoint_seconds`` old. ``choose_samples`` runs
    the epoch tricks, if there are some; ``clean`` are the pictures of the split "clean".
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
    choose_samples: ChooseSamples | None = None
    clean: Pictures | None = None

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
        stage, who = self.recipe.stage, self.recipe.who(self.recipe.stage.schedule)
        with calling(who, hook="schedule", draws=None):
            factor = stage.schedule.factor(step / self.steps)
        return stage.lr * check_factor(who, factor)

    def dates(self, step: int) -> dict[str, Any]:
        """Return the fields of a batch that hold its place in the stage."""
        return {"progress": step / self.steps, "epoch": step // self.steps_per_epoch}

    @property
    def _between_choices(self) -> int:
        """The number of steps between two runs of the epoch tricks."""
        return self.recipe.stage.refresh * self.steps_per_epoch

    def choose(self, team: Team, step: int) -> None:
        """Let the epoch tricks choose each network's samples, if that is due before this step."""
        if self.choose_samples is not None and step and step % self._between_choices == 0:
            modules = [learner.module for learner in team.learners]
            found = self.choose_samples(modules, step // self.steps_per_epoch)
            for learner, samples in zip(team.learners, found, strict=True):
                learner.chosen = samples
            team.train_mode()

    def next_choice(self, step: int) -> int:
        """Return the step before which the epoch tricks run next; the last one without any."""
        if self.choose_samples is None:
            return self.steps
        return min(self.steps, (step // self._between_choices + 1) * self._between_choices)

    def clean_batches(self) -> Callable[[int], Batch]:
        """Return the function that loads the clean pictures of a step, the same in every rank."""
        assert self.clean is not None
        stage, pictures = self.recipe.stage, self.clean
        seed = draw_seed(self.seed, CLEAN)
        draw = Uniform().prepare(pictures.samples, stage.clean, seed)
        crops, columns = Crops(stage.input_size, stage.min_crop_area), Collator(pictures.samples)

        def load(step: int) -> Batch:
            loaded = pictures.training_batch(draw(step), slice(None), crops, (seed, step))
            return columns.collate(loaded, draw_seed(seed, step))

        return load
