"""A trial of a stage's first step on random images, with a network that is then discarded."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.assembly.calling import calling
from harness.assembly.contract import (
    check_batch_values,
    check_factor,
    check_logits,
    check_loss_values,
    check_share,
)
from harness.assembly.recipe import StageRecipe
from harness.errors import HarnessError, PluginError
from harness.samplers import draw_seed
from harness.samples import Samples
from harness.training.averaging import check_averaged
from harness.training.batches import cross_entropy, seed_draws
from harness.training.memory import saved_for_backward
from harness.training.optimizer import build_optimizer, freeze
from harness.training.outputs import LOGITS, logits_of, others_of, with_logits
from harness.training.ranks import Ranks
from harness.training.state import StageState
from harness.values import Batch, Loss, Networks, Picture, Stage

PICTURES = 4
PROGRESS = 100  # points of a stage at which its schedule is evaluated
LATE = 0.99  # the share of a stage by which all its tricks have begun


def rehearse(
    recipe: StageRecipe, module: nn.Module, builder: str, samples: Samples, *, seen: bool
) -> int:
    """Try a stage's schedule, average, tricks, network, optimiser and loss on random images.

    ``builder`` is the plugin that built ``module``, whose weights and statistics are changed;
    ``seen`` says whether a later stage, or an epoch trick, looks at this one. Torch's random state
    is left as it was. Returns the bytes that backward keeps for each picture. Raises PluginError
    for what cannot train, naming plugin, trick and stage.
    """
    stage = recipe.stage
    named = "; ".join([f"plugin {builder!r}: build_model", *(given.who for given in recipe.model)])
    named = f"{named} in stage {stage.name!r}" if not recipe.model else named
    for place in range(PROGRESS):
        with calling(recipe.who(stage.schedule), hook="schedule", draws=None):
            factor = stage.schedule.factor(place / PROGRESS)
        check_factor(recipe.who(stage.schedule), factor)
        if stage.average is not None:
            with calling(recipe.who(stage.average), hook="average", draws=None):
                share = stage.average.share(place, place / PROGRESS)
            check_share(recipe.who(stage.average), share)
    _check_pictures(recipe)
    with torch.random.fork_rng():
        seed_draws(0)
        trial = Trial.of(recipe, module, samples)
        _check_optimizer(recipe, module, named)
        # Tricks may begin with a part of the stage.
        dates = (0.0, LATE) if recipe.batch or recipe.loss else (0.0,)
        activations = max(_try_step(trial, module, named, date) for date in dates)
        batch = apply_batch_tricks(recipe, trial.batch())
        with torch.no_grad():
            answer = _answer(module.eval(), batch.images, named)
            check_logits(named, answer, tuple(batch.targets.shape))
            if seen or recipe.epoch:
                _check_features(module, batch, named)
        if stage.head == "new":
            _check_head(module, named)
    return activations


def _try_step(trial: Trial, module: nn.Module, named: str, progress: float) -> int:
    """Take one step without the optimiser; return the bytes kept for each picture drawn."""
    recipe = trial.recipe
    batch = trial.state.read(apply_batch_tricks(recipe, trial.batch(progress)))
    with saved_for_backward(module) as saved:
        answer = _answer(module.train(), batch.images, named)
    check_logits(named, answer, tuple(batch.targets.shape))
    logits, others = logits_of(answer), others_of(answer)
    batch = replace(batch, outputs=others)
    mean = loss_values(recipe, logits, batch).mean()
    with calling(f"{recipe.loss_who}; {named}" if recipe.loss else named, hook="backward"):
        mean.backward()  # type: ignore[no-untyped-call]
    trial.state.collect(with_logits(logits, others), batch)
    trial.state.commit()
    return sum(saved.values()) // PICTURES


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A stage with a network that is tried: what its tricks keep, and batches as they get them."""

    recipe: StageRecipe
    outputs: int
    device: torch.device
    state: StageState
    networks: Networks

    @classmethod
    def of(cls, recipe: StageRecipe, module: nn.Module, samples: Samples) -> Trial:
        """Return the trial on the network's device."""
        device = next((p.device for p in module.parameters()), torch.device("cpu"))
        alone = Ranks(rank=0, world_size=1, device=device)
        tricks = (*recipe.batch, *recipe.loss)
        return cls(
            recipe=recipe,
            outputs=samples.num_classes,
            device=device,
            state=StageState(tricks, recipe.stage, samples, alone),
            networks=_Tried(module, recipe.stage),
        )

    def batch(self, progress: float = 0.0) -> Batch:
        """Return a random batch in the form that the stage's tricks get at this share of it."""
        batch = drawn_batch(self.recipe, self.outputs, self.device)
        epoch = int(progress * self.recipe.stage.epochs)
        dated = replace(batch, progress=progress, epoch=epoch, networks=self.networks)
        return self.state.read(dated)


class _Tried:
    """One network that answers as all networks of a stage, and as their average."""

    def __init__(self, module: nn.Module, stage: Stage) -> None:
        self._module, self._stage = module, stage

    def logits(self, images: Tensor) -> Tensor:
        return torch.stack([self.outputs(images)[LOGITS]] * self._stage.networks)

    def averaged(
        self,
        images: Tensor,
        peer: int = 0,
        *,
        batch_statistics: bool = False,  # noqa: ARG002
    ) -> dict[str, Tensor]:
        check_averaged(self._stage, peer)
        return self.outputs(images)

    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        training = self._module.training
        with torch.no_grad():
            answer = self._module.eval()(images)
        self._module.train(training)
        return with_logits(logits_of(answer), others_of(answer))


