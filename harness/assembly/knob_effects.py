"""A knob that a user sets must change the run: its name on the board says that it does."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from harness.assembly.activation import Activation
from harness.assembly.contributions import TRICK_HOOKS
from harness.assembly.recipe import OVERRIDABLE, UNREAD, Recipe, resolve
from harness.errors import HarnessError
from harness.knobs import knobs_of
from harness.spec import RunSpec
from harness.values import SLOTS, Stage

REPLACED = ("backbone", "batch_size")
"""The fields that a profile sets for all methods alike; others it scales."""
FIELDS = tuple(field.name for field in fields(Stage) if field.name not in SLOTS)


def check_knobs(asked: RunSpec) -> None:
    """Raise HarnessError if a knob that is set does not reach the training, or changes nothing.

    A default that is set may change nothing, but must reach it. Most often a data set's profile
    decides the same field: ``backbone=resnet18`` would train the profile's network, under the name
    of another. Rows of published tables are not checked so, since their knobs are those of the
    deck; the report says which of them shrink to one training.
    """
    if not asked.knobs:
        return
    active = Activation(asked)
    spec, method = active.spec, active.method
    answered = {hook for hook, names in active.hooks.order().items() if spec.plugin in names}
    if answered - TRICK_HOOKS - {"plan"}:
        return  # its knobs may do what no recipe shows, such as draw a network
    for name, info in knobs_of(type(method)).items():
        if name in spec.knobs and getattr(method, name) != info.default:
            _check_knob(spec, name)
        elif name in spec.knobs and name in REPLACED:
            _check_reached(spec, name, name, _resolved(spec), _resolved(_at_full_size(spec)))


def _check_knob(spec: RunSpec, name: str) -> None:
    without = {key: text for key, text in spec.knobs.items() if key != name}
    specs = spec, replace(spec, knobs=without)
    try:
        here = [_resolved(one) for one in specs]
        full = [_resolved(_at_full_size(one)) for one in specs]
    except HarnessError:
        return  # the other knobs need this one; what is wrong with all of them is said later
    changed, wanted = _differing(*here), _differing(*full) or set()
    if changed is not None:
        wanted &= {name} & set(OVERRIDABLE) - changed  # what a profile scales is changed
    for field in sorted(wanted):
        _check_reached(spec, name, field, here[0], full[0])
    if changed is None and not wanted:
        raise HarnessError(
            f"--set {name}={spec.knobs[name]} changes nothing in this run; leave it out"
        )


def _check_reached(spec: RunSpec, name: str, field: str, recipe: Recipe, full: Recipe) -> None:
    """Raise HarnessError if a stage is not trained with the value that its method gives it."""
    given = {one.stage.name: getattr(one.stage, field) for one in full.stages}
    for one in recipe.stages:
        value = getattr(one.stage, field)
        if value != given.get(one.stage.name, value):
            raise HarnessError(
                f"--set {name}={spec.knobs[name]} would not be trained: the {one.origins[field]} "
                f"has {field}={value}; set --stage {field}=VALUE instead, or leave the profile out "
                "by --full-size"
            )


def _at_full_size(spec: RunSpec) -> RunSpec:
    return replace(spec, full_size=True, overrides=())


def _resolved(spec: RunSpec) -> Recipe:
    return resolve(spec, Activation(spec).hooks, UNREAD)


def _differing(one: Recipe, other: Recipe) -> set[str] | None:
    """Return the fields that differ between stages of one name; None if nothing at all differs."""
    if _decides(one) == _decides(other):
        return None
    others = {recipe.stage.name: recipe.stage for recipe in other.stages}
    pairs = [(r.stage, others[r.stage.name]) for r in one.stages if r.stage.name in others]
    return {name for name in FIELDS for a, b in pairs if getattr(a, name) != getattr(b, name)}


def _decides(recipe: Recipe) -> tuple[Any, ...]:
    keys = [stage.key for stage in recipe.stages]
    return keys, [member.key for member in recipe.members], recipe.combine, recipe.testing
