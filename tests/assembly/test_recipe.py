"""What a run will do: effective values and their origins, keys, and what is refused."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from harness.assembly.activation import Activation
from harness.assembly.hooks import Active, Hooks
from harness.assembly.recipe import OVERRIDABLE, DataIdentity, Recipe, resolve
from harness.averages import Ema, Swa
from harness.errors import HarnessError, PluginError
from harness.hookspecs import hookimpl
from harness.optimizers import AdamW, Groups, Sam, Sgd
from harness.samplers import SubsetBatches, Uniform
from harness.samples import Samples
from harness.schedules import Constant, Part, Steps, WarmupCosine
from harness.spec import DataSpec, Override, RunSpec
from harness.values import SLOTS, Plan, Stage, Trick, View, Views

TINY = DataSpec(name="synthweb", path="tiny")


def data_of(pictures: str, context: str = "c") -> DataIdentity:
    return DataIdentity(pictures=pictures, context=lambda: context)


def recipe_of(plugin: str, fingerprint: str = "f", **asked: Any) -> Recipe:
    active = Activation(RunSpec(plugin=plugin, data=TINY, **asked))
    return resolve(active.spec, active.hooks, data_of(fingerprint))


def protocols_of(plugin: str, **asked: Any) -> dict[str, Views]:
    recipe = recipe_of(plugin, **asked)
    return recipe.protocols(recipe.members[0])


def keys(recipe: Recipe) -> list[str]:
    return [stage.key for stage in recipe.stages]


@dataclass(frozen=True, kw_only=True)
class Keep:
    """A trick with a knob."""

    share: float = 0.5

    def __call__(self, value: Any) -> Any:
        return value


@dataclass(frozen=True, kw_only=True)
class Drop:
    """Another trick of the same file with the same field."""

    share: float = 0.5

    def __call__(self, value: Any) -> Any:
        return value


class Networks:
    """Networks and a profile, as a data set and timm would give them."""

    def __init__(self, profile: Sequence[Trick[Stage]] = ()) -> None:
        self.profile = profile

    @hookimpl
    def build_model(self) -> nn.Module:
        return nn.Identity()

    @hookimpl
    def stage_tricks(self) -> Sequence[Trick[Stage]]:
        return self.profile


class Method:
    """A plan and tricks by slot."""

    def __init__(self, stages: Any, tricks: Mapping[str, Sequence[Any]] | None = None) -> None:
        self.stages, self.tricks = stages, tricks or {}

    @hookimpl
    def plan(self) -> Plan:
        return Plan(stages=tuple(self.stages))

    @hookimpl
    def noise_tricks(self) -> Sequence[Any]:
        return self.tricks.get("noise", ())

    @hookimpl
    def model_tricks(self) -> Sequence[Any]:
        return self.tricks.get("model", ())

    @hookimpl
    def batch_tricks(self) -> Sequence[Any]:
        return self.tricks.get("batch", ())

    @hookimpl
    def loss_tricks(self) -> Sequence[Any]:
        return self.tricks.get("loss", ())

    @hookimpl
    def testing_tricks(self) -> Sequence[Any]:
        return self.tricks.get("testing", ())


def tiny_recipe(
    *stages: Stage,
    tricks: Mapping[str, Sequence[Any]] | None = None,
    profile: Sequence[Any] = (),
    networks: object | None = None,
    fingerprint: str = "f",
    **asked: Any,
) -> Recipe:
    active = [Active("mine", Method(stages, tricks))]
    active += [Active("other", Networks(profile) if networks is None else networks)]
    return resolve(
        RunSpec(plugin="mine", **asked), Hooks(active, method="mine"), data_of(fingerprint)
    )


PLAIN = Stage(name="train")
A, B, C = (Stage(name=name) for name in "abc")


def key_of(stage: Stage = PLAIN, **given: Any) -> str:
    return tiny_recipe(stage, **given).stages[-1].key


# effective values and their origins


def test_every_field_has_an_origin_and_a_full_size_run_has_the_recipes() -> None:
    recipe = recipe_of("baseline", full_size=True)
    assert recipe.full_size
    assert set(recipe.stages[-1].origins) == {field.name for field in fields(Stage)} - {*SLOTS}
    assert set(recipe.stages[-1].origins.values()) == {"recipe"}
    assert recipe.stages[-1].stage.backbone == "resnet50"


def test_the_profile_then_the_command_line_decide() -> None:
    overrides = (Override("", "epochs", "7"), Override("train", "lr", "0.5"))
    last = recipe_of("baseline", overrides=overrides).stages[-1]
    assert (last.stage.epochs, last.origins["epochs"]) == (7, "command line")
    assert (last.stage.lr, last.origins["lr"]) == (0.5, "command line")
    assert (last.stage.backbone, last.origins["backbone"]) == ("test_resnet", "profile of synthweb")
    assert (last.stage.precision, last.origins["precision"]) == ("fp32", "recipe")


def test_an_override_of_one_stage_outweighs_one_of_all() -> None:
    overrides = (Override("", "epochs", "3"), Override("task-2", "epochs", "5"))
    recipe = recipe_of("malong_curriculum", overrides=overrides)
    epochs = {stage.stage.name: stage.stage.epochs for stage in recipe.stages}
    assert epochs == {"initial": 3, "task-1": 3, "task-2": 5, "task-3": 3}
    turned = recipe_of("malong_curriculum", overrides=tuple(reversed(overrides)))
    assert turned == recipe


def test_an_override_alone_makes_a_run_less_than_full_size() -> None:
    overrides = (Override("", "epochs", "75"),)
    recipe = recipe_of("baseline", full_size=True, overrides=overrides)
    assert not recipe.full_size
    assert recipe.stages[-1].origins["epochs"] == "command line"


def test_a_profile_that_changes_nothing_is_not_an_origin() -> None:
    recipe = tiny_recipe(Stage(name="train"), profile=[lambda stage: stage])
    assert recipe.full_size
    assert set(recipe.stages[-1].origins.values()) == {"recipe"}


def test_profiles_fold_in_order() -> None:
    halve = [lambda stage: replace(stage, epochs=stage.epochs // 2)] * 2
    recipe = tiny_recipe(Stage(name="a", epochs=80), Stage(name="b", epochs=40), profile=halve)
    assert [stage.stage.epochs for stage in recipe.stages] == [20, 10]


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("backbone", "resnet18", "resnet18"),
        ("input_size", "64", 64),
        ("batch_size", "32", 32),
        ("precision", "bf16", "bf16"),
        ("accumulation", "2", 2),
        ("clip_norm", "1.5", 1.5),
        ("min_crop_area", "0.5", 0.5),
        ("compile", "true", True),
    ],
)
def test_every_field_that_can_be_overridden_is(field: str, text: str, value: object) -> None:
    last = recipe_of("baseline", overrides=(Override("", field, text),)).stages[-1]
    assert getattr(last.stage, field) == value
    assert field in OVERRIDABLE


@pytest.mark.parametrize(
    ("stage", "field", "text", "words"),
    [
        ("task-9", "lr", "1", "unknown stage 'task-9'; did you mean 'task-"),
        ("", "epoch", "1", "unknown stage field 'epoch'; did you mean 'epochs'?"),
        ("", "name", "x", "unknown stage field 'name'"),
        ("", "start", "x", "unknown stage field 'start'"),
        ("", "epochs", "0", "stage 'initial': epochs must be above 0"),
        ("task-1", "epochs", "-1", "stage 'task-1': epochs must be above 0"),
        ("", "epochs", "2.5", "--stage epochs='2.5' is not an int"),
        ("", "lr", "nan", "--stage lr='nan' must be finite"),
        ("", "lr", "inf", "--stage lr='inf' must be finite"),
        ("", "lr", "0", "lr must be above 0"),
        ("", "clip_norm", "0", "clip_norm must be above 0"),
        ("", "input_size", "0", "input_size must be above 0"),
        ("", "min_crop_area", "0", "min_crop_area must be in (0, 1]"),
        ("", "min_crop_area", "1.5", "min_crop_area must be in (0, 1]"),
        ("", "min_crop_area", "nan", "must be finite"),
        ("", "lr", "nan", "must be finite"),
        ("", "lr", "inf", "must be finite"),
        ("", "lr", "1e9", "lr must be above 0 and at most 1,000,000.0"),
        ("", "norm_group", "0", "norm_group must be above 0"),
        ("", "epochs", str(10**12), "epochs must be above 0 and at most 1,000,000"),
        ("", "batch_size", str(10**11), "at most 16,777,216, not 100000000000"),
        ("", "input_size", "100000", "input_size must be above 0 and at most 16,384"),
        ("", "precision", "fp64", "must be one of fp32, bf16, fp16"),
        ("", "compile", "maybe", "--stage compile='maybe'"),
        ("", "accumulation", "3", "cannot be split over 3 accumulation steps"),
    ],
)
def test_a_wrong_override_is_refused_in_one_line(
    stage: str, field: str, text: str, words: str
) -> None:
    with pytest.raises(HarnessError) as caught:
        recipe_of("malong_curriculum", overrides=(Override(stage, field, text),))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_knob_that_the_profile_hides_is_checked_all_the_same() -> None:
    with pytest.raises(HarnessError, match="knob epochs must be an int > 0"):
        recipe_of("baseline", knobs={"epochs": "-5"})


# the plan


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ((), "its plan has no stage"),
        ((replace(A, start=B),), "stage 'a' needs 'b', which is not an earlier stage"),
        ((replace(A, start=A),), "stage 'a' needs 'a'"),
        ((replace(A, sees=(B,)), B), "needs 'b'.*earlier: none"),
        ((replace(A, epochs=1), replace(B, start=A)), "refers to a stage called 'a' that is not"),
        ((replace(A, start="b"),), "refers to 'b'; give the Stage itself"),
        ((A, replace(B, sees=A)), "stage 'b': sees must be a tuple of stages"),
        ((A, A), "two stages are called 'a'"),
    ],
)
def test_a_plan_that_is_not_a_graph_is_refused(stages: Sequence[Stage], words: str) -> None:
    with pytest.raises(PluginError, match=f"plugin 'mine': .*{words}|{words}"):
        tiny_recipe(*stages)


def test_a_stage_without_a_name_or_with_a_draw_below_zero_is_refused() -> None:
    with pytest.raises(HarnessError, match="stage '': name must be a str, not ''"):
        tiny_recipe(replace(A, name=""))
    with pytest.raises(HarnessError, match="stage 'a': draw must be an int from 0 up, not -1"):
        tiny_recipe(replace(A, draw=-1))


@pytest.mark.parametrize(
    ("trick", "words"),
    [
        (lambda stage: None, "must return a Stage, not None"),
        (lambda stage: replace(stage, name="x"), "in stage 'train' must not change a stage's name"),
        (lambda stage: replace(stage, start=A), "must not change a stage's start"),
        (lambda stage: replace(stage, sees=(A,)), "must not change a stage's sees"),
        (lambda stage: replace(stage, epochs=0), "epochs must be above 0"),
        (lambda stage: replace(stage, batch_size=8.5), "batch_size must be int, not 8.5"),
        (lambda stage: replace(stage, accumulation=True), "accumulation must be int, not True"),
        (lambda stage: replace(stage, lr="0.1"), "lr must be float, not '0.1'"),
        (lambda stage: replace(stage, optimizer=Sgd(weight_decay=-1)), "weight_decay must be in"),
        (lambda stage: replace(stage, optimizer=Sgd(momentum=math.nan)), "momentum must be in"),
        (lambda stage: replace(stage, optimizer=Sgd(momentum=0.0)), "nesterov needs a momentum"),
        (lambda stage: replace(stage, optimizer="sgd"), "optimizer must have build"),
        (lambda stage: replace(stage, groups=None), "groups must be Groups, not None"),
        (lambda stage: replace(stage, average=0.9), "average must be Ema"),
        (lambda stage: replace(stage, networks=0), "networks must be above 0"),
        (lambda stage: replace(stage, views=65), "at most 64, not 65"),
        (lambda stage: replace(stage, clean=-1), "clean must be above 0"),
        (lambda stage: replace(stage, precision="fp8"), "one of fp32, bf16, fp16, not 'fp8'"),
        (lambda stage: replace(stage, head="nwe"), "head must be one of keep, new, not 'nwe'"),
        (lambda stage: replace(stage, backbone=""), "backbone must be a str, not ''"),
        (lambda stage: replace(stage, sampler=3), "the sampler must have the method prepare"),
        (lambda stage: replace(stage, schedule=3), "the schedule must have the method factor"),
        (lambda stage: replace(stage, min_crop_area="1"), r"be in \(0, 1\], not '1'"),
    ],
)
def test_a_stage_trick_keeps_to_its_stage(trick: Callable[..., Any], words: str) -> None:
    with pytest.raises(HarnessError, match=words):
        tiny_recipe(Stage(name="train"), profile=[trick])


@pytest.mark.parametrize("slot", ["noise", "model", "batch", "loss"])
def test_a_trick_without_a_fixed_description_is_refused(slot: str) -> None:
    with pytest.raises(PluginError, match=r"<lambda>.* has no fixed description.*frozen dataclass"):
        tiny_recipe(Stage(name="train"), tricks={slot: [lambda value: value]})


def test_the_tricks_stand_in_their_slots() -> None:
    tricks: dict[str, list[Any]] = {
        "noise": [Keep()],
        "loss": [Keep(share=1), Drop()],
        "testing": [],
    }
    assert tiny_recipe(Stage(name="train"), tricks=tricks).stages[-1].slots == {
        "noise": (Keep(),),
        "loss": (Keep(share=1), Drop()),
    }


def test_depth_counts_the_starts() -> None:
    recipe = tiny_recipe(
        A,
        second := replace(B, start=A),
        third := replace(C, start=second),
        Stage(name="d", sees=(third,)),
    )
    assert [stage.depth for stage in recipe.stages] == [0, 1, 2, 0]


def test_left_out_tricks_must_be_there() -> None:
    with pytest.raises(HarnessError, match="this run's tricks: DensitySubsets, KeepSubsets, Multi"):
        recipe_of("malong_curriculum", without=("MixUp",))
    less = recipe_of("malong_curriculum", without=("WeighSubsets",))
    assert [type(trick).__name__ for trick in less.stages[-1].slots["noise"]] == [
        "DensitySubsets",
        "KeepSubsets",
    ]


# the key


def test_the_key_does_not_depend_on_the_name_of_the_stage() -> None:
    assert key_of() == key_of()
    assert key_of(Stage(name="train")) == key_of(Stage(name="another"))
    assert len(key_of()) == 64


OTHER: dict[str, Any] = {
    "backbone": "resnet18",
    "input_size": 32,
    "epochs": 1,
    "batch_size": 8,
    "lr": 0.2,
    "optimizer": Sgd(nesterov=False),
    "groups": Groups(head=10.0),
    "networks": 2,
    "average": Ema(),
    "views": 2,
    "clean": 8,
    "refresh": 2,
    "weights": __file__,
    "schedule": Constant(),
    "sampler": SubsetBatches(),
    "precision": "bf16",
    "accumulation": 2,
    "norm_group": 2,
    "clip_norm": 1.0,
    "min_crop_area": 0.5,
    "compile": True,
    "head": "new",
    "draw": 1,
}


def test_every_field_of_a_stage_changes_the_key() -> None:
    assert {*OTHER, *SLOTS, "name", "start", "sees", "teachers"} == {
        field.name for field in fields(Stage)
    }
    plain = Stage(name="train")
    found = {key_of(replace(plain, **{field: value})) for field, value in OTHER.items()}
    found |= {key_of(), key_of(replace(plain, schedule=Steps()))}
    found |= {key_of(replace(plain, optimizer=Sgd(weight_decay=0.0)))}
    found |= {key_of(replace(plain, sampler=SubsetBatches(counts=(2, 1, 1))))}
    found |= {key_of(replace(plain, optimizer=AdamW(weight_decay=1e-4)))}
    found |= {key_of(replace(plain, average=Swa())), key_of(replace(plain, optimizer=Sam()))}
    assert len(found) == len(OTHER) + 7
    assert key_of(replace(plain, sampler=Uniform())) == key_of()


def test_what_is_not_a_field_also_changes_the_key() -> None:
    found = [
        key_of(),
        key_of(fingerprint="g"),
        key_of(seed=1),
        key_of(engine="torch"),
        key_of(deepspeed={"gradient_clipping": 1.0}),
        *(key_of(tricks={slot: [Keep()]}) for slot in ("noise", "model", "batch", "loss")),
        key_of(tricks={"noise": [Keep(share=0.6)]}),
        key_of(tricks={"noise": [Keep(share=1)]}),
        key_of(tricks={"noise": [Drop()]}),
        key_of(tricks={"noise": [Keep(), Drop()]}),
        key_of(tricks={"noise": [Drop(), Keep()]}),
    ]
    assert len(set(found)) == len(found)


def test_what_does_not_decide_the_weights_does_not_change_the_key() -> None:
    same = [
        key_of(tricks={"testing": [Keep()]}),
        key_of(full_size=True),
        key_of(loader_threads=7),
        key_of(home=Path("/elsewhere")),
    ]
    assert set(same) == {key_of()}


def test_parents_change_the_key_and_how_they_are_used() -> None:
    def last(first: Stage, **used: Any) -> str:
        return tiny_recipe(first, Stage(name="second", **used)).stages[-1].key

    first = Stage(name="first")
    short = replace(first, epochs=1)
    found = [
        last(first),
        last(first, start=first),
        last(first, sees=(first,)),
        last(first, start=first, sees=(first,)),
        last(first, teachers=(first,)),
        last(short, start=short),
        last(short, sees=(short,)),
    ]
    assert len(set(found)) == len(found)
    assert last(first) == key_of()


def test_what_the_parents_are_called_does_not_count() -> None:
    def key_after(name: str, used: str) -> str:
        first = Stage(name=name)
        second = Stage(name="second", **{used: first if used == "start" else (first,)})
        return tiny_recipe(first, second).stages[-1].key

    for used in ("start", "teachers", "sees"):
        assert key_after("first", used) == key_after("train", used)


@dataclass(frozen=True)
class Sees:
    """Uses what an earlier stage saw, or a word that is called like one."""

    sees: Stage | str

    def __call__(self, value: Any) -> Any:
        return value


def test_a_trick_that_names_a_stage_never_shares_with_one_that_names_another() -> None:
    def last(one: str, other: str, trick: Any, *, seeing: bool = True) -> str:
        """The key after two stages, ``one`` of few epochs, with a trick in the third only."""
        stages = (Stage(name=one, epochs=1), Stage(name=other, epochs=2))
        if isinstance(trick, str):
            trick = Sees(next(stage for stage in stages if stage.name == trick))

        class Third(Method):
            @hookimpl
            def noise_tricks(self, stage: Stage) -> Sequence[Any]:
                return [trick] if stage.name == "third" else []

        third = Stage(name="third", sees=stages if seeing else ())
        active = [Active("mine", Third((*stages, third))), Active("other", Networks())]
        spec = RunSpec(plugin="mine")
        return resolve(spec, Hooks(active, method="mine"), data_of("f")).stages[-1].key

    found = [
        last("a", "b", "a"),
        last("a", "b", "b"),
        last("b", "a", "a"),
        last("b", "a", "b"),
        last("a", "b", Keep()),
        last("b", "a", Keep()),  # the stage may be named in the trick's own code
    ]
    assert len(set(found)) == len(found)
    # A knob that is called like a stage means something else: use="select", "weigh".
    assert last("a", "b", Sees("a"), seeing=False) == last("b", "a", Sees("a"), seeing=False)
    with pytest.raises(PluginError, match=r"Sees.*refers to Stage\('a'\); add it to sees="):
        last("a", "b", "a", seeing=False)


class Others(Networks):
    """The same hooks of another class, in the same file."""


@dataclass(frozen=True)
class Wide(Networks):
    """Networks with a knob."""

    width: int = 1
    profile: tuple[()] = ()


def test_who_builds_the_network_changes_the_key() -> None:
    found = {key_of(networks=Networks()), key_of(networks=Others())}
    found |= {key_of(networks=Wide()), key_of(networks=Wide(width=2))}
    assert len(found) == 4
    assert key_of(networks=Networks()) in found


def written(folder: Path, name: str, text: str) -> Any:
    """Import a module that was just written, free of what was known of it."""
    (folder / f"{name.replace('.', '/')}.py").write_text(text)
    importlib.invalidate_caches()
    return importlib.import_module(name)


TRICK = """
from dataclasses import dataclass
{imports}
@dataclass(frozen=True)
class Trick:
    share: float = 0.5
    def __call__(self, value):
        return value {comment}
