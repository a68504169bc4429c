"""Everything a run will do, decided and checked before the first step."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias, get_type_hints

from harness.assembly.contract import Contribution, tricks_of
from harness.assembly.descriptions import describe, describe_provider
from harness.assembly.stage_key import (
    described_stage,
    encoders_of,
    sees_samples,
    weights_identity,
    with_keys,
)
from harness.assembly.stage_values import check_values
from harness.errors import HarnessError, PluginError, unknown
from harness.knobs import parse_value
from harness.store.record import digest
from harness.store.stages import stage_key
from harness.values import SLOTS, Combine, Plan, Stage, Trick, View, Views, apply

if TYPE_CHECKING:
    from harness.assembly.hooks import Hooks
    from harness.samples import Samples
    from harness.spec import RunSpec

OVERRIDABLE = (
    *("backbone", "input_size", "epochs", "batch_size", "lr"),
    *("precision", "accumulation", "norm_group", "clip_norm", "min_crop_area", "compile"),
    *("views", "refresh", "weights"),
)
REHEARSED_ALIKE = ("name", "draw", "start", *SLOTS)
Slots: TypeAlias = Mapping[str, tuple[Trick[Any], ...]]
RanksThatMatter: TypeAlias = Callable[[Stage, Slots], "int | None"]
SHORT_SIDE = 256 / 224  # of a test image, over the crop's size: ImageNet's usual protocol


@dataclass(frozen=True, kw_only=True)
class StageRecipe:
    """One stage with its effective values, their origins, its tricks and its key.

    ``depth`` is the number of stages before it in its chain of starts; with the run's seed it
    decides every random draw, so that equal stages of different methods are one stage.
    """

    stage: Stage
    origins: Mapping[str, str]
    depth: int
    key: str
    noise: tuple[Contribution[Any], ...] = ()
    epoch: tuple[Contribution[Any], ...] = ()
    model: tuple[Contribution[Any], ...] = ()
    picture: tuple[Contribution[Any], ...] = ()
    batch: tuple[Contribution[Any], ...] = ()
    loss: tuple[Contribution[Any], ...] = ()
    method: str = "unknown"  # the plugin that planned it

    def who(self, part: object) -> str:
        """Name a part that the plan brings, as a sampler or schedule, in an error."""
        return f"plugin {self.method!r}: {type(part).__name__} in stage {self.stage.name!r}"

    @property
    def network_who(self) -> str:
        """Name the network and those who changed it, in an error."""
        changed = "".join(f"; {given.who}" for given in self.model)
        return f"the network {self.stage.backbone!r} of stage {self.stage.name!r}{changed}"

    @property
    def loss_who(self) -> str:
        """Name those who made the loss, in an error."""
        return "; ".join(given.who for given in self.loss) or f"stage {self.stage.name!r}"

    @property
    def rehearsal(self) -> str:
        """Equal for stages that one rehearsal is enough for, as the members of an ensemble."""
        alike = (f.name for f in dataclasses.fields(Stage) if f.name not in REHEARSED_ALIKE)
        return repr(([getattr(self.stage, name) for name in alike], self.slots))

    @property
    def slots(self) -> dict[str, tuple[Trick[Any], ...]]:
        """The tricks by slot; empty slots are left out."""
        given = {slot: getattr(self, slot) for slot in SLOTS}
        return {slot: tricks_of(tricks) for slot, tricks in given.items() if tricks}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The stages of a run, parents first, which of them are tested, and how."""

    stages: tuple[StageRecipe, ...]
    members: tuple[StageRecipe, ...]
    combine: Combine
    testing: tuple[Trick[Views], ...]
    full_size: bool

    @property
    def networks(self) -> int:
        """The number of networks that are tested together."""
        return sum(member.stage.networks for member in self.members)

    @property
    def seen(self) -> set[str]:
        """The names of the stages that later ones see."""
        return {seen.name for stage in self.stages for seen in stage.stage.sees}

    def protocols(self, member: StageRecipe) -> dict[str, Views]:
        """The plain centre view, under which all methods are compared, and the method's own."""
        plain = plain_view(member.stage)
        own = apply(self.testing, plain)
        return {"1 view": plain} | ({f"{len(own)} views": own} if own != plain else {})


