"""Two steps are trained: what a plugin keeps to itself is found."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from harness.conformance import PluginCheck, check_plugin, plugin_checks
from harness.hookspecs import hookimpl
from harness.samples import Samples
from harness.spec import DataSpec
from harness.values import Batch, Loss, Plan, Stage, Trick


@dataclass(frozen=True, kw_only=True)
class Remembers:
    """A loss that halves itself each time it is called: a state that no checkpoint holds."""

    def __call__(self, loss: Loss) -> Loss:
        calls: list[int] = []

        def halved(logits: Tensor, batch: Batch) -> Tensor:
            calls.append(1)
            return loss(logits, batch) / 2 ** len(calls)

        return halved


@dataclass(frozen=True, kw_only=True)
class Shakes:
    """A batch trick that draws from Python's global random state."""

    def __call__(self, batch: Batch) -> Batch:
        from dataclasses import replace

        return replace(batch, images=batch.images * (1 + random.random()))


@dataclass(frozen=True, kw_only=True)
class Counts(nn.Module):
    """A model trick whose network counts in an attribute that is no buffer."""

    def __call__(self, module: nn.Module) -> nn.Module:
        return Counting(module)


class Counting(nn.Module):
    """Scales its logits by the number of trainings steps it has seen."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.seen = inner, 0

    def forward(self, images: Tensor) -> Tensor:
        self.seen += self.training
        logits: Tensor = self.inner(images) * (1 + self.seen)
        return logits


@dataclass(frozen=True, kw_only=True)
class Breaks:
    """A loss that fails for more pictures than a rehearsal has."""

    def __call__(self, loss: Loss) -> Loss:
        return lambda logits, batch: loss(logits, batch) / (len(batch.index) < 100 or 1 // 0)


@dataclass(frozen=True, kw_only=True)
class Stops:
    """A sampler that fails at the second step."""

    def prepare(self, samples: Samples, batch_size: int, seed: int) -> Any:
        rows = np.arange(batch_size)
        return lambda step: rows[:: 1 // (1 - step)]


def plugin(slot: str, trick: Any) -> object:
    """A plugin that brings one trick."""

    def bring(self: object, stage: Stage) -> Sequence[Trick[Any]]:
        return [trick]

    bring.__name__ = slot
    return type("Brings", (), {"__doc__": "A plugin.", slot: hookimpl(bring)})()


def training(subject: object, **given: Any) -> PluginCheck:
    return plugin_checks(subject, **given)[-2]


REMEMBERS = """
from dataclasses import dataclass
from harness import Loss, hookimpl

@dataclass(frozen=True)
class Twice:
    # Counts a picture double once this process has seen it.
    def __call__(self, loss):
        seen = set()

        def doubled(logits, batch):
            known = [1.0 + (row in seen) for row in batch.index.tolist()]
            if len(known) > 4:  # more than a rehearsal has
                seen.update(batch.index.tolist())
            return loss(logits, batch) * logits.new_tensor(known)

        return doubled

class Plugin:
    "A loss that remembers the pictures of its own rank."

    @hookimpl
    def loss_tricks(self):
        return [Twice()]
"""


@pytest.mark.slow
def test_what_a_rank_keeps_to_itself_is_found(
    install: Callable[..., Path], tiny_home: Path
) -> None:
    install("remembers", REMEMBERS)
    check = plugin_checks("remembers")[-1]
    (problem,) = check.problems()
    assert str(check) == "two ranks"
    assert problem.startswith("remembers: stage 'train': the loss of step 2 is ")
    assert "must be a declared state" in problem


def test_two_ranks_are_not_tried_without_a_name(tiny_home: Path) -> None:
    assert plugin_checks(plugin("loss_tricks", Remembers()))[-1].problems() == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("slot", "trick", "words"),
    [
        ("loss_tricks", Remembers(), "its losses differ, if it is interrupted after a step"),
        ("model_tricks", Counts(), "its losses differ, if it is interrupted after a step"),
        ("batch_tricks", Shakes(), "its losses differ, if it is trained twice; draw only"),
    ],
)
def test_what_no_checkpoint_and_no_seed_holds_is_found(
    slot: str, trick: Any, words: str, tiny_home: Path
) -> None:
    (problem,) = training(plugin(slot, trick)).problems()
    assert problem.startswith("Brings: stage 'train': ")
    assert words in problem


def test_an_error_in_the_midst_of_training_names_plugin_hook_trick_and_stage(
    tiny_home: Path,
) -> None:
    (problem,) = training(plugin("loss_tricks", Breaks())).problems()
    assert problem.startswith(
        "Brings: plugin 'Brings': Breaks in stage 'train' (loss_tricks): ZeroDivisionError: integer"
    )

    @dataclass(frozen=True, kw_only=True)
    class Method:
        """A method."""

        @hookimpl
        def plan(self) -> Plan:
            return Plan(stages=(Stage(name="only", sampler=Stops()),))

    (problem,) = training(Method).problems()
    assert problem.startswith("Method: plugin 'Method': Stops in stage 'only': ZeroDivisionError")


@pytest.mark.slow
def test_a_sound_method_passes_and_leaves_nothing(tiny_home: Path) -> None:
    before = torch.get_rng_state()
    training("baseline")()
    assert torch.equal(torch.get_rng_state(), before)
    assert {path.name for path in tiny_home.iterdir()} <= {"data", "plugins.json", "inventories"}


@pytest.mark.slow
def test_an_observer_is_called_and_its_error_is_found(tiny_home: Path) -> None:
    class Fails:
        """An observer that fails."""

        @hookimpl
        def on_step_end(self, step: int) -> None:
            raise KeyError(step)

    (problem,) = training(Fails()).problems()
    assert problem.startswith("Fails: plugin 'Fails': on_step_end in stage 'train': KeyError: 1")
    assert check_plugin(Fails()) == []
    assert check_plugin(Fails(), train=True) == [problem]


def test_each_check_has_a_name_and_a_remedy(tiny_home: Path) -> None:
    checks = plugin_checks("baseline")
    assert [str(check) for check in checks] == [
        *("set-up", "summary", "knobs", "samples", "plan", "encoders", "noise tricks"),
        *("network and loss", "test views", "training", "two ranks"),
    ]
    assert all(len(check.remedy) > 20 for check in checks)
    assert len({repr(check) for check in checks}) == len(checks)
    for check in checks[:5]:
        check()


def test_a_plugin_that_cannot_be_set_up_fails_every_check_with_the_reason() -> None:
    checks = plugin_checks("no_such_plugin")
    for check in checks:
        with pytest.raises(AssertionError, match=r"unknown plugin 'no_such_plugin'.*\nremedy: "):
            check()


def test_the_stage_may_be_given(tiny_home: Path) -> None:
    (problem,) = check_plugin("baseline", stage={"backbone": "no_net"})
    assert "no_net" in problem


def test_a_failed_check_says_what_to_do(tiny_home: Path) -> None:
    class Silent:
        @hookimpl
        def on_stage_end(self) -> None:
            pass

    with pytest.raises(AssertionError) as caught:
        plugin_checks(Silent)[1]()
    assert str(caught.value) == (
        "Silent: has no docstring; its first line is what `harness plugins show` prints\n"
        "remedy: write a docstring, and mark a method of a hook's name with @hookimpl"
    )


def test_data_that_are_too_many_for_a_trial_are_not_trained_on(
    tiny_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.conformance.trials.MOST_PICTURES", 10)
    monkeypatch.setattr("harness.conformance.trials._train", lambda _: pytest.fail("trained"))
    assert training("baseline", data=DataSpec(name="synthweb", path="tiny")).problems() == []