"""


def test_a_changed_source_file_changes_the_key(install: Callable[..., Path]) -> None:
    shelf = install("a_shelf").parent
    one = written(shelf, "trick_one", TRICK.format(imports="", comment=""))
    two = written(shelf, "trick_two", TRICK.format(imports="", comment="# changed"))
    two.Trick.__module__ = "trick_one"
    two.Trick.__qualname__ = one.Trick.__qualname__
    before = key_of(tricks={"noise": [one.Trick()]})
    assert before == key_of(tricks={"noise": [one.Trick()]})
    one_again = written(shelf, "trick_three", TRICK.format(imports="", comment="# changed"))
    assert key_of(tricks={"noise": [one_again.Trick()]}) != before


@pytest.mark.parametrize(
    "imports",
    [
        "from pack_{n}.part import CONSTANT",
        "from pack_{n} import part",
        "import pack_{n}.part",
        "from . import part",
        "from .part import CONSTANT as C",
        "from pack_{n} import between",
    ],
)
def test_a_changed_module_that_a_trick_uses_changes_the_key(
    install: Callable[..., Path], imports: str
) -> None:
    shelf = install("a_shelf").parent
    found = []
    for number, constant in enumerate((1, 1, 2)):
        package = shelf / f"pack_{number}"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "part.py").write_text(f"CONSTANT = {constant}\n")
        (package / "between.py").write_text("from . import part, between\n")
        trick = TRICK.format(imports=imports.format(n=number), comment="")
        module = written(shelf, f"pack_{number}.trick", trick)
        from harness.assembly.sources import sources_of

        sources = sources_of(module.Trick())
        found.append({name.partition(".")[2]: digest for name, digest in sources.items()})
    assert "part" in found[0]
    assert found[0]["part"] == found[1]["part"] != found[2]["part"]


def test_a_sampler_of_others_counts_with_its_source(install: Callable[..., Path]) -> None:
    shelf = install("a_shelf").parent
    text = TRICK.format(imports="", comment="") + "\n    def prepare(self, *given): ...\n"
    before = written(shelf, "sampler_a", text).Trick
    changed = written(shelf, "sampler_b", text + "# changed").Trick
    changed.__module__, same = "sampler_a", before
    plain = key_of(Stage(name="train", sampler=before()))
    assert plain == key_of(Stage(name="train", sampler=same()))
    assert plain != key_of(Stage(name="train", sampler=changed(share=0.25)))


# the methods


def test_the_baseline_and_the_first_stage_of_malong_are_one() -> None:
    baseline = recipe_of("baseline", knobs={"backbone": "inception_v2"}, full_size=True)
    malong = recipe_of("malong_curriculum", knobs={"model": "A"}, full_size=True)
    assert keys(baseline) == keys(malong)
    assert keys(recipe_of("baseline")) == keys(recipe_of("malong_curriculum"))[:1]


@pytest.mark.parametrize(("model", "stages"), [("A", 1), ("B", 2), ("C", 3), ("D", 4)])
def test_malongs_models_add_a_stage_each(model: str, stages: int) -> None:
    recipe = recipe_of("malong_curriculum", knobs={"model": model})
    names = [stage.stage.name for stage in recipe.stages]
    assert names == ["initial", "task-1", "task-2", "task-3"][:stages]
    assert {stage.stage.sees[0].name for stage in recipe.stages[1:]} <= {"initial"}
    starts = [stage.stage.start and stage.stage.start.name for stage in recipe.stages]
    assert starts == [None, None, "task-1", "task-2"][:stages]


def test_malongs_models_spend_the_same_epochs_after_the_first() -> None:
    for model, parts in {"B": [75], "C": [38, 37], "D": [25, 25, 25]}.items():
        recipe = recipe_of("malong_curriculum", knobs={"model": model}, full_size=True)
        assert [stage.stage.epochs for stage in recipe.stages[1:]] == parts
        assert [stage.stage.schedule for stage in recipe.stages[1:]] == [
            Part(whole=WarmupCosine(), begin=task / len(parts), end=(task + 1) / len(parts))
            for task in range(len(parts))
        ]


def test_d_without_highly_noisy_data_is_c() -> None:
    d = recipe_of("malong_curriculum", knobs={"model": "D", "highly_noisy_percent": "0"})
    assert keys(d) == keys(recipe_of("malong_curriculum", knobs={"model": "C"}))
    other = recipe_of("malong_curriculum", knobs={"highly_noisy_percent": "25"})
    assert keys(other)[:1] == keys(recipe_of("malong_curriculum"))[:1]
    assert keys(other)[-1] != keys(recipe_of("malong_curriculum"))[-1]


def test_malongs_batches_are_drawn_from_the_subsets() -> None:
    stages = recipe_of("malong_curriculum", full_size=True).stages
    assert stages[0].stage.sampler == Uniform()
    assert [stage.stage.sampler for stage in stages[1:]] == [
        SubsetBatches(counts=(1,), class_balanced=(True,)),
        SubsetBatches(counts=(1, 1), class_balanced=(True, False)),
        SubsetBatches(counts=(128, 64, 64), class_balanced=(True, False, False)),
    ]
    assert {stage.stage.batch_size for stage in stages} == {256}


@pytest.mark.parametrize(
    "knobs",
    [
        {"batch_counts": "128,64"},
        {"batch_counts": ""},
        {"batch_counts": "0,0,0"},
        {"batch_counts": "-1,1,1"},
        {"weights": "-1,1,1"},
        {"distance_quantile": "2"},
        {"epochs": "0"},
        {"lr": "0"},
    ],
)
def test_knobs_that_make_no_method_are_refused_before_the_first_step(
    knobs: dict[str, str],
) -> None:
    with pytest.raises(HarnessError) as caught:
        recipe_of("malong_curriculum", knobs=knobs)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("preset", ["tiny", "small", "large"])
def test_a_profile_keeps_the_proportions_of_the_budgets(preset: str) -> None:
    data = DataSpec(name="synthweb", path=preset)
    spec = RunSpec(plugin="malong_curriculum", data=data)
    active = Activation(spec)
    shrunk = resolve(active.spec, active.hooks, data_of("f"))
    full = resolve(replace(active.spec, full_size=True), active.hooks, data_of("f"))
    ratios = {
        full_stage.stage.epochs / stage.stage.epochs
        for full_stage, stage in zip(full.stages, shrunk.stages, strict=True)
    }
    assert max(ratios) / min(ratios) < 1.1
    equal = {f: {getattr(s.stage, f) for s in shrunk.stages} for f in ("lr", "batch_size")}
    assert all(len(values) == 1 for values in equal.values())


def test_the_protocols_are_the_plain_view_and_the_methods_own() -> None:
    plain = (View(short_side=37, size=32),)
    protocols = protocols_of("baseline")
    assert list(protocols) == ["1 view", "10 views"]
    assert protocols["1 view"] == plain
    assert len(set(protocols["10 views"])) == 10
    only: dict[str, Views] = protocols_of("baseline", knobs={"crops": "1"})
    assert only == {"1 view": plain}


# the data in the keys


@dataclass(frozen=True, kw_only=True)
class ForeignSampler:
    """A sampler of another's, which may read texts."""

    def prepare(self, samples: Any, batch_size: int, seed: int) -> Any:
        return Uniform().prepare(samples, batch_size, seed)