def plain_view(stage: Stage) -> Views:
    """Return the centre crop of a stage's own input size."""
    return (View(short_side=round(stage.input_size * SHORT_SIDE), size=stage.input_size),)


@dataclass(frozen=True, kw_only=True)
class DataIdentity:
    """How the keys of stages name the data.

    ``pictures`` covers the lists, labels and images of train and val: every stage reads them.
    ``context`` adds texts, queries and glosses, and is called only for a stage that may read them.
    ``clean`` covers the split "clean", for stages that use it.
    """

    pictures: str
    context: Callable[[], str]
    clean: str | None = None

    @classmethod
    def of(cls, train: Samples, val: Samples | None, clean: Samples | None = None) -> DataIdentity:
        """Return the identity of what stages are trained on and chosen by.

        Val decides which epoch is best, so it decides what a stage leaves behind.
        """
        return cls(
            pictures=digest([train.fingerprint, val.fingerprint if val else None]),
            context=train.context_fingerprint,
            clean=clean.fingerprint if clean else None,
        )


UNREAD = DataIdentity(pictures="", context=str)
"""A placeholder for data that were not read: keys made with it are not keys of stages."""


def resolve(
    spec: RunSpec, hooks: Hooks, data: DataIdentity, ranks: RanksThatMatter | None = None
) -> Recipe:
    """Ask the plugins for stages and tricks, apply profile and overrides, and check it all.

    ``ranks`` gives a stage's number of ranks if its result depends on it.
    """
    plan = hooks.plan(spec)
    _check_plan(plan, spec.plugin)
    _check_overrides(spec, plan)
    recipes: dict[str, StageRecipe] = {}
    for published in plan.stages:
        effective = _effective(spec, hooks, published)
        recipes[published.name] = _stage_recipe(spec, hooks, effective, recipes, data, ranks)
    members = tuple(recipes[stage.name] for stage in plan.members or plan.stages[-1:])
    testing = hooks.testing_tricks(spec, plan)
    for member in members:
        apply(testing, plain_view(member.stage))  # each checks what it returns
    hooks.check_chosen(spec, [recipe.stage for recipe in recipes.values()])
    return Recipe(
        stages=tuple(recipes.values()),
        members=members,
        combine=plan.combine,
        testing=tricks_of(testing),
        full_size=all(set(recipe.origins.values()) == {"recipe"} for recipe in recipes.values()),
    )


def _stage_recipe(
    spec: RunSpec,
    hooks: Hooks,
    effective: tuple[Stage, dict[str, str]],
    earlier: Mapping[str, StageRecipe],
    data: DataIdentity,
    ranks: RanksThatMatter | None,
) -> StageRecipe:
    stage, origins = effective
    depth = earlier[stage.start.name].depth + 1 if stage.start else 0
    slots: dict[str, tuple[Contribution[Any], ...]] = {
        "noise": tuple(hooks.noise_tricks(spec, stage)),
        "epoch": tuple(hooks.epoch_tricks(spec, stage)),
        "model": tuple(hooks.model_tricks(spec, stage)),
        "picture": tuple(hooks.picture_tricks(spec, stage)),
        "batch": tuple(hooks.batch_tricks(spec, stage)),
        "loss": tuple(hooks.loss_tricks(spec, stage)),
    }
    keys = {name: recipe.key for name, recipe in earlier.items()}
    reading = tricks_of((*slots["noise"], *slots["epoch"]))
    decides = {
        "stage": described_stage(stage, keys, reading),
        "network": describe_provider(*hooks.network_provider(spec, stage)),
        "tricks": {
            slot: [describe(with_keys(one, stage, keys)) for one in given]
            for slot, given in slots.items()
        },
        "encoders": {
            name: [
                describe_provider(found.plugin, found.identity)
                for found in hooks.encoder_providers(spec, name)
            ]
            for name in encoders_of(reading)
        },
        "data": data.pictures,
        "context": data.context() if sees_samples(stage, reading) else None,
        "clean": data.clean if stage.clean else None,
        "weights": weights_identity(stage),
        "seed": spec.seed,
        "depth": depth,
        "engine": spec.engine,
        "deepspeed": json.dumps(dict(spec.deepspeed), sort_keys=True),
        "ranks": ranks(stage, slots) if ranks else None,
    }
    key = stage_key(decides, [keys[parent.name] for parent in stage.parents])
    return StageRecipe(
        stage=stage,
        origins=origins,
        **slots,
        depth=depth,
        key=key,
        method=spec.plugin,
    )