def drawn_batch(recipe: StageRecipe, outputs: int, device: torch.device | str = "cpu") -> Batch:
    """Return a random batch in the form that a stage's tricks get, with normalised images."""
    stage = recipe.stage
    random = torch.Generator().manual_seed(0)
    index = torch.arange(PICTURES)
    logits = torch.rand(len(stage.teachers), PICTURES, outputs, generator=random)

    def pictures(count: int) -> Tensor:
        shape = (count, 3, stage.input_size, stage.input_size)
        return torch.randn(*shape, generator=random).to(device)

    def plain(count: int) -> Batch:
        rows = torch.arange(count)
        return Batch(
            images=pictures(count),
            targets=torch.eye(outputs)[rows % outputs].to(device),
            weights=torch.ones(count, device=device),
            index=(rows % PICTURES).to(device),
            seed=0,
        )

    peers = torch.rand(stage.networks - 1, PICTURES, outputs, generator=random)
    return replace(
        plain(PICTURES),
        index=index.to(device),
        views=tuple(pictures(PICTURES) for _ in range(stage.views - 1)),
        clean=plain(min(stage.clean, PICTURES)) if stage.clean else None,
        teacher_logits=logits.to(device) if stage.teachers else None,
        peer_logits=peers.to(device) if stage.networks > 1 else None,
    )


def apply_batch_tricks(recipe: StageRecipe, batch: Batch) -> Batch:
    """Return the batch after a stage's batch tricks, checked after each."""
    for given in recipe.batch:
        with calling(given.who):
            batch = given(batch)
        check_batch_values(given.who, batch)
    return batch


def loss_values(recipe: StageRecipe, logits: Tensor, batch: Batch) -> Tensor:
    """Return the stage's loss of every sample, checked after each of its loss tricks."""
    loss: Loss = cross_entropy
    kept, before = logits.detach().clone(), _copies(batch)
    if batch.peer_logits is not None and batch.peer_logits.shape[1:] != logits.shape:
        batch = replace(batch, peer_logits=logits.detach().expand(len(batch.peer_logits), -1, -1))
    values = loss(logits, batch)
    for given in recipe.loss:
        loss = given(loss)
        with calling(given.who):
            values = loss(logits, batch)
        check_loss_values(given.who, values, len(batch.weights))
        if not values.isfinite().all():
            raise PluginError(f"{given.who}: the loss of drawn pictures is not finite")
        changed = [name for name, was in before.items() if not _equal(was, getattr(batch, name))]
        if changed or not torch.equal(logits, kept):
            what = changed[0] if changed else "logits"
            raise PluginError(f"{given.who}: the loss changes the {what} that it is given in place")
        if (
            torch.autograd.grad(values.sum(), logits, retain_graph=True, allow_unused=True)[0]
            is None
        ):
            raise PluginError(f"{given.who}: the loss does not depend on the logits")
    return values


def _check_pictures(recipe: StageRecipe) -> None:
    """Try the picture tricks on random pixels; raises PluginError for what they return wrong."""
    size = recipe.stage.input_size
    pixels = np.random.default_rng(0).integers(256, size=(size, size, 3), dtype=np.uint8)
    for given in recipe.picture:
        for view in range(recipe.stage.views):
            seed = draw_seed(view)
            found, again = (given(Picture(pixels.copy(), seed, view)).pixels for _ in range(2))
            if not np.array_equal(found, again):
                raise PluginError(f"{given.who} differs each time; draw only from picture.seed")


def _copies(batch: Batch) -> dict[str, Tensor]:
    names = ("images", "targets", "weights", "index")
    return {name: getattr(batch, name).clone() for name in names}


def _equal(before: Tensor, after: Tensor) -> bool:
    return before.shape == after.shape and torch.equal(before, after)


def _answer(module: nn.Module, images: Tensor, named: str) -> Any:
    with calling(named, draws=("torch",)):  # dropout draws
        return module(images)


def _check_optimizer(recipe: StageRecipe, module: nn.Module, named: str) -> None:
    stage = recipe.stage
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise PluginError(f"{named}: the network has no parameter to train")
    trained = {parameter: parameter.requires_grad for parameter in module.parameters()}
    with calling(named):
        if stage.average is not None:
            copy.deepcopy(module)  # which the average will be of
        freeze(module, stage)
    for parameter, was in trained.items():
        parameter.requires_grad = was
    try:
        build_optimizer(module, stage)
    except HarnessError as error:
        raise PluginError(f"{recipe.who(stage.optimizer)}: {error}") from error
    except Exception as error:  # of a plugin's optimiser
        raise PluginError(
            f"{recipe.who(stage.optimizer)}: the optimiser cannot be built: {error}"
        ) from error


def _check_features(module: nn.Module, batch: Batch, named: str) -> None:
    """Refuse a network whose features a later stage cannot use."""
    for method in ("forward_features", "forward_head"):
        if not callable(getattr(module, method, None)):
            raise PluginError(
                f"{named}: the network has no {method}, but a later stage sees this one"
            )
    with calling(named):
        maps = module.forward_features(batch.images)  # type: ignore[operator]
        pooled = module.forward_head(maps, pre_logits=True)  # type: ignore[operator]
        logits = module.forward_head(maps)  # type: ignore[operator]
    if not isinstance(pooled, Tensor) or len(pooled) != len(batch.images) or pooled.ndim < 2:
        raise PluginError(
            f"{named}: forward_head(..., pre_logits=True) must return one row for each picture"
        )
    check_logits(named, logits, tuple(batch.targets.shape))


def _check_head(module: nn.Module, named: str) -> None:
    """Refuse a network whose head cannot be identified."""
    ask: Any = getattr(module, "get_classifier", None)
    with calling(named):
        head = ask() if callable(ask) else None
    if head is None or not any(part is head for part in module.modules()):
        raise PluginError(
            f"{named}: head='new' needs a network whose get_classifier() returns one of its parts"
        )
