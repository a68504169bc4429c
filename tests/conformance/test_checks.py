"""Every installed plugin keeps the contract, and every breach of it is found."""

from __future__ import annotations

import inspect
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from harness.assembly.discovery import find_plugins
from harness.conformance import check_plugin
from harness.data.synthweb import SynthWeb
from harness.data.synthweb.profiles import PROFILES
from harness.errors import NoLabelsError, PluginError
from harness.hookspecs import hookimpl
from harness.knobs import assumed
from harness.samples import COLUMNS, Samples
from harness.spec import DataSpec, RunSpec
from harness.values import Batch, Loss, PictureEncoder, Plan, Sgd, Stage, Trick, View, Views


@pytest.mark.parametrize("name", sorted(find_plugins()))
def test_every_installed_plugin_keeps_the_contract(name: str, tiny_home: Path) -> None:
    assert check_plugin(name) == []


FIRST = Stage(name="first")


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
        first = replace(FIRST, epochs=self.epochs)
        return Plan(stages=(first, replace(first, name="second", sees=(first,))))

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


def one_stage(*, build_model: Any = None, **given: Any) -> type:
    """A method of one stage: fields of that stage, or hooks."""
    hooks = {name: value for name, value in given.items() if name.endswith("_tricks")}
    stage = Stage(name="only", **{k: v for k, v in given.items() if k not in hooks})
    hooks |= {"build_model": build_model} if build_model else {}
    plan = hook(lambda self: Plan(stages=(stage,)), "plan")
    return variant(plan=plan, noise_tricks=hook(lambda self: [], "noise_tricks"), **hooks)


def hook(answer: Callable[..., Any], name: str) -> Any:
    answer.__name__ = name
    return hookimpl(answer)


def noise(trick: Any) -> Any:
    return hook(lambda self, stage: [trick] if stage.sees else [], "noise_tricks")


def written(array: Any) -> None:
    array[0] = 3


def scaled(samples: Samples, factor: float) -> Samples:
    return samples.assign(weight=samples.weight * np.float32(factor))


SPOILT: dict[str, Callable[[Samples], Any]] = {
    "writes": lambda s: written(s.weight),
    "writes to the features": lambda s: written(s.features(FIRST)),
    "forgets": lambda s: None,
    "drops": lambda s: s.assign(**{name: getattr(s, name)[1:] for name in COLUMNS}),
    "draws": lambda s: scaled(s, np.random.default_rng().random()),
    "draws from numpy": lambda s: scaled(s, np.random.random()),  # noqa: NPY002 - the fault
    "draws from torch": lambda s: scaled(s, float(torch.rand(1))),
    "draws from python": lambda s: scaled(s, random.random()),
    "weighs nothing": lambda s: scaled(s, 0),
    "leaves all out": lambda s: s.assign(subset=np.full_like(s.subset, -1)),
    "many": lambda s: s.assign(weight=s.weight[:, None]),
    "double": lambda s: s.assign(weight=s.weight.astype(np.float64)),
    "other files": lambda s: s.assign(files=np.asarray(s.files)[::-1]),
    "switches": lambda s: torch.set_default_dtype(torch.float64) or s,
    "fails": lambda s: 1 / 0,
    "negative": lambda s: scaled(s, -1),
    "looks elsewhere": lambda s: s.assign(weight=s.features(Stage(name="nowhere"))[:, 0]),
}


