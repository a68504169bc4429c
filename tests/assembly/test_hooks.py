"""Every hook is really called; who answers, in which order, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pluggy
import pytest
import torch
from torch import nn

from harness.assembly.activation import Activation
from harness.assembly.contract import Contribution, tricks_of
from harness.assembly.hooks import Active, Hooks
from harness.errors import HarnessError, NoLabelsError, PluginError
from harness.hookspecs import HOOKS, hookimpl
from harness.samples import Samples
from harness.spec import DataSpec, RunSpec
from harness.store.record import ResultRecord
from harness.values import (
    Batch,
    Loss,
    Picture,
    PictureEncoder,
    Plan,
    Stage,
    Trick,
    View,
    Views,
    apply,
)

SPEC = RunSpec(plugin="first", data=DataSpec(name="synthweb", path="tiny"))
STAGE = Stage(name="train")
PLAN = Plan(stages=(STAGE,))


@dataclass(frozen=True)
class Say:
    """A trick of any slot: it says its word to what it is given."""

    word: str = "a"

    def __call__(self, value: Any) -> Any:
        return [*value, self.word]


@dataclass(frozen=True)
class Shout(Say):
    """Another trick."""


def hooks(*plugins: object, **given: Any) -> Hooks:
    names = ("first", "second", "third")
    active = [Active(name, plugin) for name, plugin in zip(names, plugins, strict=False)]
    return Hooks(active, method="first", **given)


def plugin_with(hook: str, answer: Callable[..., Any]) -> object:
    """A plugin that answers one hook."""
    answer.__name__ = hook
    return type("Plugin", (), {hook: staticmethod(hookimpl(answer))})()


# provide


def test_hook_load_samples(small_samples: Samples) -> None:
    class Data:
        @hookimpl
        def load_samples(self, spec: RunSpec, split: str) -> Samples:
            assert spec == SPEC
            return small_samples.assign(split=split)

    assert hooks(Data()).load_samples(SPEC, "train").split == "train"
    assert hooks(Data()).provider("load_samples").name == "first"


@pytest.mark.parametrize(
    ("reader", "read"),
    [
        ("read_texts", Samples.texts),
        ("read_queries", Samples.searched),
        ("read_context", Samples.context_fingerprint),
    ],
)
def test_a_reader_of_a_data_set_that_fails_is_named(
    reader: str, read: Any, small_samples: Samples
) -> None:
    def lost() -> Any:
        raise KeyError("lost")

    class Data:
        @hookimpl
        def load_samples(self, spec: RunSpec, split: str) -> Samples:
            return small_samples.assign(query=small_samples.query * 0, **{reader: lost})

    samples = hooks(Data()).load_samples(SPEC, "train")
    words = rf"^plugin 'first': {reader}: KeyError: 'lost' \(test_hooks.py, line \d+: raise"
    with pytest.raises(PluginError, match=words):
        read(samples)


def test_hook_plan() -> None:
    class Method:
        @hookimpl
        def plan(self, spec: RunSpec) -> Plan:
            return Plan(stages=(replace(STAGE, epochs=spec.seed + 1),))

    assert hooks(Method()).plan(SPEC).stages[0].epochs == 1


def test_hook_build_model() -> None:
    class Networks:
        @hookimpl
        def build_model(self, spec: RunSpec, stage: Stage, num_outputs: int) -> nn.Module:
            return nn.Linear(stage.input_size, num_outputs)

    network = hooks(Networks()).build_model(SPEC, STAGE, 7)
    assert isinstance(network, nn.Linear)
    assert (network.in_features, network.out_features) == (224, 7)


def test_hook_encode_texts() -> None:
    class Lengths:
        @hookimpl
        def encode_texts(self, encoder: str, texts: Sequence[str]) -> Any:
            return np.eye(4)[[len(text) for text in texts]] if encoder == "length" else None

    class Others:
        encoders = ("flat", "file:NAME")

        @hookimpl
        def encode_texts(self, encoder: str) -> Any:
            answers = {"flat": np.zeros(2), "zero": np.zeros((2, 3)), "list": [[1.0], [1.0]]}
            return answers.get(encoder)

    both = hooks(Lengths(), Others())
    lengths = both.encode_texts(SPEC, "length", ["a", "bcd"])
    assert lengths.dtype == np.float32
    assert lengths.argmax(axis=1).tolist() == [1, 3]
    for typo, near in (("flatt", "flat"), ("fil:here", "file:NAME")):
        with pytest.raises(HarnessError, match=f"encoder '{typo}'; did you mean '{near}'"):
            both.encode_texts(SPEC, typo, [])
    with pytest.raises(PluginError, match="'second': encode_texts must return vectors of length 1"):
        both.encode_texts(SPEC, "zero", ["a", "b"])
    with pytest.raises(PluginError, match=r"\(2, D\) vectors, a numpy array of floats, not list"):
        both.encode_texts(SPEC, "list", ["a", "b"])
    with pytest.raises(HarnessError, match=r"provides text encoder 'x' \(asked: first, second\)"):
        both.encode_texts(SPEC, "x", [])
    with pytest.raises(PluginError, match=r"'second': encode_texts must return \(2, D\) vectors"):
        both.encode_texts(SPEC, "flat", ["a", "b"])
    with pytest.raises(
        PluginError, match="'first' and 'second' both provide text encoder 'length'"
    ):
        hooks(Lengths(), Lengths()).encode_texts(SPEC, "length", ["a"])


class Shades:
    """Encodes texts, and pictures in whatever way the test says."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    @hookimpl
    def encode_texts(self) -> Any:
        raise AssertionError("no text is encoded for asking")

    @hookimpl
    def encoder_identity(self, encoder: str) -> object:
        return 1 if encoder == "shades" else None

    @hookimpl
    def picture_encoder(self) -> object:
        return self.answer


