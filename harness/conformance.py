"""The contract that every plugin must keep; its own tests call ``check_plugin``."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args, get_origin

import numpy as np

from harness.activation import DEFAULT_DATA, NETWORKS, TEXTS, instance_of
from harness.discovery import find_plugins, load_plugin, named
from harness.errors import HarnessError, NoLabelsError
from harness.hooks import Active, Hooks
from harness.hookspecs import HOOKS
from harness.knobs import UNSTATED, KnobInfo, knobs_of, parse_value
from harness.recipe import UNREAD, Recipe, plain_view, resolve
from harness.samples import COLUMNS, Samples
from harness.spec import DataSpec, RunSpec, default_home
from harness.stand_ins import drawn_batch, read_only
from harness.values import Loss, Trick, View, apply

TINY = DataSpec(name=DEFAULT_DATA.name, path="tiny")
METHOD = "baseline"  # what a plugin that is no method itself is tried in


@dataclass(frozen=True, kw_only=True)
class Case:
    """A plugin under test: how it was loaded, and set up with its defaults."""

    name: str
    loaded: Any
    plugin: object
    spec: RunSpec
    before: tuple[Active, ...]
    after: tuple[Active, ...]

    @property
    def is_method(self) -> bool:
        """Whether it has a plan of its own."""
        return hasattr(self.plugin, "plan")

    @property
    def can_run(self) -> bool:
        """Whether there is data to try it on: a data set needs its own."""
        return not hasattr(self.plugin, "load_samples") or self.spec.data.name == self.name

    def hooks(self, plugin: object | None = None) -> Hooks:
        """Return the hooks of a run with this plugin, or with it set up otherwise."""
        plugin = self.plugin if plugin is None else plugin
        active = Active(self.name, plugin)
        return Hooks([*self.before, active, *self.after], method=self.spec.plugin)

    def recipe(self, plugin: object | None = None, *, full_size: bool = False) -> Recipe:
        """Return the recipe of a run with this plugin, or with it set up otherwise."""
        spec = dataclasses.replace(self.spec, full_size=full_size)
        return resolve(spec, self.hooks(plugin), UNREAD)


def check_plugin(
    plugin: str | object, *, data: DataSpec | None = None, home: Path | None = None
) -> list[str]:
    """Return every breach of the contract, one line each; none where the plugin keeps it.

    ``plugin`` is the name of an installed plugin, or a plugin's class, object or module. It is set
    up with its defaults and tried on ``data``, synthweb:tiny unless told otherwise, below ``home``;
    a data set is read only where ``data`` names it. Nothing is trained.
    """
    try:
        case = _case(plugin, data or TINY, home or default_home())
        Hooks([Active(case.name, case.plugin)], method=case.name)
    except HarnessError as error:
        return [str(error)]
    checks = [check_summary, check_knobs]
    if case.can_run:
        checks += [check_samples, check_plan, check_noise_tricks, check_network, check_views]
    problems: list[str] = []
    for check in checks:
        try:
            problems += check(case)
        except HarnessError as error:
            problems.append(str(error))
        except Exception as error:  # a plugin's code can raise anything at all
            words = check.__name__.replace("_", " ")
            problems.append(f"{words}: {type(error).__name__}: {error}")
    return list(dict.fromkeys(f"{case.name}: {' '.join(problem.split())}" for problem in problems))


def check_summary(case: Case) -> Iterator[str]:
    """The plugin says in a docstring of its own what it is, and answers some hook."""
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
        yield "is no frozen dataclass, so a row of a published table is no value of it"
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
        yield "load_samples gives another fingerprint each time"
    for split in ("train", "val", "test"):
        try:
            samples = hooks.load_samples(case.spec, split)
        except NoLabelsError:
            continue
        if not len(samples) or samples.split != split or samples.classes != train.classes:
            yield f"load_samples gives for {split} no samples, another split or other classes"
        elif not (samples.root / str(samples.files[0])).is_file():
            yield f"the first picture of {split} is not there: {samples.files[0]}"


def check_plan(case: Case) -> Iterator[str]:
    """The plan resolves, shrunk and in full, for every choice of a knob; twice the same."""
    recipe = case.recipe()
    full, again = (case.recipe(full_size=True) for _ in range(2))
    if [stage.key for stage in full.stages] != [stage.key for stage in again.stages]:
        yield "asked twice, its plan or a trick is not the same"
    for trick in _tricks(recipe):
        if not _is_frozen(trick):
            yield f"{type(trick).__name__} is no frozen dataclass"
    for knob, choice in _choices(case):
        try:
            case.recipe(dataclasses.replace(case.plugin, **{knob: choice}))  # type: ignore[type-var]
        except HarnessError as error:
            yield f"with {knob}={choice}: {error}"


def check_noise_tricks(case: Case) -> Iterator[str]:
    """A noise trick gives new samples, always the same, and leaves those given to it alone."""
    train = case.hooks().load_samples(case.spec, "train")
    for stage in case.recipe().stages:
        samples = read_only(train, stage.stage.sees)
        for trick in stage.noise:
            name = f"{type(trick).__name__} in stage {stage.stage.name!r}"
            try:
                after, again = trick(samples), trick(samples)
            except Exception as error:  # a trick can raise anything at all
                yield f"{name}: {type(error).__name__}: {error}"
                break
            if not isinstance(after, Samples) or len(after) != len(samples):
                yield f"{name} gives back no Samples of the same length"
                break
            if not all(np.array_equal(getattr(after, c), getattr(again, c)) for c in COLUMNS):
                yield f"{name} gives something else each time"
            samples = read_only(after, stage.stage.sees)


def check_network(case: Case) -> Iterator[str]:
    """Networks and losses have the right shapes; batch tricks leave the batch given alone."""
    import torch

    from harness.training.batches import cross_entropy

    hooks = case.hooks()
    num_classes = hooks.load_samples(case.spec, "train").num_classes
    for stage in case.recipe().stages:
        torch.manual_seed(0)
        network = apply(stage.model, hooks.build_model(case.spec, stage.stage, num_classes))
        batch = drawn_batch(stage, num_classes)
        before = batch.targets.clone()
        changed = apply(stage.batch, batch)
        if not torch.equal(batch.targets, before):
            yield f"stage {stage.stage.name!r}: a batch trick changes the batch given to it"
        logits = network.eval()(changed.images)
        if logits.shape != changed.targets.shape:
            yield f"stage {stage.stage.name!r}: logits are {tuple(logits.shape)}"
            continue
        loss: Loss = apply(stage.loss, cross_entropy)
        values = loss(logits, changed)
        if values.shape != changed.weights.shape or not values.isfinite().all():
            yield f"stage {stage.stage.name!r}: the loss is not one finite value per sample"


def check_views(case: Case) -> Iterator[str]:
    """Testing tricks give the same views each time, each of them once."""
    recipe = case.recipe()
    plain = plain_view(recipe.members[-1].stage)
    views = apply(recipe.testing, plain)
    if views != apply(recipe.testing, plain):
        yield "its testing tricks give other views each time"
    if not views or not all(isinstance(view, View) for view in views):
        yield "its testing tricks give no views"
    elif len(set(views)) < len(views):
        yield "its testing tricks give one view twice"


def _case(plugin: str | object, data: DataSpec, home: Path) -> Case:
    name = plugin if isinstance(plugin, str) else _name(plugin)
    loaded = load_plugin(named(name, find_plugins())) if isinstance(plugin, str) else plugin
    instance = instance_of(name, loaded, {})
    method = name if hasattr(instance, "plan") else METHOD
    others = [] if hasattr(instance, "load_samples") else [data.name]
    others += [] if hasattr(instance, "build_model") else [NETWORKS]
    others += [] if name == TEXTS else [TEXTS]
    return Case(
        name=name,
        loaded=loaded,
        plugin=instance,
        spec=RunSpec(plugin=method, data=data, home=home),
        before=() if method == name else (_installed(METHOD),),
        after=tuple(_installed(other) for other in others),
    )


def _name(plugin: object) -> str:
    return str(getattr(plugin, "__name__", type(plugin).__name__))


def _installed(name: str) -> Active:
    return Active(name, instance_of(name, load_plugin(named(name, find_plugins())), {}))


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
