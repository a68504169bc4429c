"""What cannot train is refused before anything is trained, and the trial leaves no trace."""

# ruff: noqa: NPY002 - what plugins must not touch is numpy's global state

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from harness.assembly.recipe import StageRecipe
from harness.errors import PluginError
from harness.planning.step_timer import blank_samples
from harness.training.engines import make_engine
from harness.training.job import Job
from harness.training.loop import train
from harness.training.ranks import Ranks
from harness.training.rehearsal import rehearse
from harness.values import Batch

MakeJob = Callable[..., Job]
SAMPLES = blank_samples(8, 6)


class Net(nn.Module):
    """A network that a later stage can see and start from."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), nn.Dropout(0.5))
        self.head = nn.Linear(4, 6)

    def forward_features(self, images: Tensor) -> Tensor:
        return self.body(images)

    def forward_head(self, maps: Tensor, pre_logits: bool = False) -> Tensor:
        pooled = maps.mean(dim=(2, 3))
        return pooled if pre_logits else self.head(pooled)

    def get_classifier(self) -> nn.Module:
        return self.head

    def forward(self, images: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(images))


@pytest.fixture
def recipe(make_job: MakeJob) -> Callable[..., StageRecipe]:
    def make(**given: Any) -> StageRecipe:
        return make_job(**given).recipe

    return make


def test_a_sound_stage_passes_and_leaves_no_trace(recipe: Callable[..., StageRecipe]) -> None:
    asked, network = recipe(head="new"), Net()
    state = torch.get_rng_state(), np.random.get_state()[1].tolist()
    rehearse(asked, network, "mine", SAMPLES, seen=True)
    assert torch.equal(torch.get_rng_state(), state[0])
    assert np.random.get_state()[1].tolist() == state[1]


@dataclass(frozen=True)
class LateCopies:
    """From the middle of the stage on, gives every picture twice, and then ``bad`` weights."""

    bad: bool = False

    def __call__(self, batch: Batch) -> Batch:
        if batch.progress < 0.5:
            return batch
        assert batch.epoch >= 1
        twice = {n: torch.cat([getattr(batch, n)] * 2) for n in ("images", "targets", "weights")}
        rows = {n: getattr(batch, n).repeat(2) for n in ("index", "subset", "source")}
        if self.bad:
            twice["weights"] = twice["weights"] - 2
        return replace(batch, **twice, **rows)


def test_a_trick_that_begins_late_is_tried_and_its_memory_counted(
    recipe: Callable[..., StageRecipe],
) -> None:
    alone = rehearse(recipe(), Net(), "mine", SAMPLES, seen=False)
    copies = recipe(tricks={"batch": (LateCopies(),)})
    counted = rehearse(copies, Net(), "mine", SAMPLES, seen=False)
    # The statistics of batch norm, one for each channel, are as large for any batch.
    assert counted == pytest.approx(2 * alone, rel=0.01)
    bad = recipe(tricks={"batch": (LateCopies(bad=True),)})
    with pytest.raises(PluginError, match=r"LateCopies.*weights of a batch must not be negative"):
        rehearse(bad, Net(), "mine", SAMPLES, seen=False)


class Both(Net):
    """Returns two things while it trains, as some networks with a second head do."""

    def forward(self, images: Tensor) -> Any:
        logits = super().forward(images)
        return (logits, logits) if self.training else logits


class Frozen(Net):
    """Nothing is left to train."""

    def __init__(self) -> None:
        super().__init__()
        self.requires_grad_(False)


class Restless(Net):
    """Draws from numpy's global state."""

    def forward(self, images: Tensor) -> Any:
        return super().forward(images) + float(np.random.rand())


class Headless(Net):
    """Its classifier is no part of it."""

    def get_classifier(self) -> nn.Module:
        return nn.Identity()


class Plain(nn.Sequential):
    """No more than a network must be."""

    def __init__(self) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 6))


@pytest.mark.parametrize(
    ("network", "stage", "seen", "words"),
    [
        (Both, {}, False, r"one tensor, or a mapping with 'logits', not \("),
        (lambda: nn.Sequential(Net(), nn.Linear(6, 9)), {}, False, r"logits are .* \(4, 9\), not"),
        (lambda: nn.Sequential(Net(), nn.Flatten(0)), {}, False, r"logits are .* \(24,\)"),
        (Frozen, {}, False, "the network has no parameter to train"),
        (Restless, {}, False, "draws from numpy's global random state"),
        (Plain, {}, True, "the network has no forward_features, but a later stage sees this one"),
        (Plain, {"head": "new"}, False, "head='new' needs a network whose get_classifier"),
        (Headless, {"head": "new"}, False, "head='new' needs a network whose get_classifier"),
    ],
)
def test_a_network_that_cannot_train_is_refused(
    network: Any, stage: Any, seen: bool, words: str, recipe: Callable[..., StageRecipe]
) -> None:
    with pytest.raises(PluginError, match=f"plugin 'mine': build_model in stage 'train'.*{words}"):
        rehearse(recipe(**stage), network(), "mine", SAMPLES, seen=seen)


