"""What tricks return is checked where it is used, and named by plugin, trick and stage."""

# ruff: noqa: NPY002 - what plugins must not touch is numpy's global state

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from harness.assembly.contract import Contribution, check_rows
from harness.assembly.hooks import Active, Hooks
from harness.errors import PluginError
from harness.hookspecs import hookimpl
from harness.samples import Predictions, Samples, StageOutputs, Targets
from harness.spec import DataSpec, RunSpec
from harness.values import Batch, Plan, Stage, View

FIRST = Stage(name="first")

WHO = r"plugin 'bad': Does in stage 'train'"


@dataclass(frozen=True)
class Does:
    """A trick that does what it is told."""

    what: Callable[[Any], Any]

    def __call__(self, value: Any) -> Any:
        return self.what(value)


def given(slot: str, what: Callable[[Any], Any]) -> Contribution[Any]:
    return Contribution("bad", Does(what), slot, "train")


def writes(get: Callable[[Samples], Any]) -> Callable[[Samples], Samples]:
    def what(samples: Samples) -> Samples:
        get(samples)[0] = 1
        return samples

    return what


@pytest.fixture
def seeing(small_samples: Samples) -> Samples:
    """Small samples with targets, and with an earlier stage."""
    count = len(small_samples)
    predictions = Predictions(
        np.zeros((count, 2), np.int32), np.ones((count, 2), np.float32), np.ones(count, np.float32)
    )
    targets = Targets(small_samples.label[:, None].copy(), np.ones((count, 1), np.float32))
    sight = StageOutputs(np.ones((count, 4), np.float32), predictions)
    return small_samples.assign(
        targets=targets,
        seen={"first": sight},
        encode_texts=lambda _, texts: np.ones((len(texts), 2), np.float32),
    )


@pytest.mark.parametrize(
    "get",
    [
        lambda samples: samples.files,
        lambda samples: samples.label,
        lambda samples: samples.source,
        lambda samples: samples.query,
        lambda samples: samples.rank,
        lambda samples: samples.weight,
        lambda samples: samples.subset,
        lambda samples: samples.targets.classes,
        lambda samples: samples.targets.weights,
        lambda samples: samples.features(FIRST),
        lambda samples: samples.predictions(FIRST).classes,
        lambda samples: samples.predictions(FIRST).probabilities,
        lambda samples: samples.predictions(FIRST).of_label,
        lambda samples: samples.encode("letters", ["a", "b"]),
        lambda samples: samples.seen,
    ],
)
def test_what_a_noise_trick_is_given_cannot_be_written_to(get: Any, seeing: Samples) -> None:
    with pytest.raises(PluginError) as refused:
        given("noise_tricks", writes(get))(seeing)
    line = str(refused.value)
    assert line.startswith("plugin 'bad': Does in stage 'train' writes into its arguments")
    assert "test_contract.py, line" in line
    assert "get(samples)[0] = 1" in line
    assert "samples.assign(weight=...)" in line


