"""The networks of a stage that are trained side by side, and one micro-batch of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.assembly.calling import StepWatch, calling
from harness.assembly.contract import check_batch_values, check_loss_values
from harness.assembly.recipe import StageRecipe
from harness.changed_columns import changed_columns, with_changed_columns
from harness.samples import Samples
from harness.training.averaging import MeanOf, WeightAverage, check_averaged
from harness.training.batches import (
    cross_entropy,
    in_parts,
    join_batches,
    split_batch,
    with_columns,
    with_teacher_logits,
)
from harness.training.engine import Engine, autocast
from harness.training.optimizer import train_mode
from harness.training.outputs import logits_of, others_of, with_logits
from harness.training.ranks import Ranks
from harness.training.state import StageState
from harness.values import Batch, Loss, Stage, apply


@dataclass
class Learner:
    """One network of a stage: its engine, its tricks' state, the average of its weights.

    ``chosen`` are its samples after epoch tricks; None until they have run.
    """

    number: int
    engine: Engine
    state: StageState
    average: WeightAverage | None = None
    chosen: Samples | None = None

    @property
    def module(self) -> nn.Module:
        """The network itself."""
        return self.engine.module


class Answers:
    """The networks of a stage for its batch tricks and losses: evaluation mode, no gradient."""

    def __init__(self, learners: Sequence[Learner], number: int, stage: Stage) -> None:
        self._own = learners[number]
        self._all = [self._own, *(one for one in learners if one is not self._own)]
        self._round = [*learners[number:], *learners[:number]]
        self._stage = stage

    def logits(self, images: Tensor) -> Tensor:
        """Return ``(M, B, K)``: this network's first."""
        return torch.stack([logits_of(self._answer(one.module, images)) for one in self._all])

    def outputs(self, images: Tensor) -> Mapping[str, Tensor]:
        """Return all outputs of this network."""
        answer = self._answer(self._own.module, images)
        return with_logits(logits_of(answer), others_of(answer))

    def averaged(
        self, images: Tensor, peer: int = 0, *, batch_statistics: bool = False
    ) -> Mapping[str, Tensor]:
        """Return all outputs of this network's averaged weights, or of the ``peer``-th after it."""
        check_averaged(self._stage, peer)
        average = self._round[peer].average
        assert average is not None
        module = average.of_batch if batch_statistics else average.module
        answer = self._answer(module, images)
        return with_logits(logits_of(answer), others_of(answer))

    def _answer(self, module: nn.Module, images: Tensor) -> Any:
        training = module.training
        module.eval()
        try:
            with torch.no_grad(), autocast(self._stage, images.device):
                answer = module(images)
        finally:
            if training:
                train_mode(module)
        if isinstance(answer, Tensor):
            return answer.float()
        return {name: tensor.float() for name, tensor in answer.items()}