def test_hook_picture_encoder() -> None:
    def shares(pictures: Any) -> Any:
        light = pictures.mean(axis=(1, 2, 3)) / 255
        vectors = np.stack([light, 1 - light], axis=1)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    class Texts:
        @hookimpl
        def encode_texts(self) -> Any:
            raise AssertionError("no text is encoded for asking")

        @hookimpl
        def encoder_identity(self, encoder: str) -> object:
            return 2 if encoder == "words" else None

    run = hooks(Texts(), Shades(PictureEncoder(size=4, encode=shares)))
    found = run.picture_encoder(SPEC, "shades")
    assert found is not None
    assert found.size == 4
    pictures = np.zeros((2, 4, 4, 3), np.uint8)
    pictures[1] = 255
    assert found.encode(pictures).tolist() == [[0, 1], [1, 0]]
    # Another plugin's pictures would not be in the keys: who provides the texts is asked.
    assert run.picture_encoder(SPEC, "words") is None
    assert hooks(Shades(None)).picture_encoder(SPEC, "shades") is None
    with pytest.raises(HarnessError, match="no active plugin provides text encoder 'shade'"):
        run.picture_encoder(SPEC, "shade")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("CLIP", "must return a PictureEncoder or None, not 'CLIP'"),
        (PictureEncoder(size=0, encode=len), "size must be pixels from 1 to 16,384, not 0"),
        (PictureEncoder(size=True, encode=len), "size must be pixels from 1 to 16,384, not True"),
        (PictureEncoder(size=4, encode=4), "encode must be a function of pictures, not 4"),  # type: ignore[arg-type]
        (1.0, r"must return \(3, D\) vectors, a numpy array of floats, not float"),
        (np.ones((2, 1)), r"must return \(3, D\) vectors, not \(2, 1\)"),
        (np.ones(3), r"must return \(3, D\) vectors, not \(3,\)"),
        (np.ones((3, 0)), r"must return \(3, D\) vectors, not \(3, 0\)"),
        (np.ones((3, 1), np.int64), "a numpy array of floats, not int64"),
        (np.full((3, 2), np.nan), "returns vectors that are not finite"),
        (np.full((3, 2), 2.0), "must return vectors of length 1, not 2.83; divide each by"),
        (np.zeros((3, 2)), "must return vectors of length 1, not 0; divide each by"),
        (KeyError("weights"), "KeyError: 'weights'"),
    ],
)
def test_a_wrong_picture_encoder_is_one_line_with_its_name(answer: Any, said: str) -> None:
    def encode(_: object) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    wrong = isinstance(answer, (str, PictureEncoder))
    run = hooks(Shades(answer if wrong else PictureEncoder(size=4, encode=encode)))
    pictures = np.zeros((3, 4, 4, 3), np.uint8)
    with pytest.raises(HarnessError, match=said) as raised:
        cast("PictureEncoder", run.picture_encoder(SPEC, "shades")).encode(pictures)
    assert "plugin 'first': picture_encoder" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_hook_load_truth(small_samples: Samples) -> None:
    class Data:
        def __init__(self, truth: object) -> None:
            self.truth = truth

        @hookimpl
        def load_samples(self) -> Samples:
            return small_samples

        @hookimpl
        def load_truth(self, samples: Samples) -> object:
            return self.truth

    class Stranger:
        @hookimpl
        def load_truth(self) -> object:
            raise AssertionError("only the run's data set is asked")

    truth = np.full(len(small_samples), -1)
    found = hooks(Data(truth), Stranger()).load_truth(SPEC, small_samples)
    assert found is not None
    assert (found.dtype, found.tolist()) == (np.int32, truth.tolist())
    assert hooks(Data(None)).load_truth(SPEC, small_samples) is None
    for wrong in (truth[1:], truth + 99, truth.astype(float)):
        with pytest.raises(PluginError, match="load_truth"):
            hooks(Data(wrong)).load_truth(SPEC, small_samples)