def past_protection(samples: Samples) -> Samples:
    torch.from_numpy(samples.weight).mul_(2)
    return samples


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
def test_a_write_past_the_protection_is_found(seeing: Samples) -> None:
    with pytest.raises(
        PluginError, match=f"{WHO} writes into the samples .* in spite of their write"
    ):
        given("noise_tricks", past_protection)(seeing)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (lambda samples: None, "must return Samples, not None"),
        (lambda samples: samples.weight, r"must return Samples, not ndarray float32 \(12,\)"),
        (lambda samples: samples.assign(weight=samples.weight[:, None]), r"must be \(N,\)"),
        (
            lambda samples: samples.assign(weight=samples.weight.astype(np.float64)),
            "weight of Samples must be an array of float32, not float64",
        ),
        (lambda samples: samples.assign(weight=samples.weight.astype(np.complex64)), "complex64"),
        (lambda samples: samples.assign(weight=[1.0] * 12), "not list"),
        (lambda samples: samples.assign(label=samples.label.astype(np.int64)), "not int64"),
        (lambda samples: samples.assign(subset=samples.subset.astype(np.int32)), "not int32"),
        (lambda samples: samples.assign(weight=samples.weight * np.nan), "must be finite"),
        (lambda samples: samples.assign(weight=samples.weight - 2), "not negative"),
        (lambda samples: samples.assign(weight=samples.weight * 0), "gives weight 0 to every"),
        (
            lambda samples: samples.assign(weight=(samples.subset < 0).astype(np.float32)),
            "gives weight 0 to every sample that is left",
        ),
        (lambda samples: samples.assign(subset=samples.subset * 0 - 1), "leaves every sample out"),
        (lambda samples: samples.assign(files=np.sort(samples.files)[::-1]), "changes files of"),
        (lambda samples: samples.assign(files=samples.files.tolist()), "changes files of"),
        (lambda samples: samples.assign(query=samples.query + 1), "changes query of"),
        (lambda samples: samples.assign(rank=samples.rank + 1), "changes rank of"),
        (lambda samples: samples.assign(source=samples.source + 1), "changes source of"),
        (lambda samples: samples.assign(classes=(*samples.classes, "more")), "changes classes of"),
        (lambda samples: samples.assign(split="val"), "changes split of"),
        (lambda samples: samples.assign(root=Path("elsewhere")), "changes root of"),
        (lambda samples: samples.assign(store=object()), "changes store of"),
        (lambda samples: samples.assign(fingerprint="x"), "changes fingerprint of"),
        (lambda samples: samples.assign(seen={}), "changes seen of"),
        (
            lambda samples: samples.assign(
                targets=Targets(samples.targets.classes, samples.targets.weights.astype(np.float64))
            ),
            "weights of targets must be an array of float32, not float64",
        ),
        (
            lambda samples: samples.assign(
                targets=Targets(samples.targets.classes, samples.targets.weights * 0)
            ),
            "gives no target to any sample that is left",
        ),
        (
            lambda samples: samples.assign(
                **{
                    name: getattr(samples, name)[1:]
                    for name in ("files", "label", "source", "query", "rank", "weight", "subset")
                },
                targets=None,
            ),
            "returns 11 samples of 12; to leave one out, set its subset to -1",
        ),
    ],
)
def test_noise_that_cannot_be_trained_on_is_refused(what: Any, words: str, seeing: Samples) -> None:
    with pytest.raises(PluginError, match=f"{WHO}.*{words}"):
        given("noise_tricks", what)(seeing)


def test_a_sound_noise_trick_passes(seeing: Samples) -> None:
    def what(samples: Samples) -> Samples:
        weight = samples.weight.copy()
        weight[0] = 2
        return samples.assign(weight=weight, files=np.array(samples.files))

    assert given("noise_tricks", what)(seeing).weight.tolist() == [2.0] + [1.0] * 11


@pytest.fixture
def batch() -> Batch:
    return Batch(
        images=torch.randn(4, 3, 8, 8),
        targets=torch.eye(4, 6),
        weights=torch.ones(4),
        index=torch.arange(4),
        seed=3,
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": lambda b: b.images[:2]}, r"targets of a batch of 2 images are \(4, 6\)"),
        ({"images": lambda b: b.images.double()}, "images must be a tensor of torch.float32"),
        ({"images": lambda b: b.images[0]}, "images of a batch of 3 images are"),
        ({"images": lambda b: None}, "images must be a tensor of torch.float32, not None"),
        ({"targets": lambda b: b.targets.argmax(dim=1)}, "targets must be a tensor of torch.float"),
        ({"targets": lambda b: b.targets.double()}, "targets must be a tensor of torch.float32"),
        ({"targets": lambda b: b.targets[:, :5]}, r"targets .* are \(4, 5\), not \(4, 6\)"),
        ({"weights": lambda b: b.weights[:, None]}, r"weights .* are \(4, 1\), not \(4,\)"),
        ({"weights": lambda b: b.weights.double()}, "weights must be a tensor of torch.float32"),
        ({"weights": lambda b: b.weights.to(torch.complex64)}, "not Tensor torch.complex64"),
        ({"index": lambda b: b.index.float()}, "index must be a tensor of torch.int64"),
        ({"seed": lambda b: 4}, "changes the seed of the batch"),
    ],
)
def test_a_batch_of_other_shapes_is_refused_in_every_step(
    changes: dict[str, Any], words: str, batch: Batch
) -> None:
    def what(batch: Batch) -> Batch:
        return replace(batch, **{name: value(batch) for name, value in changes.items()})

    with pytest.raises(PluginError, match=f"{WHO}.*{words}"):
        given("batch_tricks", what)(batch)