@dataclass(frozen=True)
class Spoil:
    """A noise trick that does what ``how`` says."""

    how: str

    def __call__(self, samples: Samples) -> Any:
        return SPOILT[self.how](samples)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("writes", "Spoil in stage 'second' writes into its arguments, which are read-only"),
        ("writes to the features", "Spoil in stage 'second' writes into its arguments"),
        ("forgets", "Spoil in stage 'second' must return Samples, not None"),
        ("drops", "Spoil in stage 'second' returns 299 samples of 300"),
        ("draws", "Spoil in stage 'second' differs each time"),
        ("draws from numpy", "Spoil in stage 'second' draws from numpy's global random state"),
        ("draws from torch", "Spoil in stage 'second' draws from torch's global random state"),
        ("draws from python", "Spoil in stage 'second' differs each time"),
        ("weighs nothing", "Spoil in stage 'second' gives weight 0 to every sample"),
        ("leaves all out", "Spoil in stage 'second' leaves every sample out"),
        ("many", "Spoil in stage 'second': weight of Samples must be (N,), not (300, 1)"),
        ("double", "weight of Samples must be an array of float32, not float64"),
        ("other files", "Spoil in stage 'second' changes files of the samples"),
        ("switches", "Spoil in stage 'second' changes torch's default dtype"),
        (
            "fails",
            "Spoil in stage 'second' (noise_tricks): ZeroDivisionError: division by zero (test_ch",
        ),
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
        (Thawed, "is not a frozen dataclass, so it cannot be a row of a published table"),
        (variant(__doc__=None), "has no docstring"),
        (
            variant(__annotations__={"epochs": int}),
            "knob epochs has no source; write published(...) or assumed(...)",
        ),
        (
            variant(share=assumed("much", "why"), __annotations__={"share": float}),
            "knob share='much' is not a float",
        ),
        (
            variant(model=assumed("Z", "why"), __annotations__={"model": Literal["A", "B"]}),
            "model must be one of A, B, got 'Z'",
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
            variant(plan=hook(lambda self: Plan(stages=(Stage(name="a", start=FIRST),)), "plan")),
            "stage 'a' needs 'first', which is not an earlier stage",
        ),
        (
            variant(plan=hook(restless, "plan")),
            "its plan or a trick differs when it is asked again",
        ),
        (variant(noise_tricks=noise(lambda samples: samples)), "has no fixed description"),
        (variant(noise_tricks=noise(Mutable())), "Mutable is not a frozen dataclass"),
        (variant(noise_trick=hook(lambda self: [], "noise_trick")), "noise_trick"),
        (variant(plan=lambda self: Plan(stages=())), "its plan is not marked; put @hookimpl on it"),
        (
            variant(plan=hook(lambda self: 1 / 0, "plan")),
            "'Variant': plan: ZeroDivisionError",
        ),
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
        (Crop(times=2), "Crop gives one view twice"),
        (Crop(times=0), "Crop gives no views"),
    ],
)
def test_views_that_do_not_fit_are_found(trick: Crop, words: str, tiny_home: Path) -> None:
    plugin = variant(testing_tricks=hook(lambda self: [trick], "testing_tricks"))
    (problem,) = problems_of(plugin)
    assert problem.startswith("Variant: plugin 'Variant': Crop")
    assert problem.endswith(words)


@dataclass(frozen=True, kw_only=True)
class Widen:
    """A model trick that gives too many outputs."""

    def __call__(self, module: nn.Module) -> nn.Module:
        return nn.Sequential(module, nn.Linear(6, 9))


FAULTS: dict[str, Callable[[Tensor], Any]] = {
    "halved in place": lambda values: values.mul_(0.5),
    "not a number": lambda values: values * float("nan"),
    "a column": lambda values: values[:, None],
    "the first two": lambda values: values[:2],
    "times fresh entropy": lambda values: values * float(np.random.default_rng().random()),
    "times torch's global state": lambda values: values * torch.rand(()),
    "averaged": torch.mean,
    "detached": torch.detach,
    "float64": lambda values: values.double(),
    "None": lambda values: None,
}


@dataclass(frozen=True)
class Changed:
    """A batch trick that changes one part of a batch as the fault says."""

    name: str
    fault: str

    def __call__(self, batch: Batch) -> Batch:
        return replace(batch, **{self.name: FAULTS[self.fault](getattr(batch, self.name))})


@dataclass(frozen=True)
class Wrapped:
    """A loss trick that changes the values of the loss inside as the fault says."""

    fault: str

    def __call__(self, loss: Loss) -> Loss:
        return lambda logits, batch: FAULTS[self.fault](loss(logits, batch))