def test_hook_network_identity() -> None:
    class Networks:
        @hookimpl
        def build_model(self) -> nn.Module:
            return nn.Identity()

    class Known(Networks):
        @hookimpl
        def network_identity(self, stage: Stage) -> object:
            return (stage.backbone, 2)

    silent, known = Networks(), Known()
    assert hooks(silent).network_provider(SPEC, STAGE) == (silent, None)
    assert hooks(known).network_provider(SPEC, STAGE) == (known, ("resnet50", 2))
    with pytest.raises(PluginError, match="both provide 'build_model'"):
        hooks(silent, known).network_provider(SPEC, STAGE)


def test_hook_encoder_identity() -> None:
    class Silent:
        @hookimpl
        def encode_texts(self) -> Any:
            raise AssertionError("nothing is encoded for asking")

    class Known(Silent):
        @hookimpl
        def encoder_identity(self, encoder: str) -> object:
            return {"a": "a of 2020"}.get(encoder)

    silent, known, other = Silent(), Known(), Silent()
    assert hooks(silent, known).encoder_providers(SPEC, "a") == [("second", known, "a of 2020")]
    # Who says nothing of encoders may know this one: only encoding would tell.
    run = hooks(silent, known, other)
    asked = [("first", silent, None), ("third", other, None)]
    assert run.encoder_providers(SPEC, "b") == asked
    with pytest.raises(HarnessError, match=r"provides text encoder 'b' \(asked: first\)"):
        hooks(known).encoder_providers(SPEC, "b")
    with pytest.raises(PluginError, match="'first' and 'second' both provide text encoder 'a'"):
        hooks(known, Known()).encoder_providers(SPEC, "a")


# contribute