def _effective(spec: RunSpec, hooks: Hooks, stage: Stage) -> tuple[Stage, dict[str, str]]:
    """Apply the profile, then the command line; return the origin of each field."""
    fields = [field.name for field in dataclasses.fields(Stage) if field.name not in SLOTS]
    origins = dict.fromkeys(fields, "recipe")
    check_values(stage)
    for given in () if spec.full_size else hooks.stage_tricks(spec, stage):
        changed = given(stage)
        origins |= dict.fromkeys(_differing(stage, changed), f"profile of {given.plugin}")
        stage = changed
    hints = get_type_hints(Stage) if spec.overrides else {}  # a fifth of a recipe's time
    for override in spec.overrides:
        if override.stage in ("", stage.name):
            what = f"--stage {override.field}"
            value = parse_value(what, hints[override.field], override.text)
            stage = replace(stage, **{override.field: value})
            origins[override.field] = "command line"
    check_values(stage)
    return stage, origins


def _differing(before: Stage, after: Stage) -> list[str]:
    fields = [field.name for field in dataclasses.fields(Stage)]
    return [name for name in fields if getattr(before, name) != getattr(after, name)]


def _check_plan(plan: Plan, plugin: str) -> None:
    planned: dict[str, Stage] = {}
    if not plan.stages:
        raise PluginError(f"plugin {plugin!r}: its plan has no stage")
    for stage in plan.stages:
        _check_parents(f"plugin {plugin!r}: stage {stage.name!r}", stage, planned)
        if stage.name in planned:
            raise PluginError(f"plugin {plugin!r}: two stages are called {stage.name!r}")
        planned[stage.name] = stage
    for member in plan.members:
        _check_reference(f"plugin {plugin!r}: its plan tests", member, planned)
    if len({member.name for member in plan.members}) < len(plan.members):
        names = ", ".join(member.name for member in plan.members)
        raise PluginError(f"plugin {plugin!r}: members are {names}; name each stage once")


def _check_parents(who: str, stage: Stage, planned: Mapping[str, Stage]) -> None:
    for name in ("sees", "teachers"):
        if not isinstance(getattr(stage, name), tuple):
            raise PluginError(f"{who}: {name} must be a tuple of stages")
    for parent in (*stage.sees, *stage.teachers, *([stage.start] if stage.start else [])):
        _check_reference(who, parent, planned)


def _check_reference(who: str, stage: object, planned: Mapping[str, Stage]) -> None:
    """Refuse what is not an earlier stage of the plan, or another one of the same name."""
    if not isinstance(stage, Stage):
        raise PluginError(f"{who} refers to {stage!r:.80}; give the Stage itself")
    if stage.name not in planned:
        raise PluginError(
            f"{who} needs {stage.name!r}, which is not an earlier stage "
            f"(earlier: {', '.join(planned) or 'none'})"
        )
    if planned[stage.name] != stage:
        raise PluginError(
            f"{who} refers to a stage called {stage.name!r} that is not the plan's stage of "
            "that name"
        )


def _check_overrides(spec: RunSpec, plan: Plan) -> None:
    names = [stage.name for stage in plan.stages]
    for override in spec.overrides:
        if override.stage and override.stage not in names:
            raise HarnessError(unknown("stage", override.stage, names, listing="stages"))
        if override.field not in OVERRIDABLE:
            raise HarnessError(
                unknown("stage field", override.field, OVERRIDABLE, listing="fields")
            )