@dataclass(frozen=True, kw_only=True)
class Noisy:
    """A model trick that draws weights from fresh entropy."""

    def __call__(self, module: nn.Module) -> nn.Module:
        with torch.no_grad():
            next(module.parameters()).mul_(float(np.random.default_rng().random()))
        return module


@dataclass(frozen=True, kw_only=True)
class Nothing:
    """A model trick that forgets to return the network."""

    def __call__(self, module: nn.Module) -> None:
        return None


@pytest.mark.parametrize(
    ("slot", "trick", "words"),
    [
        ("model_tricks", Widen(), r"logits are torch.float32 \(4, 9\), not floats \(4, 6\)"),
        ("model_tricks", Nothing(), "Nothing in stage 'S' must return a torch.nn.Module, not None"),
        (
            "model_tricks",
            Noisy(),
            "stage 'S': build_model or a model trick gives different weights",
        ),
        ("batch_tricks", Changed("targets", "halved in place"), "changes the batch given .* in"),
        ("batch_tricks", Changed("images", "halved in place"), "changes the batch given .* in"),
        ("batch_tricks", Changed("weights", "not a number"), "are not all finite"),
        ("batch_tricks", Changed("weights", "a column"), r"are \(4, 1\), not \(4,\)"),
        (
            "batch_tricks",
            Changed("images", "the first two"),
            "targets of a batch of 2 images",
        ),
        (
            "batch_tricks",
            Changed("images", "times fresh entropy"),
            "gives a different batch each",
        ),
        (
            "batch_tricks",
            Changed("weights", "times torch's global state"),
            "draws from torch's global random",
        ),
        ("loss_tricks", Wrapped("averaged"), r"the loss of 4 samples is \(\), not \(4,\)"),
        ("loss_tricks", Wrapped("detached"), "no gradient flows through the loss; do not detach"),
        ("loss_tricks", Wrapped("float64"), "the loss must be torch.float32, not"),
        ("loss_tricks", Wrapped("None"), "the loss must be a tensor, not None"),
        (
            "loss_tricks",
            Wrapped("times fresh entropy"),
            "the loss of equal logits differs",
        ),
        ("loss_tricks", Wrapped("times torch's global state"), "draws from torch's global random"),
    ],
)
def test_networks_batches_and_losses_are_tried(
    slot: str, trick: Any, words: str, tiny_home: Path
) -> None:
    (problem,) = problems_of(one_stage(**{slot: hook(lambda self: [trick], slot)}))
    assert re.search(words.replace("'S'", "'only'"), problem), problem


@dataclass(frozen=True)
class Draws:
    """A sampler with a fault."""

    fault: str

    def prepare(self, samples: Samples, batch_size: int, seed: int) -> Any:
        last = np.arange(batch_size)

        def draw(step: int) -> Any:
            if self.fault == "fresh entropy":
                return np.random.default_rng().integers(len(samples), size=batch_size)
            if self.fault == "numpy's global state":
                return np.random.randint(len(samples), size=batch_size)  # noqa: NPY002 - the fault
            if self.fault == "goes on from the last":
                last[:] = (last + 1) % len(samples)
                return last.copy()
            if self.fault == "too few":
                return last[1:]
            return last + len(samples)

        return draw


@dataclass(frozen=True)
class Falls:
    """A schedule that falls below 0."""

    def factor(self, progress: float) -> float:
        return 0.5 - progress


@dataclass(frozen=True)
class Unbuildable(Sgd):
    """Torch refuses it."""

    def build(self, groups: Any, lr: float) -> Any:
        return torch.optim.SGD(list(groups), lr=lr, momentum=-1.0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"sampler": Draws("fresh entropy")}, "draws different rows each time"),
        ({"sampler": Draws("numpy's global state")}, "draws from numpy's global random state"),
        ({"sampler": Draws("goes on from the last")}, "draws different rows each time"),
        ({"sampler": Draws("too few")}, "must draw an array of"),
        ({"sampler": Draws("beyond")}, "of 300 samples"),
        ({"schedule": Falls()}, "must give a finite factor from 0 up"),
        ({"optimizer": Unbuildable()}, "cannot be built: Invalid momentum"),
    ],
)
def test_what_a_plan_gives_a_stage_is_tried(given: Any, words: str, tiny_home: Path) -> None:
    (problem,) = problems_of(one_stage(**given))
    assert "stage 'only'" in problem
    assert words in problem