def test_hook_stage_tricks() -> None:
    class Profile:
        @hookimpl
        def stage_tricks(self, spec: RunSpec, stage: Stage) -> Sequence[Trick[Stage]]:
            return [lambda stage: replace(stage, epochs=stage.epochs // 2)]

    (given,) = hooks(Profile()).stage_tricks(SPEC, STAGE)
    assert given.plugin == "first"
    assert given(STAGE).epochs == 45


def test_hook_noise_tricks(small_samples: Samples) -> None:
    class Noise:
        @hookimpl
        def noise_tricks(self, stage: Stage) -> Sequence[Trick[Samples]]:
            return [lambda samples: samples.assign(weight=samples.weight * 2)] * len(stage.name)

    samples = apply(hooks(Noise()).noise_tricks(SPEC, STAGE), small_samples)
    assert samples.weight.tolist() == [32.0] * 12


def test_hook_epoch_tricks(small_samples: Samples) -> None:
    class Noise:
        @hookimpl
        def epoch_tricks(self, stage: Stage) -> Sequence[Trick[Samples]]:
            return [lambda samples: samples.assign(weight=samples.weight * samples.epoch)]

    (trick,) = hooks(Noise()).epoch_tricks(SPEC, STAGE)
    assert set(trick(small_samples.assign(epoch=3)).weight.tolist()) == {3.0}
    with pytest.raises(PluginError, match="changes epoch of the samples"):
        Contribution("mine", lambda s: s.assign(epoch=9), "epoch_tricks")(small_samples)


def test_hook_picture_tricks() -> None:
    class Pictures:
        @hookimpl
        def picture_tricks(self, stage: Stage) -> Sequence[Trick[Picture]]:
            return [lambda picture: picture._replace(pixels=255 - picture.pixels)]

    (trick,) = hooks(Pictures()).picture_tricks(SPEC, STAGE)
    black = Picture(np.zeros((4, 4, 3), np.uint8), seed=1)
    assert set(trick(black).pixels.ravel().tolist()) == {255}
    for wrong in (None, black._replace(pixels=black.pixels[:2]), black._replace(pixels=1.0)):
        with pytest.raises(PluginError, match=r"mine.*must"):
            Contribution("mine", lambda _, wrong=wrong: wrong, "picture_tricks")(black)
    with pytest.raises(PluginError, match=r"function: ZeroDivisionError"):
        Contribution("mine", lambda _: 1 / 0, "picture_tricks")(black)


def test_hook_model_tricks() -> None:
    class Model:
        @hookimpl
        def model_tricks(self) -> Sequence[Trick[nn.Module]]:
            return [lambda module: nn.Sequential(module, nn.ReLU())]

    (trick,) = hooks(Model()).model_tricks(SPEC, STAGE)
    assert len(list(trick(nn.Identity()).children())) == 2


def test_hook_batch_tricks() -> None:
    class Mixes:
        @hookimpl
        def batch_tricks(self, spec: RunSpec) -> Sequence[Trick[Batch]]:
            return (lambda batch: replace(batch, weights=batch.weights + spec.seed + 5),)

    (trick,) = hooks(Mixes()).batch_tricks(SPEC, STAGE)
    images, targets = torch.zeros(2, 3, 4, 4), torch.zeros(2, 3)
    batch = Batch(
        images=images, targets=targets, weights=torch.zeros(2), index=torch.arange(2), seed=0
    )
    assert trick(batch).weights.tolist() == [5, 5]


def test_hook_loss_tricks() -> None:
    class Doubles:
        @hookimpl
        def loss_tricks(self) -> Sequence[Trick[Loss]]:
            return [lambda loss: lambda logits, batch: 2 * loss(logits, batch)]

    def plain(logits: Any, batch: Batch) -> Any:
        return logits

    loss: Any = apply(hooks(Doubles()).loss_tricks(SPEC, STAGE), plain)
    assert loss(3, None) == 6


def test_hook_testing_tricks() -> None:
    class Mirrors:
        @hookimpl
        def testing_tricks(self) -> Sequence[Trick[Views]]:
            return [lambda views: (*views, *(replace(view, flip=True) for view in views))]

    plain: Views = (View(short_side=8, size=8),)
    views = apply(hooks(Mirrors()).testing_tricks(SPEC, PLAN), plain)
    assert [view.flip for view in views] == [False, True]


# observe


@dataclass
class Witness:
    """Writes down what it hears."""

    name: str = "witness"
    heard: list[Any] = field(default_factory=list)

    @hookimpl
    def on_run_start(self, spec: RunSpec, plan: Plan) -> None:
        self.heard.append((self.name, "run start", spec.seed, len(plan.stages)))

    @hookimpl
    def on_stage_start(self, stage: Stage, steps: int, first_step: int) -> None:
        self.heard.append((self.name, "stage start", stage.name, steps, first_step))

    @hookimpl
    def on_step_end(self, step: int, scalars: dict[str, float]) -> None:
        self.heard.append((self.name, "step end", step, scalars))

    @hookimpl
    def on_batch(self, stage: Stage, step: int, batch: Any, network: Any) -> None:
        self.heard.append((self.name, "batch", stage.name, step, batch, network))

    @hookimpl
    def on_stage_end(self, scalars: dict[str, float]) -> str:
        self.heard.append((self.name, "stage end", scalars))
        return "what an observer returns is ignored"

    @hookimpl
    def on_run_end(self, record: ResultRecord) -> None:
        self.heard.append((self.name, "run end", record.id))


def test_hook_on_run_start() -> None:
    witness = Witness()
    hooks(witness).on_run_start(SPEC, PLAN)
    assert witness.heard == [("witness", "run start", 0, 1)]


def test_hook_on_stage_start() -> None:
    witness = Witness()
    hooks(witness).on_stage_start(STAGE, 10, 3)
    assert witness.heard == [("witness", "stage start", "train", 10, 3)]


def test_hook_on_step_end() -> None:
    witness = Witness()
    hooks(witness).on_step_end(STAGE, 4, {"loss": 1.5})
    assert witness.heard == [("witness", "step end", 4, {"loss": 1.5})]


def test_hook_on_batch() -> None:
    witness, batch, network = Witness(), object(), object()
    hooks(witness).on_batch(STAGE, 4, batch, network)
    assert witness.heard == [("witness", "batch", "train", 4, batch, network)]


def test_hook_on_stage_end() -> None:
    witness = Witness()
    hooks(witness).on_stage_end(STAGE, {"cached": 1.0})
    assert witness.heard == [("witness", "stage end", {"cached": 1.0})]


def test_hook_on_run_end(small_record: ResultRecord) -> None:
    witness = Witness()
    hooks(witness).on_run_end(small_record)
    assert witness.heard == [("witness", "run end", small_record.id)]


def test_observers_hear_in_written_order_and_nothing_once_silenced() -> None:
    heard: list[Any] = []
    run = hooks(Witness("a", heard), Witness("b", heard))
    run.on_stage_start(STAGE, 1, 0)
    assert [name for name, *_ in heard] == ["a", "b"]
    run.silence()
    run.on_stage_start(STAGE, 1, 0)
    assert len(heard) == 2


def test_hook_metrics(small_samples: Samples) -> None:
    class Measures:
        @hookimpl
        def metrics(self, samples: Samples, handled: Any) -> dict[str, Any]:
            return {"moved": int(len(samples) - handled["train"].weight.sum()), "share": 0.5}

    def measured(plugin: object) -> Any:
        handled = {"train": small_samples.assign(weight=small_samples.weight * 0)}
        return hooks(plugin).metrics(SPEC, small_samples, handled, lambda name: None)

    assert measured(Measures()) == {"first": {"moved": 12.0, "share": 0.5}}
    for wrong in (None, {"a": "b"}, {"a": float("nan")}, {1: 2}, {"a": True}):

        class Wrong:
            @hookimpl
            def metrics(self, wrong: Any = wrong) -> Any:
                return wrong

        with pytest.raises(PluginError, match=r"'first'.*metrics"):
            measured(Wrong())


# the contract of the hooks themselves


def test_every_hook_has_a_test_here() -> None:
    tests = Path(__file__).read_text()
    assert len(HOOKS) == 23
    assert [hook for hook in HOOKS if f"def test_hook_{hook}(" not in tests] == []


def test_every_hook_has_a_heading_in_the_docs() -> None:
    page = Path(__file__).parents[2] / "docs" / "hooks.md"
    manager = pluggy.PluginManager("harness")
    from harness.hookspecs import KINDS

    for kind in KINDS:
        manager.add_hookspecs(kind)
    headings = re.findall(r"^### (.+)$", page.read_text(), re.MULTILINE)
    wanted = [f"{h}({', '.join(getattr(manager.hook, h).spec.argnames)})" for h in HOOKS]
    assert [heading for heading in wanted if heading not in headings] == []


ORDER = """\
load_samples: synthweb
plan: malong_curriculum, baseline
build_model: timm
encode_texts: texts
picture_encoder: texts
load_truth: synthweb
network_identity: timm
encoder_identity: texts
stage_tricks: synthweb
noise_tricks:
epoch_tricks:
model_tricks: malong_curriculum
picture_tricks:
batch_tricks:
loss_tricks:
testing_tricks:
metrics:
on_run_start: console, tensorboard
on_stage_start: console, tensorboard
on_step_end: console, tensorboard
on_batch: tensorboard
on_stage_end: console, tensorboard
on_run_end: console, tensorboard
"""


def test_the_whole_order_of_a_run() -> None:
    spec = RunSpec(plugin="malong_curriculum", extra=("baseline",))
    order = Activation(spec).hooks.order()
    lines = [f"{hook}: {', '.join(names)}".rstrip() for hook, names in order.items()]
    assert "\n".join(lines) + "\n" == ORDER


def test_the_order_is_the_one_in_which_the_run_names_them() -> None:
    spec = RunSpec(plugin="baseline", extra=("tensorboard", "synthweb", "malong_curriculum"))
    order = Activation(spec).hooks.order()
    assert order["plan"] == ("baseline", "malong_curriculum")
    assert order["on_run_start"] == ("tensorboard", "console")
    assert order["load_samples"] == ("synthweb",)


def test_contributions_are_joined_in_written_order() -> None:
    words = [
        plugin_with("noise_tricks", lambda: [Say("1"), Say("2")]),
        plugin_with("noise_tricks", lambda: (Say("3"),)),
        plugin_with("noise_tricks", lambda: [Shout("4")]),
    ]
    for order, said in ((words, "1234"), (words[::-1], "4312")):
        given = hooks(*order).noise_tricks(SPEC, STAGE)
        assert "".join(trick.word for trick in tricks_of(given)) == said  # type: ignore[attr-defined]


def test_another_method_lends_its_tricks_but_not_its_plan() -> None:
    def method(name: str) -> object:
        class Method:
            @hookimpl
            def plan(self) -> Plan:
                return Plan(stages=(Stage(name=name),))

            @hookimpl
            def noise_tricks(self) -> Sequence[Trick[Samples]]:
                return [Say(name)]

        return Method()

    run = hooks(method("own"), method("lent"))
    assert run.plan(SPEC).stages[0].name == "own"
    assert [trick.word for trick in tricks_of(run.noise_tricks(SPEC, STAGE))] == ["own", "lent"]  # type: ignore[attr-defined]


# what is refused


@pytest.mark.parametrize("hook", ["load_samples", "build_model"])
def test_two_providers_are_an_error_that_names_both(hook: str) -> None:
    run = hooks(plugin_with(hook, lambda: None), plugin_with(hook, lambda: None))
    with pytest.raises(PluginError) as caught:
        run.provider(hook)
    assert str(caught.value) == (
        f"'first' and 'second' both provide '{hook}'; leave one of them out of this run"
    )


def test_three_providers_are_all_named() -> None:
    many = hooks(*(plugin_with("load_samples", lambda: None) for _ in range(3)))
    with pytest.raises(PluginError, match="'first' and 'second' and 'third' both"):
        many.load_samples(SPEC, "train")


def test_nobody_providing_is_an_error() -> None:
    with pytest.raises(PluginError, match="no active plugin provides 'build_model'"):
        hooks(object()).build_model(SPEC, STAGE, 1)
    lent = plugin_with("plan", lambda: PLAN)
    with pytest.raises(PluginError, match="plugin 'first' does not provide 'plan'"):
        hooks(object(), lent).plan(SPEC)


@pytest.mark.parametrize("answer", [None, (STAGE,), "plan", Plan])
def test_a_plan_that_is_none_is_refused(answer: object) -> None:
    with pytest.raises(PluginError, match="plugin 'first': plan must return a Plan, not "):
        hooks(plugin_with("plan", lambda: answer)).plan(SPEC)


def test_a_split_without_labels_is_not_tested(small_samples: Samples) -> None:
    unlabelled = small_samples.assign(split="test", label=np.full(12, -1, np.int32))
    run = hooks(plugin_with("load_samples", lambda: unlabelled))
    with pytest.raises(NoLabelsError, match=r"test of .* has no labels") as caught:
        run.load_samples(SPEC, "test")
    assert caught.value.pictures is not None
    assert caught.value.pictures() is unlabelled


@pytest.mark.parametrize("hook", ["load_samples", "build_model"])
def test_an_answer_of_the_wrong_type_is_refused(hook: str) -> None:
    run = hooks(plugin_with(hook, lambda: None))
    arguments = {"load_samples": ("train",), "build_model": (STAGE, 3)}[hook]
    with pytest.raises(PluginError, match=f"plugin 'first': {hook} must return a .*, not None"):
        getattr(run, hook)(SPEC, *arguments)


@pytest.mark.parametrize("answer", [None, Say(), [None], ["Say"], {"a": Say()}, 3])
@pytest.mark.parametrize("hook", [hook for hook in HOOKS if hook.endswith("_tricks")])
def test_what_is_not_a_list_of_tricks_is_refused(hook: str, answer: object) -> None:
    run = hooks(plugin_with(hook, lambda: answer))
    argument = PLAN if hook == "testing_tricks" else STAGE
    with pytest.raises(PluginError, match=f"plugin 'first': {hook} must return a list of tricks"):
        getattr(run, hook)(SPEC, argument)


def test_a_misspelt_hook_is_named() -> None:
    with pytest.raises(PluginError, match=r"plugin 'first' cannot be used: .*noise_trick"):
        hooks(plugin_with("noise_trick", lambda: [Say()]))


def test_an_argument_that_the_hook_does_not_have_is_named() -> None:
    def answer(stages: object) -> list[object]:
        return []

    with pytest.raises(PluginError, match=r"'first' cannot be used: .*noise_tricks.*stages"):
        hooks(plugin_with("noise_tricks", answer))


def test_an_argument_with_a_default_is_refused_for_it_would_never_be_given() -> None:
    def answer(spec: object, stage: object = None) -> list[object]:
        return []

    with pytest.raises(PluginError, match=r"noise_tricks has a default for 'stage'"):
        hooks(plugin_with("noise_tricks", answer))


def test_a_hook_without_its_mark_is_refused() -> None:
    class Forgot:
        def noise_tricks(self) -> list[object]:
            return []

    with pytest.raises(PluginError, match="'first' cannot be used: its noise_tricks is not marked"):
        hooks(Forgot())


@pytest.mark.parametrize("option", ["tryfirst", "trylast", "wrapper"])
def test_nobody_jumps_the_order(option: str) -> None:
    marker: Any = pluggy.HookimplMarker("harness")

    def noise_tricks(self: object) -> Any:
        yield

    jumps = type("Jumps", (), {"noise_tricks": marker(**{option: True})(noise_tricks)})
    with pytest.raises(PluginError, match="noise_tricks is a wrapper or changes its place"):
        hooks(jumps())


def test_one_name_twice_is_refused() -> None:
    with pytest.raises(PluginError, match=r"plugin 'first' cannot be used: .*already registered"):
        Hooks([Active("first", object()), Active("first", object())], method="first")


# --without


def test_a_trick_is_left_out_from_every_source() -> None:
    run = hooks(
        plugin_with("noise_tricks", lambda: [Say("1"), Shout("2")]),
        plugin_with("loss_tricks", lambda: [Shout("3")]),
        without=["Shout"],
    )
    assert tricks_of(run.noise_tricks(SPEC, STAGE)) == (Say("1"),)
    assert run.loss_tricks(SPEC, STAGE) == []
    run.check_chosen(SPEC, [])


def test_a_trick_that_is_not_there_lists_those_that_are() -> None:
    run = hooks(plugin_with("noise_tricks", lambda: [Say(), Shout()]), without=["Shuot"])
    run.noise_tricks(SPEC, STAGE)
    with pytest.raises(HarnessError) as caught:
        run.check_chosen(SPEC, [])
    assert str(caught.value) == (
        "unknown trick 'Shuot'; did you mean 'Shout'? this run's tricks: Say, Shout"
    )


def test_an_error_of_a_plugins_own_is_a_line_that_names_its_place_and_keeps_its_cause() -> None:
    def answer() -> Plan:
        raise ZeroDivisionError

    with pytest.raises(PluginError) as caught:
        hooks(plugin_with("plan", answer)).plan(SPEC)
    assert str(caught.value).startswith("plugin 'first': plan: ZeroDivisionError (test_hooks.py, ")
    assert str(caught.value).endswith(": raise ZeroDivisionError)")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_an_error_of_a_hook_of_a_stage_names_the_stage() -> None:
    def answer(stage: Stage) -> list[Any]:
        return [stage.nothing]  # type: ignore[attr-defined]

    with pytest.raises(PluginError, match=r"'first': noise_tricks in stage '.*': AttributeError"):
        hooks(plugin_with("noise_tricks", answer)).noise_tricks(SPEC, STAGE)


@pytest.mark.parametrize("error", [MemoryError("all of it"), OSError(28, "No space left")])
def test_errors_of_the_machine_are_not_the_plugins(error: Exception) -> None:
    def answer() -> Plan:
        raise error

    with pytest.raises(type(error)) as caught:
        hooks(plugin_with("plan", answer)).plan(SPEC)
    assert caught.value is error


def test_a_lost_rank_is_not_the_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer() -> Plan:
        raise RuntimeError("Connection closed by peer")

    for name, value in (("RANK", "0"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "0")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "29500")
    with pytest.raises(RuntimeError, match="closed by peer"):
        hooks(plugin_with("plan", answer)).plan(SPEC)


def test_a_misspelt_argument_names_the_nearest() -> None:
    with pytest.raises(PluginError) as caught:
        hooks(plugin_with("noise_tricks", lambda stge: []))
    assert str(caught.value) == (
        "plugin 'first' cannot be used: unknown argument of noise_tricks 'stge'; did you mean "
        "'stage'? it is given: spec, stage"
    )


def test_a_marked_hook_that_there_is_not_names_the_nearest() -> None:
    with pytest.raises(PluginError, match=r"unknown hook 'noises'; did you mean 'noise_tricks'"):
        hooks(plugin_with("noises", lambda stage: []))


def test_an_error_of_an_identity_is_named(small_samples: Samples) -> None:
    def failing(spec: RunSpec) -> object:
        raise KeyError("weights")

    class Network:
        @hookimpl
        def build_model(self) -> object:
            return None

        network_identity = staticmethod(hookimpl(failing))

    class Encoder:
        @hookimpl
        def encode_texts(self) -> None:
            return None

        encoder_identity = staticmethod(hookimpl(failing))

    with pytest.raises(PluginError, match=r"'first': network_identity in stage '.*': KeyError"):
        hooks(Network()).network_provider(SPEC, STAGE)
    with pytest.raises(PluginError, match="'first': encoder_identity: KeyError: 'weights'"):
        hooks(Encoder()).encoder_providers(SPEC, "minilm")