@pytest.mark.parametrize(
    ("stage", "tricks", "reads"),
    [
        (PLAIN, {}, False),
        (PLAIN, {"batch": [Keep()], "loss": [Keep()], "model": [Keep()]}, False),
        (PLAIN, {"noise": [Keep()]}, True),
        (replace(PLAIN, sampler=ForeignSampler()), {}, True),
    ],
)
def test_texts_are_in_the_keys_of_stages_that_may_read_them(
    stage: Stage, tricks: Mapping[str, Sequence[Any]], *, reads: bool
) -> None:
    asked: list[str] = []

    def key(context: str) -> str:
        hooks = [Active("mine", Method([stage], tricks)), Active("other", Networks())]
        data = DataIdentity(pictures="p", context=lambda: asked.append(context) or context)
        found = resolve(RunSpec(plugin="mine"), Hooks(hooks, method="mine"), data)
        return found.stages[0].key

    assert (key("one") != key("other")) == reads
    assert bool(asked) == reads


def test_the_identity_of_data_that_bring_no_context(small_samples: Samples) -> None:
    data = DataIdentity.of(small_samples, None)
    assert data.context() == small_samples.fingerprint
    assert data.pictures != DataIdentity.of(small_samples, small_samples).pictures
    other = small_samples.assign(fingerprint="g")
    assert data.pictures != DataIdentity.of(other, None).pictures
