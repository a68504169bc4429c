"""What tricks keep over the steps of a stage: by hand on small numbers, and after a kill."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from harness.assembly.contract import Contribution
from harness.averages import Ema
from harness.errors import PluginError
from harness.optimizers import AdamW, Sam
from harness.samples import Samples
from harness.training.engines import make_engine
from harness.training.interrupt import Interrupted
from harness.training.job import Job
from harness.training.learner import Answers, Team
from harness.training.loop import train
from harness.training.ranks import Ranks
from harness.training.state import StageState, last_of_each, state_bytes
from harness.tricks.batch.ask_averaged import AskAveraged
from harness.tricks.batch.mixup import MixUp
from harness.tricks.loss.early_learning import EarlyLearning
from harness.tricks.loss.sparse_over_parameterization import SparseOverParameterization
from harness.values import Batch, Loss, Picture, Stage, State

MakeJob = Callable[..., Job]


@dataclass(frozen=True)
class Counts:
    """Counts how often a sample was met, and in how many steps any was."""

    rows: int = 0  # more or fewer rows than samples

    def state(self, samples: Samples) -> dict[str, State]:
        return {
            "met": State(initial=torch.zeros(len(samples) + self.rows)),
            "steps": State(initial=torch.zeros(()), per_sample=False),
        }

    def update(self, outputs: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        return {"met": batch.state["met"] + 1, "steps": batch.shared["steps"] + 1}

    def __call__(self, loss: Loss) -> Loss:
        return loss


@dataclass(frozen=True)
class Offsets:
    """A number for each sample and one for all, trained at rates of their own."""

    def state(self, samples: Samples) -> dict[str, State]:
        return {
            "offset": State(initial=torch.zeros(len(samples)), lr=2.0),
            "bias": State(initial=torch.zeros(()), per_sample=False, lr=0.5),
        }

    def __call__(self, loss: Loss) -> Loss:
        def shifted(logits: Tensor, batch: Batch) -> Tensor:
            moved = (batch.state["offset"] - 1) ** 2 + (batch.shared["bias"] - 1) ** 2
            return loss(logits, batch) + moved

        return shifted


def kept(trick: object, samples: Samples, ranks: Ranks, **stage: Any) -> StageState:
    given = [Contribution("mine", trick, "loss_tricks")]
    return StageState(given, Stage(name="train", **stage), samples, ranks)


def batch_of(*rows: int) -> Batch:
    size = len(rows)
    return Batch(
        images=torch.zeros(size, 3, 2, 2),
        targets=torch.zeros(size, 6),
        weights=torch.ones(size),
        index=torch.tensor(rows),
        seed=0,
    )


def test_what_tricks_keep_is_counted_in_bytes(tiny: Samples) -> None:
    given = [
        Contribution("p", trick, "loss_tricks") for trick in (Counts(), EarlyLearning(), MixUp())
    ]
    kept = len(tiny) * (1 + tiny.num_classes) + 1
    assert state_bytes(given, tiny) == 4 * kept


def test_the_last_place_of_each_row_counts() -> None:
    rows, places = last_of_each(torch.tensor([4, 2, 4, 9, 2]))
    assert (rows.tolist(), places.tolist()) == ([2, 4, 9], [4, 2, 3])


def test_updates_change_the_rows_of_a_step_once(tiny: Samples, ranks: Ranks) -> None:
    state = kept(Counts(), tiny, ranks)
    for micros in (((3, 5), (5, 7)), ((5, 3), (0, 1))):
        for rows in micros:
            batch = state.read(batch_of(*rows))
            state.collect({"logits": torch.zeros(2, 6)}, batch)
        state.commit()
    met = state.state()["met"]
    assert met.nonzero().flatten().tolist() == [0, 1, 3, 5, 7]
    # Row 5 was twice in the first step: both places read the state as it was before it.
    assert met[[0, 1, 3, 5, 7]].tolist() == [1, 1, 2, 2, 1]
    assert state.state()["steps"] == 2


def test_what_has_a_rate_descends_its_own_gradient(tiny: Samples, ranks: Ranks) -> None:
    state = kept(Offsets(), tiny, ranks)
    loss = Offsets()(lambda logits, batch: logits.sum(dim=1))
    batch = state.read(batch_of(3, 5))
    loss(torch.zeros(2, 6), batch).mean().backward()
    state.collect({}, batch)
    state.commit()
    offset, bias = state.state()["offset"], state.state()["bias"]
    # d/do mean((o - 1)^2) = 2 (o - 1) / 2 = -1 a row, times 2; d/db = 2 (b - 1) = -2, times 0.5.
    assert offset[[3, 5]].tolist() == [2.0, 2.0]
    assert offset.sum() == 4.0
    assert bias == 1.0


@dataclass(frozen=True)
class Wrong(Counts):
    """Gives what its state does not allow."""

    given: Any = None

    def update(self, outputs: dict[str, Tensor], batch: Batch) -> dict[str, Any]:
        return {"met": self.given}


@pytest.mark.parametrize(
    ("trick", "words"),
    [
        (Counts(rows=1), "has 301 rows for 300 samples"),
        (Wrong(given=torch.zeros(3)), r"must give torch.float32 \(2,\) for 'met'"),
        (Wrong(given=torch.zeros(2, dtype=torch.float64)), "not torch.float64"),
        (Wrong(given=None), "not NoneType"),
    ],
)
def test_a_state_of_another_shape_is_refused(
    trick: object, words: str, tiny: Samples, ranks: Ranks
) -> None:
    def step() -> None:
        state = kept(trick, tiny, ranks)
        state.collect({"logits": torch.zeros(2, 6)}, state.read(batch_of(1, 2)))
        state.commit()

    with pytest.raises(PluginError, match=rf"'mine': {type(trick).__name__}.*{words}"):
        step()


def test_names_are_not_shared_and_fp16_trains_no_state(tiny: Samples, ranks: Ranks) -> None:
    twice = [Contribution("mine", Counts(), "loss_tricks")] * 2
    with pytest.raises(PluginError, match="another trick of the stage keeps 'met' too"):
        StageState(twice, Stage(name="train"), tiny, ranks)
    with pytest.raises(PluginError, match="fp16's loss scale does not reach"):
        kept(Offsets(), tiny, ranks, precision="fp16")


# all openings at once: a stage that is stopped goes on exactly


@dataclass(frozen=True)
class Early:
    """A running mean of predictions, one for each network."""

    def state(self, samples: Samples) -> dict[str, State]:
        return {"early": State(initial=torch.zeros(len(samples), 6))}

    def mean(self, logits: Tensor, batch: Batch) -> Tensor:
        return 0.7 * batch.state["early"] + 0.3 * torch.softmax(logits.detach(), dim=1)

    def update(self, outputs: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        return {"early": self.mean(outputs["logits"], batch)}

    def __call__(self, loss: Loss) -> Loss:
        def early(logits: Tensor, batch: Batch) -> Tensor:
            agreement = (torch.softmax(logits, dim=1) * self.mean(logits, batch)).sum(dim=1)
            return loss(logits, batch) + torch.log(1.0001 - agreement)

        return early


@dataclass(frozen=True)
class FromPeers:
    """Follows the other network's prediction."""

    def __call__(self, loss: Loss) -> Loss:
        def followed(logits: Tensor, batch: Batch) -> Tensor:
            assert batch.peer_logits is not None
            peers = torch.softmax(batch.peer_logits[0], dim=1)
            return loss(logits, batch) - (peers * torch.log_softmax(logits, dim=1)).sum(dim=1)

        return followed


