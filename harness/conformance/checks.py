"""The contract that every plugin must keep, one function for each part of it."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from types import ModuleType
from typing import Any, Literal, get_args, get_origin

import numpy as np
import torch
from torch.nn import Module

from harness.assembly.calling import calling
from harness.assembly.contract import check_rows, samples_digest
from harness.assembly.hooks import Hooks
from harness.assembly.recipe import Recipe, StageRecipe, plain_view
from harness.conformance.case import Case
from harness.conformance.fakes import (
    copy_batch,
    same_tensors,
    seeing,
    tensors_of,
    twice,
)
from harness.data.pictures.decode import decode
from harness.data.pictures.inventory import store_of
from harness.data.pictures.limits import BrokenImageError
from harness.errors import DataError, HarnessError, NoLabelsError
from harness.hookspecs import HOOKS
from harness.knobs import UNSTATED, KnobInfo, knobs_of, parse_value
from harness.samplers import Rows
from harness.samples import Samples
from harness.spec import RunSpec
from harness.training.batches import seed_draws
from harness.training.outputs import others_of
from harness.training.rehearsal import LATE, Trial, apply_batch_tricks, loss_values, rehearse
from harness.values import Trick, apply

STEPS = range(3)  # for which a sampler draws


def check_summary(case: Case) -> Iterator[str]:
    """The plugin has a docstring and at least one hook."""
    owner = case.loaded if isinstance(case.loaded, (type, ModuleType)) else type(case.loaded)
    words = inspect.cleandoc(vars(owner).get("__doc__") or "")
    if not words or words.startswith(f"{owner.__name__}("):  # as dataclasses write it
        yield "has no docstring; its first line is what `harness plugins show` prints"
    if not any(hasattr(case.plugin, hook) for hook in HOOKS):
        yield "answers no hook"


def check_knobs(case: Case) -> Iterator[str]:
    """Every knob's default is of its type, and a method's says where it comes from."""
    if not isinstance(case.loaded, type):
        return
    if case.is_method and not _is_frozen(case.plugin):
        yield "is not a frozen dataclass, so it cannot be a row of a published table"
    for knob in knobs_of(case.loaded).values():
        if case.is_method and knob.source in ("", UNSTATED):
            yield f"knob {knob.name} has no source; write published(...) or assumed(...)"
        yield from _parses_back(knob)


def check_samples(case: Case) -> Iterator[str]:
    """A data set's splits share their classes and can be told from others; pictures exist."""
    if not hasattr(case.plugin, "load_samples"):
        return
    hooks = case.hooks()
    train = hooks.load_samples(case.spec, "train")
    if not (train.fingerprint and train.edition):
        yield "load_samples gives no fingerprint or no edition"
    if train.fingerprint != hooks.load_samples(case.spec, "train").fingerprint:
        yield "load_samples gives a different fingerprint each time"
    for split in ("train", "val", "test"):
        try:
            samples = hooks.load_samples(case.spec, split)
        except NoLabelsError:
            continue
        if not len(samples) or samples.split != split or samples.classes != train.classes:
            yield f"load_samples gives for {split} no samples, another split or different classes"
        else:
            yield from _unreadable(samples)


def _unreadable(samples: Samples) -> Iterator[str]:
    """Say if the first picture of a split cannot be read or decoded."""
    try:
        decode(store_of(samples).read(0))
    except (OSError, BrokenImageError) as error:
        name, reason = samples.files[0], str(error) or type(error).__name__
        yield f"the first picture of {samples.split}, {name}, cannot be read: {reason}"


def check_plan(case: Case) -> Iterator[str]:
    """The plan resolves, shrunk and in full, for every choice of a knob; twice the same."""
    recipe = case.recipe()
    full, again = (case.recipe(full_size=True) for _ in range(2))
    if [stage.key for stage in full.stages] != [stage.key for stage in again.stages]:
        yield "its plan or a trick differs when it is asked again"
    for trick in _tricks(recipe):
        if not _is_frozen(trick):
            yield f"{type(trick).__name__} is not a frozen dataclass"
    for knob, choice in _choices(case):
        try:
            case.recipe(dataclasses.replace(case.plugin, **{knob: choice}))  # type: ignore[type-var]
        except HarnessError as error:
            yield f"with {knob}={choice}: {error}"


def check_noise_tricks(case: Case) -> Iterator[str]:
    """A noise trick gives valid samples, always the same, and leaves those given to it alone."""
    train = case.hooks().load_samples(case.spec, "train")
    for stage in case.recipe().stages:
        samples = seeing(train, [seen.name for seen in stage.stage.sees])
        for given in stage.noise:
            try:
                after, again = twice(partial(given, samples))
            except HarnessError as error:
                yield str(error)
                break
            except Exception as error:  # a trick can raise anything at all
                yield f"{given.who}: {type(error).__name__}: {error}"
                break
            if samples_digest(after) != samples_digest(again):
                yield f"{given.who} differs each time; draw from a seed among its fields"
            samples = after
        else:
            yield from check_sampler(stage, samples)