class Team:
    """All learners of a stage, which see the same pictures."""

    def __init__(
        self,
        recipe: StageRecipe,
        engines: Sequence[Engine],
        samples: Samples,
        ranks: Ranks,
        teachers: Sequence[nn.Module] = (),
    ) -> None:
        self._recipe, self._stage, self._teachers = recipe, recipe.stage, teachers
        self._rows = len(samples)
        self._watch = StepWatch(f"a plugin in stage {self._stage.name!r}")
        self._loss: Loss = apply(recipe.loss, cross_entropy)
        tricks, average = (*recipe.batch, *recipe.loss), self._stage.average
        self.learners = [
            Learner(
                number=number,
                engine=engine,
                state=StageState(tricks, self._stage, samples, ranks),
                average=(
                    WeightAverage(engine.module, average, recipe.who(average)) if average else None
                ),
            )
            for number, engine in enumerate(engines)
        ]
        for learner in self.learners:
            train_mode(learner.module)
        self.shown: Batch | None = None  # the first network's batch, for those who look on

    @property
    def module(self) -> nn.Module:
        """What is scored: the network, or the mean of all."""
        modules = [learner.module for learner in self.learners]
        return modules[0] if len(modules) == 1 else MeanOf(modules)

    def weights(self) -> Iterator[Tensor]:
        """Yield the parameters of every network and of every average."""
        for learner in self.learners:
            yield from learner.module.parameters()
            if learner.average is not None:
                yield from learner.average.module.parameters()

    def set_lr(self, lr: float) -> None:
        """Set the learning rate of the next update."""
        for learner in self.learners:
            learner.engine.set_lr(lr)

    def learn(
        self, batch: Batch, seeds: Sequence[int], *, check: bool, keep: bool, show: bool = False
    ) -> Tensor:
        """Take one micro-batch through every network and back; return the mean of their losses.

        ``check`` reads the batch's values, which waits for the device. ``keep`` lets the tricks'
        state see it: not in the second pass of an optimiser that has two. ``show`` keeps the batch
        as ``shown``.
        """
        batches = [self._tricked(learner, batch, seeds) for learner in self.learners]
        self.shown = batches[0] if show else self.shown
        if check:
            for one in batches:
                check_batch_values(f"stage {self._stage.name!r}", one, self._rows)
        pairs = zip(self.learners, batches, strict=True)
        answers = [self._answer(learner, one) for learner, one in pairs]
        logits = [logits_of(answer) for answer in answers]
        whole, values = in_parts(self._loss, seeds), []
        for learner, one in zip(self.learners, batches, strict=True):
            number = learner.number
            peers = [other.detach().float() for k, other in enumerate(logits) if k != number]
            others, given = others_of(answers[number]), one
            if peers or others:
                stacked = torch.stack(peers) if peers else None
                given = replace(one, peer_logits=stacked, outputs=others)
            value = weighted_mean(whole, logits[number], given, self._recipe.loss_who)
            self._update(learner, value)
            if keep:
                learner.state.collect(with_logits(logits[number], others), given)
            values.append(value.detach())
        return values[0] if len(values) == 1 else torch.stack(values).mean()

    def _answer(self, learner: Learner, batch: Batch) -> Tensor | Mapping[str, Tensor]:
        """Return what a network says of a batch."""
        with calling(self._recipe.network_who, hook="forward", draws=None):
            return learner.engine(batch.images)

    def _update(self, learner: Learner, loss: Tensor) -> None:
        """Take a loss back through network and losses, and the step of the optimiser."""
        recipe = self._recipe
        made = f"{recipe.loss_who}; {recipe.network_who}" if recipe.loss else recipe.network_who
        with calling(made, hook="backward", draws=None):
            learner.engine.backward(loss)
        with calling(recipe.who(self._stage.optimizer), hook="optimizer", draws=None):
            learner.engine.step()

    def end_step(self, progress: float) -> None:
        """Let states and averages take what the step has found.

        Raises PluginError if a plugin's code left a change that the whole process shares.
        """
        for learner in self.learners:
            learner.state.commit()
            if learner.average is not None:
                learner.average.update(learner.module, progress)
        self._watch.check()

    def _tricked(self, learner: Learner, batch: Batch, seeds: Sequence[int]) -> Batch:
        """Return the batch as this network gets it: after the batch tricks, part by part."""
        if learner.chosen is not None and len(self.learners) > 1:
            batch = with_columns(batch, learner.chosen)
        if not (self._recipe.batch or self._recipe.loss):
            return self._taught(batch)
        networks = Answers(self.learners, learner.number, self._stage)
        batch = replace(batch, network=learner.number, networks=networks)
        if self._recipe.batch:
            parts = split_batch(learner.state.read(batch), seeds)
            batch = join_batches([apply(self._recipe.batch, part) for part in parts])
        # Read again: a batch trick may have changed which samples are in the batch.
        return self._taught(learner.state.read(batch))

    def _taught(self, batch: Batch) -> Batch:
        """Return the batch with the logits of the stage's teachers."""
        if not self._teachers:
            return batch
        named = ", ".join(repr(teacher.name) for teacher in self._stage.teachers)
        who = f"the teachers {named} of stage {self._stage.name!r}"
        with calling(who, hook="forward", draws=None):
            return with_teacher_logits(batch, self._teachers)

    def average_buffers(self, ranks: Ranks) -> None:
        """Average batch norm's statistics over the ranks."""
        for learner in self.learners:
            ranks.average_buffers(learner.module)
            if learner.average is not None:
                ranks.average_buffers(learner.average.module)

    def state(self) -> list[dict[str, Any]]:
        """Return everything that the next step depends on, for each network."""
        return [
            {
                "engine": learner.engine.state(),
                "state": learner.state.state(),
                "average": learner.average.state() if learner.average is not None else None,
                "chosen": _columns(learner.chosen),
            }
            for learner in self.learners
        ]

    def load_state(self, state: Sequence[dict[str, Any]], samples: Samples) -> None:
        """Resume from a value that ``state`` returned."""
        for learner, saved in zip(self.learners, state, strict=True):
            learner.engine.load_state(saved["engine"])
            learner.state.load_state(saved["state"])
            if learner.average is not None:
                learner.average.load_state(saved["average"])
            if saved["chosen"] is not None:
                columns = {name: tensor.cpu().numpy() for name, tensor in saved["chosen"].items()}
                learner.chosen = with_changed_columns(samples, columns)

    def train_mode(self) -> None:
        """Go on training after a pass in evaluation mode."""
        for learner in self.learners:
            train_mode(learner.module)


def _columns(chosen: Samples | None) -> dict[str, Tensor] | None:
    if chosen is None:
        return None
    columns = changed_columns(chosen)
    columns.pop("target_names", None)  # epoch tricks cannot change the vocabulary
    return {name: torch.from_numpy(np.array(column)) for name, column in columns.items()}


def weighted_mean(loss: Loss, logits: Tensor, batch: Batch, who: str = "the loss") -> Tensor:
    """Return the batch's loss, divided by its size: a weight of 0.5 halves a gradient.

    **Source:** Malong deck, "Methodology: Train with Curriculum Learning": each sample's gradient
    is multiplied by r_t. Raises PluginError that names ``who`` made the loss if it is not one value
    for each weight: another shape would be broadcast to a wrong mean.
    """
    with calling(who, hook="loss_tricks", draws=None):
        values = loss(logits.float(), batch)
    check_loss_values(who, values, len(batch.weights))
    return (values * batch.weights).mean()