@dataclass(frozen=True)
class Wrap:
    """A loss trick that does something to the loss's values."""

    what: Callable[..., Any]

    def __call__(self, loss: Any) -> Any:
        return lambda logits, batch: self.what(loss(logits, batch), logits, batch)


def cleared(values: Tensor, logits: Tensor, batch: Batch) -> Tensor:
    batch.targets.zero_()
    return values


LOSSES = [
    (lambda values, *_: values[:, None], r"the loss of 4 samples is \(4, 1\), not \(4,\)"),
    (lambda values, *_: values.mean(), r"the loss of 4 samples is \(\), not \(4,\)"),
    (lambda values, logits, _: logits, r"the loss of 4 samples is \(4, 6\), not \(4,\)"),
    (lambda *_: None, "the loss must be a tensor, not None"),
    (lambda values, *_: 1.0, "the loss must be a tensor, not 1.0"),
    (lambda values, *_: values.double(), "the loss must be torch.float32, not torch.float64"),
    (lambda values, *_: values.long(), "the loss must be torch.float32, not torch.int64"),
    (lambda values, *_: values.detach(), "no gradient flows through the loss"),
    (lambda values, *_: values * float("nan"), "is not finite"),
    (lambda values, *_: values + torch.rand(4), "draws from torch's global random state"),
    (cleared, "the loss changes the targets that it is given in place"),
    (
        lambda values, *_: torch.ones(4, requires_grad=True) * 2,
        "the loss does not depend on the logits",
    ),
]


@pytest.mark.parametrize(("what", "words"), LOSSES)
def test_a_loss_that_teaches_nothing_is_refused(
    what: Any, words: str, recipe: Callable[..., StageRecipe]
) -> None:
    asked = recipe(tricks={"loss": (Wrap(what),)})
    with pytest.raises(PluginError, match=f"plugin 'mine': Wrap in stage 'train'.*{words}"):
        rehearse(asked, Net(), "mine", SAMPLES, seen=False)


@dataclass(frozen=True)
class Put:
    """A batch trick that puts something else into a batch."""

    name: str
    what: Callable[[Tensor], Tensor]

    def __call__(self, batch: Batch) -> Batch:
        return replace(batch, **{self.name: self.what(getattr(batch, self.name))})


BATCHES = [
    (Put("weights", lambda w: w * float("nan")), "weights of a batch are not all finite"),
    (Put("targets", lambda t: t / 0), "targets of a batch are not all finite"),
    (Put("weights", lambda w: w - 2), "weights of a batch must not be negative"),
    (Put("weights", lambda w: w[:, None]), r"weights .* are \(\d+, 1\)"),
    (Put("images", lambda images: images[1:]), "of a batch of"),
    (Put("index", lambda index: index - 1), "index of a batch names rows that"),
    (Put("weights", lambda w: torch.rand(len(w))), "draws from torch's global random state"),
]


@pytest.mark.parametrize(("trick", "words"), BATCHES)
def test_a_batch_that_teaches_nothing_is_refused(
    trick: Put, words: str, recipe: Callable[..., StageRecipe]
) -> None:
    asked = recipe(tricks={"batch": (trick,)})
    with pytest.raises(PluginError, match=f"plugin 'mine': Put in stage 'train'.*{words}"):
        rehearse(asked, Net(), "mine", SAMPLES, seen=False)


@dataclass(frozen=True)
class Factors:
    """A schedule of one factor."""

    value: Any

    def factor(self, progress: float) -> Any:
        return self.value if progress > 0.5 else 1.0


@pytest.mark.parametrize("value", [float("nan"), -0.1, None, float("inf")])
def test_a_schedule_gives_finite_factors(
    value: Any, recipe: Callable[..., StageRecipe], make_job: MakeJob
) -> None:
    words = "Factors in stage 'train' must give a finite factor from 0 up"
    with pytest.raises(PluginError, match=words):
        rehearse(recipe(schedule=Factors(value)), Net(), "mine", SAMPLES, seen=False)
    with pytest.raises(PluginError, match=words):
        make_job(schedule=Factors(value)).lr(6)


# Real pictures: what shows only there is refused in the first step.


@dataclass(frozen=True)
class Drawn:
    """A sampler that gives the rows that it was told."""

    rows: Any

    def prepare(self, samples: Any, batch_size: int, seed: int) -> Any:
        return lambda step: self.rows


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"sampler": Drawn(np.arange(31))}, "Drawn in stage 'train' must draw an array of 32 rows"),
        ({"sampler": Drawn(np.arange(32) + 90)}, "Drawn in stage 'train' draws rows from 90 to"),
        ({"tricks": {"loss": (Wrap(lambda v, *_: v[:, None]),)}}, "Wrap in stage 'train'.*, 1"),
        ({"tricks": {"batch": (Put("weights", lambda w: w / 0),)}}, "weights of a batch are not"),
        ({"tricks": {"batch": (Put("weights", lambda w: w[:, None]),)}}, "Put in stage 'train'"),
    ],
)
def test_nothing_is_trained_on_what_the_first_batch_shows(
    given: Any, words: str, make_job: MakeJob, ranks: Ranks, watcher: Any
) -> None:
    job = make_job(**given)
    engine = make_engine("torch", Net(), job.recipe.stage, ranks, {})
    before = {name: value.clone() for name, value in engine.module.state_dict().items()}
    seen = watcher()
    with pytest.raises(PluginError, match=words):
        train(job, [engine], ranks, seen)
    assert seen.steps == []
    after = dict(engine.module.named_parameters())
    assert all(torch.equal(before[name], value) for name, value in after.items())
    assert not Path(job.folder).exists()


