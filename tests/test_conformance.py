"""Every installed plugin keeps the contract, and every breach of it is found."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import pytest
from torch import nn

from harness.conformance import check_plugin
from harness.data.synthweb import SynthWeb
from harness.data.synthweb.profiles import PROFILES
from harness.discovery import find_plugins
from harness.errors import NoLabelsError, PluginError
from harness.hookspecs import hookimpl
from harness.knobs import assumed
from harness.samples import Samples
from harness.spec import DataSpec, RunSpec
from harness.values import Batch, Loss, Plan, Stage, Trick, View, Views


@pytest.mark.parametrize("name", sorted(find_plugins()))
def test_every_installed_plugin_keeps_the_contract(name: str, tiny_home: Path) -> None:
    assert check_plugin(name) == []


@dataclass(frozen=True, kw_only=True)
class Halve:
    """A sound noise trick."""

    def __call__(self, samples: Samples) -> Samples:
        return samples.assign(weight=samples.weight / 2)


@dataclass(frozen=True, kw_only=True)
class Sound:
    """A sound method."""

    epochs: int = assumed(25, "short")

    @hookimpl
    def plan(self) -> Plan:
        first = Stage(name="first", epochs=self.epochs)
        return Plan(stages=(first, replace(first, name="second", sees=("first",))))

    @hookimpl
    def noise_tricks(self, stage: Stage) -> Sequence[Trick[Samples]]:
        return [Halve()] if stage.sees else []


def problems_of(plugin: object, **given: Any) -> list[str]:
    return check_plugin(plugin, **given)


def test_a_class_an_object_or_a_module_may_be_checked(tiny_home: Path) -> None:
    assert problems_of(Sound) == []
    assert problems_of(Sound(epochs=50)) == []
    module = ModuleType("made", "A plugin that is a module.")
    module.testing_tricks = hook(lambda: [Crop()], "testing_tricks")  # type: ignore[attr-defined]
    assert problems_of(module) == []


def variant(**changes: Any) -> type:
    """A method like ``Sound`` with some of its parts exchanged."""
    body = {name: value for name, value in vars(Sound).items() if name in ("plan", "noise_tricks")}
    body |= {"__doc__": "A method.", "__annotations__": {}, **changes}
    return dataclass(frozen=True, kw_only=True)(type("Variant", (), {"epochs": 25, **body}))


def hook(answer: Callable[..., Any], name: str) -> Any:
    answer.__name__ = name
    return hookimpl(answer)


def noise(trick: Any) -> Any:
    return hook(lambda self, stage: [trick] if stage.sees else [], "noise_tricks")


@dataclass(frozen=True)
class Spoil:
    """A noise trick that does what ``how`` says."""

    how: str

    def __call__(self, samples: Samples) -> Any:
        if self.how == "writes":
            samples.weight[0] = 3
        if self.how == "writes to the features":
            samples.features("first")[0] = 3
        if self.how == "forgets":
            return None
        if self.how == "drops":
            return samples.assign(
                **{
                    name: getattr(samples, name)[1:]
                    for name in ("files", "label", "source", "query", "rank", "weight", "subset")
                }
            )
        if self.how == "draws":
            weight = np.random.default_rng().random(len(samples), np.float32)
            return samples.assign(weight=weight)
        if self.how == "negative":
            return samples.assign(weight=samples.weight - 2)
        if self.how == "looks elsewhere":
            return samples.assign(weight=samples.features("nowhere")[:, 0])
        return samples


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("writes", "Spoil in stage 'second': ValueError: assignment destination is read-only"),
        ("writes to the features", "Spoil in stage 'second': ValueError: assignment dest"),
        ("forgets", "Spoil in stage 'second' gives back no Samples of the same length"),
        ("drops", "Spoil in stage 'second' gives back no Samples of the same length"),
        ("draws", "Spoil in stage 'second' gives something else each time"),
        ("negative", "sample weights must be finite and not negative"),
        ("looks elsewhere", "stage 'nowhere' cannot be seen here (seen: first)"),
    ],
)
def test_an_unsound_noise_trick_is_found(how: str, words: str, tiny_home: Path) -> None:
    (problem,) = problems_of(variant(noise_tricks=noise(Spoil(how))))
    assert problem.startswith("Variant: ")
    assert words in problem


class Thawed:
    """No dataclass at all."""

    @hookimpl
    def plan(self) -> Plan:
        return Plan(stages=(Stage(name="only"),))


@dataclass
class Mutable:
    """A trick that can be changed."""

    share: float = 0.5

    def __call__(self, value: Any) -> Any:
        return value


class Plans:
    """Gives another plan each time."""

    asked = 0


def restless(self: Any) -> Plan:
    Plans.asked += 1
    return Plan(stages=(Stage(name="only", epochs=Plans.asked),))


@pytest.mark.parametrize(
    ("plugin", "words"),
    [
        (Thawed, "is no frozen dataclass, so a row of a published table is no value of it"),
        (variant(__doc__=None), "has no docstring"),
        (
            variant(__annotations__={"epochs": int}),
            "knob epochs has no source; write published(...) or assumed(...)",
        ),
        (
            variant(share=assumed("much", "why"), __annotations__={"share": float}),
            "knob share='much' is no float",
        ),
        (
            variant(model=assumed("Z", "why"), __annotations__={"model": Literal["A", "B"]}),
            "knob model='Z' is none of its choices: A, B",
        ),
        (
            variant(count=assumed("3", "why"), __annotations__={"count": int}),
            "knob count=3 reads as 3, but its default is '3'",
        ),
        (variant(plan=hook(lambda self: None, "plan")), "plan must return a Plan, not None"),
        (
            variant(plan=hook(lambda self: Plan(stages=()), "plan")),
            "its plan has no stage",
        ),
        (
            variant(plan=hook(lambda self: Plan(stages=(Stage(name="a", start="b"),)), "plan")),
            "stage 'a' needs 'b', which is no earlier stage",
        ),
        (variant(plan=hook(restless, "plan")), "asked twice, its plan or a trick is not the same"),
        (variant(noise_tricks=noise(lambda samples: samples)), "has no fixed description"),
        (variant(noise_tricks=noise(Mutable())), "Mutable is no frozen dataclass"),
        (variant(noise_trick=hook(lambda self: [], "noise_trick")), "noise_trick"),
        (variant(plan=lambda self: Plan(stages=())), "its plan is not marked; put @hookimpl on it"),
        (variant(plan=hook(lambda self: 1 / 0, "plan")), "check plan: ZeroDivisionError"),
    ],
)
def test_an_unsound_method_is_found(plugin: type, words: str, tiny_home: Path) -> None:
    problems = problems_of(plugin)
    assert any(words in problem for problem in problems), problems
    assert all(problem.count("\n") == 0 for problem in problems)


def test_every_choice_of_a_knob_is_tried(tiny_home: Path) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Picky:
        """A method one of whose choices makes no plan."""

        stages: Literal[1, 2, 0] = assumed(1, "one is enough")

        @hookimpl
        def plan(self) -> Plan:
            return Plan(stages=tuple(Stage(name=str(n)) for n in range(self.stages)))

    (problem,) = problems_of(Picky)
    assert problem == "Picky: with stages=0: plugin 'Picky': its plan has no stage"


@dataclass(frozen=True, kw_only=True)
class Crop:
    """A testing trick that gives the views that it was told."""

    size: int = 32
    times: int = 1

    def __call__(self, views: Views) -> Views:
        return (View(short_side=36, size=self.size),) * self.times


@pytest.mark.parametrize(
    ("trick", "words"),
    [
        (Crop(size=40), "a view of 40 pixels needs a short side of at least as many, not 36"),
        (Crop(times=2), "its testing tricks give one view twice"),
        (Crop(times=0), "its testing tricks give no views"),
    ],
)
def test_views_that_do_not_fit_are_found(trick: Crop, words: str, tiny_home: Path) -> None:
    plugin = variant(testing_tricks=hook(lambda self: [trick], "testing_tricks"))
    assert problems_of(plugin) == [f"Variant: {words}"]


@dataclass(frozen=True, kw_only=True)
class Widen:
    """A model trick that gives too many outputs."""

    def __call__(self, module: nn.Module) -> nn.Module:
        return nn.Sequential(module, nn.Linear(6, 9))


@dataclass(frozen=True, kw_only=True)
class Overwrite:
    """A batch trick that writes into the batch given to it."""

    def __call__(self, batch: Batch) -> Batch:
        batch.targets.mul_(0.5)
        return batch


@dataclass(frozen=True, kw_only=True)
class Average:
    """A loss trick that forgets that there is one value per sample."""

    def __call__(self, loss: Loss) -> Loss:
        return lambda logits, batch: loss(logits, batch).mean()


@pytest.mark.parametrize(
    ("slot", "trick", "words"),
    [
        ("model_tricks", Widen(), "logits are (4, 9)"),
        ("batch_tricks", Overwrite(), "a batch trick changes the batch given to it"),
        ("loss_tricks", Average(), "the loss is not one finite value per sample"),
    ],
)
def test_networks_batches_and_losses_are_tried(
    slot: str, trick: Any, words: str, tiny_home: Path
) -> None:
    problems = problems_of(variant(**{slot: hook(lambda self: [trick], slot)}))
    assert problems == [f"Variant: stage {name!r}: {words}" for name in ("first", "second")]


@dataclass(frozen=True, kw_only=True)
class Data:
    """A data set: synthweb:tiny, with what ``how`` says."""

    how: str = "sound"

    @hookimpl
    def stage_tricks(self) -> Sequence[Trick[Stage]]:
        return [PROFILES["tiny"]]

    @hookimpl
    def load_samples(self, spec: RunSpec, split: str) -> Samples:
        tiny = replace(spec, data=DataSpec(name="synthweb", path="tiny"))
        samples = SynthWeb().load_samples(tiny, split)
        if self.how == "secret" and split == "test":
            raise NoLabelsError("not public")
        if self.how == "nameless":
            return samples.assign(edition="")
        if self.how == "missing" and split == "val":
            return samples.assign(files=np.char.add(samples.files, "x"))
        if self.how == "confused" and split == "test":
            return samples.assign(split="train")
        return samples


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("sound", None),
        ("secret", None),
        ("nameless", "load_samples gives no fingerprint or no edition"),
        ("missing", "the first picture of val is not there: "),
        ("confused", "load_samples gives for test no samples, another split or other classes"),
    ],
)
def test_a_data_set_is_tried_on_itself(how: str, words: str | None, tiny_home: Path) -> None:
    problems = problems_of(Data(how=how), data=DataSpec(name="Data"))
    assert len(problems) == (words is not None), problems
    assert all(str(words) in problem for problem in problems)
    assert problems_of(Data(how=how)) == []  # not its own data: only what needs none


def test_what_is_no_plugin_is_said(tiny_home: Path) -> None:
    class Nothing:
        """It answers no hook."""

    assert problems_of(Nothing) == ["Nothing: answers no hook"]
    (unknown,) = check_plugin("no such plugin")
    assert unknown.startswith("unknown plugin 'no such plugin'; ")


def test_a_plugin_that_cannot_be_set_up_is_said(tiny_home: Path) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Refuses:
        """It refuses its own defaults."""

        def __post_init__(self) -> None:
            raise PluginError("never content")

    @dataclass(frozen=True, kw_only=True)
    class Needy:
        """It has a knob without a default."""

        knob: int

    assert problems_of(Refuses) == ["never content"]
    assert "cannot be set up" in problems_of(Needy)[0]


def test_the_contract_is_documented_check_by_check() -> None:
    from harness import conformance

    checks = [f for name, f in vars(conformance).items() if name.startswith("check_")]
    assert len(checks) >= 7
    assert all(inspect.getdoc(check) for check in checks)
    assert dataclasses.is_dataclass(conformance.Case)