@dataclass(frozen=True)
class Negative:
    """Inverts the second view, and some pictures of the first."""

    def __call__(self, picture: Picture) -> Picture:
        inverted = picture.view == 1 or picture.seed % 2
        return picture._replace(pixels=255 - picture.pixels) if inverted else picture


@dataclass(frozen=True)
class Guess:
    """Moves a target half way to what all networks and the average say of both views."""

    def __call__(self, batch: Batch) -> Batch:
        assert batch.networks is not None
        both = [
            batch.networks.logits(images).mean(dim=0) for images in (batch.images, *batch.views)
        ]
        both.append(batch.networks.averaged(batch.images)["logits"])
        guess = torch.softmax(torch.stack(both).mean(dim=0), dim=1)
        return replace(batch, targets=torch.lerp(batch.targets, guess, 0.5))


def reweighed(samples: Samples) -> Callable[[list[nn.Module], int], list[Samples]]:
    """Epoch tricks whose choice follows from the weights of the networks."""

    def choose(modules: list[nn.Module], epoch: int) -> list[Samples]:
        found = []
        for module in modules:
            share = next(module.parameters()).detach().abs().mean().item()
            weight = np.linspace(share, 1, len(samples), dtype=np.float32)
            subset = np.where(np.arange(len(samples)) % (epoch + 5), 0, -1).astype(np.int8)
            found.append(samples.assign(weight=weight, subset=subset))
        return found

    return choose


OPENINGS: dict[str, Any] = {
    "state": {"tricks": {"loss": (Early(), Offsets())}},
    "average": {"average": Ema(decay=0.9)},
    "two networks": {"networks": 2, "tricks": {"loss": (FromPeers(), Early())}},
    "sam": {"optimizer": Sam()},
    "adamw": {"optimizer": AdamW(), "lr": 1e-3},
    "views": {
        "views": 2,
        "average": Ema(),
        "tricks": {"picture": (Negative(),), "batch": (Guess(),)},
    },
    "elr+": {
        "networks": 2,
        "average": Ema(),
        "tricks": {"batch": (AskAveraged(peer=1), MixUp()), "loss": (EarlyLearning(),)},
    },
    "sop": {"tricks": {"loss": (SparseOverParameterization(),)}},
    "epoch tricks": {"refresh": 1},
    "epoch tricks of two": {"refresh": 2, "networks": 2},
}