class Blind(nn.Module):
    """A network that no later stage can see."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__()
        self.head = nn.Linear(3, num_outputs)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(images.mean(dim=(2, 3)))


def test_a_network_without_features_is_found_if_a_stage_sees_it(tiny_home: Path) -> None:
    build = hook(lambda self, num_outputs: Blind(num_outputs), "build_model")
    (problem,) = problems_of(variant(build_model=build))
    assert "build_model in stage 'first': the network has no forward_features, but" in problem
    assert problems_of(one_stage(build_model=build)) == []


@pytest.mark.parametrize(
    ("name", "meant"),
    [("noise_trick", "noise_tricks"), ("on_step_start", "on_stage_start"), ("plans", "plan")],
)
def test_a_misspelt_hook_is_found(name: str, meant: str, tiny_home: Path) -> None:
    (problem,) = problems_of(variant(**{name: lambda self: []}))
    assert f"it has {name!r}, which is not a hook; did you mean {meant!r}?" in problem


def test_a_check_leaves_the_random_states_alone(tiny_home: Path) -> None:
    states = random.getstate(), torch.get_rng_state().tolist()
    problems_of(Sound)
    assert states == (random.getstate(), torch.get_rng_state().tolist())


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
        if self.how == f"missing {split}":
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
        ("missing train", "the first picture of train, "),
        ("missing val", "x is missing, the first of 60 such pictures; val cannot be scored"),
        ("confused", "load_samples gives for test no samples, another split or different classes"),
    ],
)
def test_a_data_set_is_tried_on_itself(how: str, words: str | None, tiny_home: Path) -> None:
    problems = problems_of(Data(how=how), data=DataSpec(name="Data"))
    assert len(problems) == (words is not None), problems
    assert all(str(words) in problem for problem in problems), problems
    assert problems_of(Data(how=how)) == []  # not its own data: only what needs none


def test_what_is_not_a_plugin_is_said(tiny_home: Path) -> None:
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
    from harness.conformance import checks

    found = [f for name, f in vars(checks).items() if name.startswith("check_")]
    assert len(found) >= 10
    assert all(inspect.getdoc(check) for check in found)


class Shades:
    """Encodes pictures by what the test says, texts by their length."""

    encoders = ("shades", "shades:FILE")

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        self.answer = answer

    @hookimpl
    def encode_texts(self, encoder: str, texts: Sequence[str]) -> Any:
        return circle([len(text) for text in texts]) if encoder == "shades" else None

    @hookimpl
    def encoder_identity(self, encoder: str) -> object:
        return "shades" if encoder == "shades" else None

    @hookimpl
    def picture_encoder(self) -> PictureEncoder:
        return PictureEncoder(size=8, encode=self.answer)


def circle(angles: Any) -> np.ndarray[Any, Any]:
    return np.stack([np.sin(angles), np.cos(angles)], axis=1)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda pictures: circle(pictures.mean(axis=(1, 2, 3))), None),
        (lambda pictures: np.eye(3)[[0] * len(pictures)], "texts 2 columns and pictures 3"),
        (lambda pictures: np.zeros((len(pictures), 2)), "must return vectors of length 1, not 0"),
        (
            lambda pictures: circle(torch.rand(len(pictures)).numpy()),
            "gives different vectors of 'shades' each time",
        ),
    ],
)
def test_an_encoder_is_tried_on_texts_and_pictures(
    answer: Callable[[Any], Any], said: str | None, tiny_home: Path
) -> None:
    problems = problems_of(Shades(answer))
    assert len(problems) == (said is not None), problems
    assert (said or "") in "".join(problems)
