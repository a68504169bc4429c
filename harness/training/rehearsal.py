"""A trial of a stage's first step on random images, with a network that is then discarded."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from harness.assembly.calling import calling
from harness.assembly.contract import (
    check_batch_values,
    check_factor,
    check_logits,
    check_loss_values,
)
from harness.assembly.recipe import StageRecipe
from harness.errors import PluginError
from harness.training.batches import cross_entropy
from harness.training.memory import saved_for_backward
from harness.training.optimizer import sgd
from harness.values import Batch, Loss

PICTURES = 4
PROGRESS = 100  # points of a stage at which its schedule is evaluated


def rehearse(
    recipe: StageRecipe, module: nn.Module, builder: str, outputs: int, *, seen: bool
) -> int:
    """Try a stage's schedule, batch tricks, network, optimiser and loss on random images.

    ``builder`` is the plugin that built ``module``, whose weights and statistics are changed;
    ``seen`` says whether a later stage looks at this one. Torch's random state is left as it was.
    Returns the bytes that backward keeps for each picture. Raises PluginError for what cannot
    train, naming plugin, trick and stage.
    """
    stage = recipe.stage
    named = "; ".join([f"plugin {builder!r}: build_model", *(given.who for given in recipe.model)])
    named = f"{named} in stage {stage.name!r}" if not recipe.model else named
    for place in range(PROGRESS):
        check_factor(recipe.who(stage.schedule), stage.schedule.factor(place / PROGRESS))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        device = next((p.device for p in module.parameters()), torch.device("cpu"))
        batch = apply_batch_tricks(recipe, drawn_batch(recipe, outputs, device))
        _check_optimizer(recipe, module, named)
        with saved_for_backward(module) as saved:
            logits = _answer(module.train(), batch.images, named)
        activations = sum(saved.values()) // len(batch.images)
        check_logits(named, logits, tuple(batch.targets.shape))
        loss_values(recipe, logits, batch).mean().backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            logits = _answer(module.eval(), batch.images, named)
            check_logits(named, logits, tuple(batch.targets.shape))
            if seen:
                _check_features(module, batch, named)
        if stage.head == "new":
            _check_head(module, named)
    return activations


def drawn_batch(recipe: StageRecipe, outputs: int, device: torch.device | str = "cpu") -> Batch:
    """Return a random batch in the form that a stage's tricks get, with normalised images."""
    size, teachers = recipe.stage.input_size, len(recipe.stage.teachers)
    random = torch.Generator().manual_seed(0)
    index = torch.arange(PICTURES)
    logits = torch.rand(teachers, PICTURES, outputs, generator=random)
    return Batch(
        images=torch.randn(PICTURES, 3, size, size, generator=random).to(device),
        targets=torch.eye(outputs)[index % outputs].to(device),
        weights=torch.ones(PICTURES, device=device),
        index=index.to(device),
        seed=0,
        teacher_logits=logits.to(device) if teachers else None,
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
    try:
        sgd(module, stage)
    except (ValueError, TypeError) as error:
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
    maps = module.forward_features(batch.images)  # type: ignore[operator]
    pooled = module.forward_head(maps, pre_logits=True)  # type: ignore[operator]
    if not isinstance(pooled, Tensor) or len(pooled) != len(batch.images) or pooled.ndim < 2:
        raise PluginError(
            f"{named}: forward_head(..., pre_logits=True) must return one row for each picture"
        )
    check_logits(named, module.forward_head(maps), tuple(batch.targets.shape))  # type: ignore[operator]


def _check_head(module: nn.Module, named: str) -> None:
    """Refuse a network whose head cannot be identified."""
    ask: Any = getattr(module, "get_classifier", None)
    head = ask() if callable(ask) else None
    if head is None or not any(part is head for part in module.modules()):
        raise PluginError(
            f"{named}: head='new' needs a network whose get_classifier() returns one of its parts"
        )