@pytest.mark.parametrize("opening", OPENINGS)
def test_a_stopped_stage_goes_on_with_all_that_it_kept(
    opening: str,
    make_job: MakeJob,
    network: Callable[[], nn.Module],
    ranks: Ranks,
    watcher: Any,
    heeded_interrupt: None,
) -> None:
    given = OPENINGS[opening]

    def job(folder: str) -> Job:
        made = make_job(folder, rows=80, **given)
        chooses = reweighed(made.samples) if "epoch tricks" in opening else None
        return replace(made, choose_samples=chooses)

    def trained(made: Job, seen: Any) -> tuple[list[float], Team]:
        stage = made.recipe.stage
        modules = []
        for number in range(stage.networks):
            modules.append(network())
            with torch.no_grad():
                next(modules[-1].parameters()).mul_(1 + number)  # each begins elsewhere
        engines = [make_engine("torch", module, stage, ranks, {}) for module in modules]
        team = train(made, engines, ranks, seen).team
        return seen.losses, team

    whole, team = trained(job("whole"), watcher())
    for stop in (3, 7):  # the end of an epoch, within one

        def ask(step: int, stop: int = stop) -> None:
            if step == stop:
                os.kill(os.getpid(), signal.SIGINT)

        before, after = watcher(after=ask), watcher()
        with pytest.raises(Interrupted):
            trained(job(f"stopped {stop}"), before)
        _, resumed = trained(job(f"stopped {stop}"), after)
        assert after.first_step == stop
        assert before.losses + after.losses == whole
        same(resumed.state(), team.state())


def same(mine: Any, other: Any) -> None:
    if isinstance(mine, dict):
        assert mine.keys() == other.keys()
        for key in mine:
            same(mine[key], other[key])
    elif isinstance(mine, (list, tuple)):
        for one, two in zip(mine, other, strict=True):
            same(one, two)
    elif isinstance(mine, Tensor):
        assert torch.equal(mine, other)
    else:
        assert mine == other


@dataclass(frozen=True)
class Meddles:
    """Changes in its second step what the whole process shares."""

    change: Callable[[], object]

    def __call__(self, loss: Loss) -> Loss:
        def meddling(logits: Tensor, batch: Batch) -> Tensor:
            if batch.progress > 0:
                self.change()
            return loss(logits, batch)

        return meddling


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda: os.chdir("/"), "a plugin in stage 'train' changes working folder from"),
        (lambda: torch.set_default_device("meta"), "a plugin in stage 'train' changes torch's def"),
        (
            lambda: torch.set_default_dtype(torch.float64),
            "Meddles in stage 'train' changes torch's default dtype",
        ),
    ],
)
def test_what_a_step_changes_for_other_code_is_refused_and_restored(
    change: Callable[[], object], words: str, make_job: MakeJob, ranks: Ranks,
    network: Callable[[], nn.Module], watcher: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    made = make_job(tricks={"loss": [Meddles(change)]})
    engine = make_engine("torch", network(), made.recipe.stage, ranks, {})
    seen = watcher()
    with pytest.raises(PluginError, match=words):
        train(made, [engine], ranks, seen)
    assert Path.cwd() == tmp_path
    assert (torch.get_default_device().type, torch.get_default_dtype()) == ("cpu", torch.float32)


def test_two_networks_differ_and_epoch_tricks_choose_for_each(
    make_job: MakeJob, network: Callable[[], nn.Module], ranks: Ranks, watcher: Any
) -> None:
    made = make_job(rows=80, networks=2, refresh=1, epochs=2)
    made = replace(made, choose_samples=reweighed(made.samples))
    first, second = network(), network()
    with torch.no_grad():
        next(second.parameters()).mul_(2)
    engines = [make_engine("torch", m, made.recipe.stage, ranks, {}) for m in (first, second)]
    one, two = train(made, engines, ranks, watcher()).team.learners
    assert one.chosen is not None
    assert two.chosen is not None
    assert not np.array_equal(one.chosen.weight, two.chosen.weight)
    weights = [torch.cat([p.detach().flatten() for p in e.module.parameters()]) for e in engines]
    assert not torch.equal(*weights)


def test_a_batch_asks_its_own_average_or_that_of_the_next_network(
    make_job: MakeJob, network: Callable[[], nn.Module], ranks: Ranks
) -> None:
    made = make_job(networks=2, average=Ema())
    modules = [network() for _ in range(2)]
    with torch.no_grad():
        next(modules[1].parameters()).mul_(2)
    engines = [make_engine("torch", m, made.recipe.stage, ranks, {}) for m in modules]
    learners = Team(made.recipe, engines, made.samples, ranks).learners
    images = torch.rand(2, 3, 32, 32)
    expected = [module.eval()(images) for module in modules]
    assert not torch.equal(*expected)
    for number in range(2):
        answers = Answers(learners, number, made.recipe.stage)
        for peer in range(2):
            found = answers.averaged(images, peer)["logits"]
            assert torch.equal(found, expected[(number + peer) % 2])
    with pytest.raises(PluginError, match="has 2; give it networks=3"):
        Answers(learners, 0, made.recipe.stage).averaged(images, 2)