# Code of plugins that fails only while a stage is trained: one line with plugin, stage and place.


class Fails(nn.Module):
    """Passes on what it gets, until it has done so ``times`` times in training mode."""

    def __init__(self, times: int, *, backward: bool = False) -> None:
        super().__init__()
        self.times, self.backward = times, backward

    def forward(self, value: Tensor) -> Tensor:
        self.times -= self.training
        if self.times >= 0:
            return value
        if self.backward:
            return _Broken.apply(value)
        raise KeyError("lost")


class _Broken(torch.autograd.Function):
    """The identity, whose gradient cannot be computed."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        raise KeyError("lost")


class FailingNet(Net):
    """A network of a plugin that fails after some steps."""

    def __init__(self, fails: nn.Module) -> None:
        super().__init__()
        self.fails = fails

    def forward(self, images: Tensor) -> Tensor:
        return self.fails(super().forward(images))


class FailingSgd(torch.optim.SGD):
    """An optimiser that cannot take a step."""

    def step(self, closure: Any = None) -> None:
        raise KeyError("lost")


@dataclass(frozen=True)
class FailingOptimizer:
    """Builds ``FailingSgd``."""

    weight_decay: float = 0.0
    passes: int = 1

    def build(self, groups: Any, lr: float) -> torch.optim.Optimizer:
        return FailingSgd([dict(group) for group in groups], lr=lr)


@dataclass(frozen=True)
class Shares:
    """An average that fails, or gives another share than it may, after some updates."""

    late: float | None = None

    def share(self, updates: int, progress: float) -> float:
        if progress < 0.5:
            return 0.5
        if self.late is None:
            raise KeyError("lost")
        return self.late


@dataclass(frozen=True)
class FailingFactors:
    """A schedule that fails in the middle."""

    def factor(self, progress: float) -> float:
        if progress > 0.5:
            raise KeyError("lost")
        return 1.0


NET = "the network 'resnet50' of stage 'train'"
LOST = r": KeyError: 'lost' \(test_rehearsal.py, line \d+: raise KeyError\(\"lost\"\)\)"


@pytest.mark.parametrize(
    ("given", "fails", "words"),
    [
        ({}, Fails(2), rf"{NET} \(forward\){LOST}"),
        ({}, Fails(2, backward=True), rf"{NET} \(backward\){LOST}"),
        (
            {"schedule": FailingFactors()},
            None,
            rf"FailingFactors in .* \(schedule\){LOST}",
        ),
        ({"average": Shares()}, None, rf"Shares in stage 'train' \(average\){LOST}"),
        ({"average": Shares(1.5)}, None, "Shares in stage 'train' must give a share from 0 to 1, "),
        ({"optimizer": FailingOptimizer()}, None, rf"FailingOptimizer in .* \(optimizer\){LOST}"),
    ],
)
def test_what_fails_in_the_middle_of_a_stage_is_named(
    given: Any, fails: nn.Module | None, words: str, make_job: MakeJob, ranks: Ranks, watcher: Any
) -> None:
    job = make_job(**given)
    module = FailingNet(fails) if fails else Net()
    engine = make_engine("torch", module, job.recipe.stage, ranks, {})
    with pytest.raises(PluginError, match=words):
        train(job, [engine], ranks, watcher())


@pytest.mark.parametrize(
    ("share", "words"),
    [(None, r"Shares in stage 'train' \(average\): KeyError"), (-0.1, "a share from 0 to 1")],
)
def test_an_average_is_tried_before_a_stage_is_trained(
    share: float | None, words: str, recipe: Callable[..., StageRecipe]
) -> None:
    with pytest.raises(PluginError, match=words):
        rehearse(recipe(average=Shares(share)), Net(), "mine", SAMPLES, seen=False)


@pytest.mark.parametrize("part", ["forward_features", "get_classifier"])
def test_parts_of_a_network_that_fail_are_named(
    part: str, recipe: Callable[..., StageRecipe]
) -> None:
    def lost(*_: Any) -> None:
        raise KeyError("lost")

    module = Net()
    module.forward = nn.Sequential(module.body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), module.head)
    setattr(module, part, lost)
    with pytest.raises(PluginError, match=rf"plugin 'mine': build_model in stage 'train'{LOST}"):
        rehearse(recipe(head="new"), module, "mine", SAMPLES, seen=True)