@pytest.mark.parametrize(
    ("slot", "what", "words"),
    [
        ("batch_tricks", lambda batch: None, "must return a Batch, not None"),
        ("model_tricks", lambda module: None, "must return a torch.nn.Module, not None"),
        ("loss_tricks", lambda loss: None, r"must return a function of \(logits, batch\)"),
        ("testing_tricks", lambda views: None, "must return a tuple of views, not None"),
        ("testing_tricks", list, "must return a tuple of views"),
        ("testing_tricks", lambda views: (*views, 3), "must return a tuple of views"),
        ("testing_tricks", lambda views: (), "gives no views"),
        ("testing_tricks", lambda views: views * 2, "gives one view twice"),
        ("stage_tricks", lambda stage: None, "must return a Stage, not None"),
        ("stage_tricks", lambda stage: replace(stage, draw=1), "must not change a stage's draw"),
    ],
)
def test_what_a_trick_returns_is_of_its_kind(slot: str, what: Any, words: str, batch: Any) -> None:
    values = {
        "batch_tricks": batch,
        "model_tricks": nn.Identity(),
        "loss_tricks": nn.functional.cross_entropy,
        "testing_tricks": (View(short_side=8, size=8),),
        "stage_tricks": Stage(name="train"),
    }
    with pytest.raises(PluginError, match=f"{WHO}.*{words}"):
        given(slot, what)(values[slot])


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (np.arange(3), "must draw an array of 4 rows"),
        (np.arange(4.0), "must draw an array of 4 rows"),
        ([0, 1, 2, 3], "must draw an array of 4 rows"),
        (np.array([0, 1, 2, 12]), "draws rows from 0 to 12 of 12 samples"),
        (np.array([0, 1, 2, -1]), "draws rows from -1 to 2"),
        (np.array([0, 1, 2, 5]), "left out of training"),
    ],
)
def test_rows_of_no_sample_are_refused(rows: Any, words: str, small_samples: Samples) -> None:
    with pytest.raises(PluginError, match=f"who .*{words}"):
        check_rows("who", rows, 4, small_samples)


def set_variable(value: Any) -> Any:
    os.environ["HARNESS_HOME"] = "/elsewhere"
    return value


def move(value: Any) -> Any:
    os.chdir("/")
    return value


def seed_numpy() -> None:
    np.random.seed(0)


def draw_from_numpy() -> None:
    np.random.rand()


def numpy_state() -> list[int]:
    return np.random.get_state()[1].tolist()


def did(*calls: Callable[[], object]) -> Callable[[Any], Any]:
    def what(value: Any) -> Any:
        for call in calls:
            call()
        return value

    return what