def check_sampler(stage: StageRecipe, samples: Samples) -> Iterator[str]:
    """A sampler draws the same rows each time, in any order of steps."""
    sampler, size, who = stage.stage.sampler, stage.stage.batch_size, stage.who(stage.stage.sampler)

    def drawn(steps: Sequence[int]) -> dict[int, Rows]:
        with calling(who):
            draw = sampler.prepare(samples, size, 0)
            return {step: check_rows(who, draw(step), size, samples) for step in steps}

    try:
        forward, again = twice(partial(drawn, STEPS))
        backward = drawn(STEPS[::-1])
    except DataError:  # drawn features may leave a subset empty, which real ones do not
        return
    for step in STEPS:
        others = (again[step], backward[step])
        if not all(np.array_equal(forward[step], other) for other in others):
            yield f"{who} draws different rows each time; they must depend only on seed and step"
            return


def check_network(case: Case) -> Iterator[str]:
    """Network, batches, loss and optimiser of a stage can train, and follow from seeds alone."""
    hooks, recipe = case.hooks(), case.recipe()
    samples = hooks.load_samples(case.spec, "train")
    builder = hooks.provider("build_model").name
    for stage in recipe.stages:
        name = stage.stage.name
        try:
            network, again = twice(partial(_network, case.spec, hooks, stage, samples.num_classes))
            if not same_tensors(network.state_dict(), again.state_dict()):
                yield (
                    f"stage {name!r}: build_model or a model trick gives different weights each "
                    "time"
                )
            rehearse(stage, network, builder, samples, seen=name in recipe.seen)
            trial = Trial.of(stage, network, samples)
            yield from check_batch_tricks(stage, trial)
            yield from check_loss(stage, trial)
        except HarnessError as error:
            yield str(error)


def check_batch_tricks(stage: StageRecipe, trial: Trial) -> Iterator[str]:
    """A batch trick leaves the batch given to it alone, and draws from its seed alone."""
    batch = trial.batch(LATE)
    for given in stage.batch:
        handed = copy_batch(batch)
        after, again = twice(partial(given, handed))
        if not same_tensors(tensors_of(handed), tensors_of(batch)):
            yield f"{given.who} changes the batch given to it in place; return a changed copy"
        elif not same_tensors(tensors_of(after), tensors_of(again)):
            yield f"{given.who} gives a different batch each time; draw from batch.seed"
        batch = after


def check_loss(stage: StageRecipe, trial: Trial) -> Iterator[str]:
    """A loss follows from logits and batch alone."""
    batch = trial.state.read(apply_batch_tricks(stage, trial.batch(LATE)))
    batch = dataclasses.replace(batch, outputs=others_of(trial.networks.outputs(batch.images)))
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(batch.targets.shape, generator=random, requires_grad=True)
    values, again = twice(partial(loss_values, stage, logits, batch))
    if not torch.equal(values, again):
        yield f"{stage.loss_who}: the loss of equal logits differs each time"


def _network(spec: RunSpec, hooks: Hooks, stage: StageRecipe, outputs: int) -> Module:
    seed_draws(0)
    return apply(stage.model, hooks.build_model(spec, stage.stage, outputs))


def check_views(case: Case) -> Iterator[str]:
    """Testing tricks give the same views each time."""
    recipe = case.recipe()
    plain = plain_view(recipe.members[-1].stage)
    if apply(recipe.testing, plain) != apply(recipe.testing, plain):
        yield "its testing tricks give different views each time"


def _is_frozen(value: object) -> bool:
    parameters = getattr(value, "__dataclass_params__", None)
    return bool(parameters and parameters.frozen)


def _parses_back(knob: KnobInfo) -> Iterator[str]:
    if knob.default is None or knob.default is dataclasses.MISSING:
        return
    parts = knob.default if isinstance(knob.default, tuple) else (knob.default,)
    text = ",".join(map(str, parts))
    try:
        value = parse_value(f"knob {knob.name}", knob.annotation, text)
    except HarnessError as error:
        yield str(error)
        return
    if value != knob.default:
        yield f"knob {knob.name}={text} reads as {value!r}, but its default is {knob.default!r}"


def _choices(case: Case) -> Iterator[tuple[str, object]]:
    if isinstance(case.loaded, type):
        for knob in knobs_of(case.loaded).values():
            if get_origin(knob.annotation) is Literal:
                yield from ((knob.name, choice) for choice in get_args(knob.annotation))


def _tricks(recipe: Recipe) -> Iterable[Trick[Any]]:
    for stage in recipe.stages:
        for tricks in stage.slots.values():
            yield from tricks
    yield from recipe.testing