@pytest.fixture
def restored() -> Iterator[None]:
    """Nothing is left behind even where a check fails."""
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.set_grad_enabled(True)
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (did(lambda: torch.set_default_dtype(torch.float64)), "torch's default dtype from torch"),
        (did(lambda: torch.set_default_device("meta")), "torch's default device from cpu to meta"),
        (did(lambda: torch.set_grad_enabled(False)), "torch's grad mode from True to False"),
        (did(lambda: torch.use_deterministic_algorithms(True)), "torch's deterministic mode"),
        (did(lambda: torch.set_float32_matmul_precision("medium")), "precision of matrix products"),
        (did(lambda: torch.set_num_threads(torch.get_num_threads() + 1)), "number of threads"),
        (set_variable, "changes HARNESS_HOME from"),
        (move, "changes working folder from"),
        (did(seed_numpy), "draws from numpy's global random state or seeds it"),
        (did(draw_from_numpy), "draws from numpy's global random state or seeds it"),
        (did(lambda: torch.rand(1)), "draws from torch's global random state"),
        (did(lambda: torch.manual_seed(5)), "draws from torch's global random state"),
    ],
)
def test_a_trick_changes_nothing_for_other_code(
    what: Any, words: str, seeing: Samples, restored: None, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    home, threads = os.environ["HARNESS_HOME"], torch.get_num_threads()
    state = numpy_state(), torch.get_rng_state().tolist()
    with pytest.raises(PluginError, match=f"{WHO} .*{words}"):
        given("noise_tricks", what)(seeing)
    assert torch.get_default_dtype() == torch.float32
    assert torch.get_default_device() == torch.device("cpu")
    assert torch.is_grad_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.get_float32_matmul_precision() == "highest"
    assert (os.environ["HARNESS_HOME"], torch.get_num_threads()) == (home, threads)
    assert Path.cwd() == tmp_path
    assert state == (
        numpy_state(), torch.get_rng_state().tolist()
    )  # fmt: skip


def test_a_model_trick_may_draw_from_torch_alone() -> None:
    drawn = given("model_tricks", lambda module: nn.Sequential(module, nn.Linear(2, 2)))
    assert isinstance(drawn(nn.Identity()), nn.Sequential)
    with pytest.raises(PluginError, match="numpy's global random state"):
        given("model_tricks", did(draw_from_numpy))(nn.Identity())


SPEC = RunSpec(
    plugin="bad",
    knobs={"a": "1"},
    data=DataSpec(name="x", options={"b": "2"}),
    deepspeed={"c": {"d": [1]}},
)


@pytest.mark.parametrize(
    "get",
    [
        lambda spec: spec.knobs,
        lambda spec: spec.data.options,
        lambda spec: spec.deepspeed,
        lambda spec: spec.deepspeed["c"],
    ],
)
def test_a_hook_cannot_change_what_was_asked(get: Callable[[RunSpec], Any]) -> None:
    class Bad:
        @hookimpl
        def plan(self, spec: RunSpec) -> Plan:
            get(spec)["new"] = "value"
            return Plan(stages=(Stage(name="train"),))

    with pytest.raises(PluginError, match="plugin 'bad': plan writes into its arguments"):
        Hooks([Active("bad", Bad())], method="bad").plan(SPEC)


def test_observers_cannot_change_what_others_are_told(small_record: Any) -> None:
    class Bad:
        @hookimpl
        def on_step_end(self, scalars: Any) -> None:
            scalars["loss"] = 0.0

        @hookimpl
        def on_run_end(self, record: Any) -> None:
            record.stages[0].history[0]["val_top1"] = 1.0
            record.knobs.clear()

        @hookimpl
        def on_stage_end(self) -> None:
            torch.set_default_dtype(torch.float64)

    hooks = Hooks([Active("bad", Bad())], method="bad")
    scalars = {"loss": 2.0}
    with pytest.raises(PluginError, match="'bad': on_step_end in stage 'train' writes into"):
        hooks.on_step_end(Stage(name="train"), 1, scalars)
    assert scalars == {"loss": 2.0}
    before = small_record.model_dump_json()
    hooks.on_run_end(small_record)
    assert small_record.model_dump_json() == before
    with pytest.raises(PluginError, match="in stage 'train' changes torch's default dtype"):
        hooks.on_stage_end(Stage(name="train"), scalars)
