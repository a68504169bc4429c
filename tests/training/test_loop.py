"""The loop: what it computes, where it stops and how it goes on."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from harness.data.pictures.loader import Loaded
from harness.errors import HarnessError, TrainingError
from harness.samplers import SubsetBatches
from harness.samples import Samples, Targets
from harness.schedules import Constant, WarmupCosine
from harness.spec import ENGINES
from harness.training.batches import (
    Collator,
    cross_entropy,
    seed_draws,
    to_device,
    with_columns,
)
from harness.training.checkpoints import (
    best_weights,
    load_checkpoint,
    newest_checkpoint,
    save_tensors,
)
from harness.training.engine import Engine
from harness.training.engines import make_engine
from harness.training.interrupt import Interrupted
from harness.training.job import Job
from harness.training.learner import weighted_mean
from harness.training.loop import train
from harness.training.ranks import Ranks
from harness.values import Batch

MakeJob = Callable[..., Job]
Network = Callable[[], nn.Module]


def weights_of(engine: Engine) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in engine.module.state_dict().items()}


def assert_same_weights(mine: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def scored(*top1: float) -> Callable[[nn.Module], dict[str, float]]:
    answers: Iterator[float] = iter(top1)
    return lambda module: {"val_top1": next(answers), "val_top5": 1.0}


def untimed(scalars: dict[str, float]) -> dict[str, object]:
    """Return the scalars; of those that measure time, only whether they are from 0 up."""
    timed = ("images_per_second", "seconds_left")
    return {name: value >= 0 if name in timed else value for name, value in scalars.items()}


def test_the_loss_is_over_the_batch_size_so_that_half_a_weight_is_half_a_gradient() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]], requires_grad=True)
    batch = Batch(
        images=torch.empty(0),
        targets=torch.tensor([[1.0, 0.0], [0.25, 0.75]]),
        weights=torch.tensor([1.0, 0.5]),
        index=torch.arange(2),
        seed=0,
    )
    first = np.log(1 + np.exp(-2))
    second = 0.25 * np.log(1 + np.e) + 0.75 * np.log(1 + np.exp(-1))
    loss = weighted_mean(cross_entropy, logits, batch)
    assert loss.item() == pytest.approx((first + 0.5 * second) / 2)
    loss.backward()
    halved = logits.grad[1].clone()
    logits.grad = None
    weighted_mean(cross_entropy, logits, replace(batch, weights=torch.ones(2))).backward()
    torch.testing.assert_close(logits.grad[1], 2 * halved)


def test_targets_are_dense_and_weights_follow_their_rows(tiny: Samples) -> None:
    job_samples = tiny.assign(
        weight=np.linspace(0, 1, len(tiny), dtype=np.float32),
        targets=Targets(
            np.stack([tiny.label, (tiny.label + 1) % 6], axis=1).astype(np.int32),
            np.full((len(tiny), 2), 0.5, np.float32),
        ),
    )
    rows = np.array([5, 0, 7])
    loaded = Loaded(np.full((3, 4, 4, 3), 255, np.uint8), rows)
    waiting = Collator(job_samples).collate(loaded, seed=3)
    assert waiting.images.dtype == torch.uint8
    batch = to_device(waiting, torch.device("cpu"))
    assert batch.seed == waiting.seed == 3
    assert batch.targets.shape == (3, 6)
    assert batch.targets.sum(dim=1).tolist() == [1.0, 1.0, 1.0]
    for place, row in enumerate(rows):
        assert batch.targets[place, tiny.label[row]] == 0.5
    np.testing.assert_allclose(batch.weights, job_samples.weight[rows])
    assert batch.images.shape == (3, 3, 4, 4)
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    white = (1 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(batch.images[0, :, 0, 0], white)


def test_columns_of_another_network_replace_those_of_a_batch(tiny: Samples) -> None:
    rows = np.array([5, 0, 7])
    loaded = Loaded(np.zeros((3, 4, 4, 3), np.uint8), rows)
    batch = Collator(tiny).collate(loaded, seed=3)
    subset = np.zeros(len(tiny), np.int8)
    subset[0] = -1
    weight = np.full(len(tiny), 0.5, np.float32)
    other = tiny.assign(label=(tiny.label + 1) % 6, weight=weight, subset=subset)
    found = with_columns(batch, other)
    assert found.weights.tolist() == [0.5, 0.0, 0.5]  # row 0 is left out for this network
    assert found.subset.tolist() == [0, -1, 0]
    assert found.targets.argmax(dim=1).tolist() == ((tiny.label[rows] + 1) % 6).tolist()
    assert found.index is batch.index


def test_every_step_and_epoch_is_told(
    make_job: MakeJob, network: Network, ranks: Ranks, watcher
) -> None:
    job = make_job(rows=80, job={"evaluate": scored(0.2, 0.5, 0.4)}, schedule=WarmupCosine())
    seen = watcher()
    engine = make_engine("torch", network(), job.recipe.stage, ranks, {})
    position, meter, _ = train(job, [engine], ranks, seen)
    assert (job.steps_per_epoch, job.steps) == (3, 9)
    assert seen.first_step == 0
    assert seen.steps == list(range(1, 10))
    assert [s["lr"] for s in seen.scalars] == [job.lr(step) for step in range(9)]
    assert seen.scalars[-1]["epoch"] == 3
    assert all(s["weight"] == 1 for s in seen.scalars)
    assert ["val_top1" in s for s in seen.scalars] == [False, False, True] * 3
    assert [entry["epoch"] for entry in position.history] == [1, 2, 3]
    for number, entry in enumerate(position.history):
        mean = np.mean(seen.losses[3 * number : 3 * number + 3])
        assert entry["loss"] == pytest.approx(mean)
    assert (position.best_epoch, position.best_top1) == (2, 0.5)
    assert best_weights(job.folder, 2).exists()
    assert meter.images_per_second > 0
    assert seen.losses[-1] < seen.losses[0]


def test_the_first_of_equally_good_epochs_is_the_best(
    make_job: MakeJob, network: Network, ranks: Ranks, watcher
) -> None:
    job = make_job(job={"evaluate": scored(0.0, 0.3, 0.3)})
    engine = make_engine("torch", network(), job.recipe.stage, ranks, {})
    position, *_ = train(job, [engine], ranks, watcher())
    assert position.best_epoch == 2


def test_without_labels_no_epoch_is_best(
    make_job: MakeJob, network: Network, ranks: Ranks, watcher
) -> None:
    job = make_job(epochs=1)
    engine = make_engine("torch", network(), job.recipe.stage, ranks, {})
    position, *_ = train(job, [engine], ranks, watcher())
    assert position.best_epoch == 0
    assert not list(job.folder.glob("best*"))


def test_the_engines_train_the_same_on_real_pictures(
    make_job: MakeJob, network: Network, ranks: Ranks, watcher
) -> None:
    losses = []
    for name in ENGINES:
        job = make_job(name, accumulation=4, clip_norm=0.5, epochs=2)
        subset = np.arange(len(job.samples), dtype=np.int8) % 3
        weight = np.array([1, 0.5, 0.5], np.float32)[subset]
        job = replace(job, samples=job.samples.assign(subset=subset, weight=weight))
        stage = replace(job.recipe.stage, sampler=SubsetBatches())
        job = replace(job, recipe=replace(job.recipe, stage=stage))
        seen = watcher()
        engine = make_engine(name, network(), stage, ranks, {})
        train(job, [engine], ranks, seen)
        losses.append(seen.losses)
        assert [s["weight"] for s in seen.scalars] == [0.75] * job.steps
    for others in losses[1:]:
        np.testing.assert_allclose(others, losses[0], rtol=1e-6)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("stop", [3, 4, 9], ids=["epoch's end", "within an epoch", "the end"])
def test_a_stopped_stage_goes_on_as_if_it_had_not_been(
    name: str,
    stop: int,
    make_job: MakeJob,
    network: Network,
    ranks: Ranks,
    watcher,
    heeded_interrupt: None,
) -> None:
    values = {"rows": 80, "precision": "fp16" if stop == 4 else "fp32", "accumulation": 2}
    top1 = (0.5, 0.25, 0.75)
    whole = make_job("whole", job={"evaluate": scored(*top1)}, **values)
    uninterrupted = watcher()
    engine = make_engine(name, network(), whole.recipe.stage, ranks, {})
    expected, *_ = train(whole, [engine], ranks, uninterrupted)
    weights = weights_of(engine)

    def ask(step: int) -> None:
        if step == stop:
            os.kill(os.getpid(), signal.SIGINT)

    done = stop // 3
    job = make_job("stopped", job={"evaluate": scored(*top1[:done])}, **values)
    before = watcher(after=ask)
    engine = make_engine(name, network(), job.recipe.stage, ranks, {})
    with pytest.raises(Interrupted) as asked:
        train(job, [engine], ranks, before)
    assert asked.value.number == signal.SIGINT
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    job = replace(job, evaluate=scored(*top1[done:]))
    after = watcher()
    engine = make_engine(name, network(), job.recipe.stage, ranks, {})
    position, *_ = train(job, [engine], ranks, after)
    assert after.first_step == stop
    assert before.losses + after.losses == uninterrupted.losses
    assert_same_weights(weights_of(engine), weights)
    assert replace(position, seconds=0) == replace(expected, seconds=0)
    if stop < 9:
        files = [best_weights(j.folder, position.best_epoch) for j in (whole, job)]
        best = [torch.load(file, weights_only=True) for file in files]
        assert_same_weights(*best)


def test_checkpoint_seconds_zero_keeps_every_epoch(
    make_job: MakeJob, network: Network, ranks: Ranks, watcher
) -> None:
    kept: list[int] = []
    job = make_job(job={"checkpoint_seconds": 0.0})

    def look(step: int) -> None:
        path = newest_checkpoint(job.folder, print)
        state = load_checkpoint(path, ranks.device) if path else None
        kept.append(state["position"]["step"] if state else 0)

    train(job, [make_engine("torch", network(), job.recipe.stage, ranks, {})], ranks,
          watcher(after=look))  # fmt: skip
    assert kept == [0, 0, 3, 3, 3, 6, 6, 6, 9]


@pytest.mark.parametrize("seconds", [0.0, 5.0], ids=["kept", "not yet due"])
def test_an_error_in_scoring_costs_no_epoch_that_was_due(
    seconds: float, make_job: MakeJob, network: Network, ranks: Ranks, watcher
) -> None:
    top1 = (0.5, 0.25, 0.75)
    whole, told = make_job("whole", job={"evaluate": scored(*top1)}), watcher()
    engine = make_engine("torch", network(), whole.recipe.stage, ranks, {})
    expected, *_ = train(whole, [engine], ranks, told)
    weights = weights_of(engine)

    def fails_second(module: nn.Module) -> dict[str, float]:
        if calls.append(0) or len(calls) == 2:
            raise HarnessError("val cannot be read")
        return {"val_top1": top1[0], "val_top5": 1.0}

    calls: list[int] = []
    job = make_job("failed", job={"evaluate": fails_second, "checkpoint_seconds": seconds})
    engine = make_engine("torch", network(), job.recipe.stage, ranks, {})
    with pytest.raises(HarnessError, match="val cannot be read"):
        train(job, [engine], ranks, watcher())
    again = replace(job, evaluate=scored(*(top1[1:] if seconds == 0 else top1)))
    seen = watcher()
    engine = make_engine("torch", network(), job.recipe.stage, ranks, {})
    position, *_ = train(again, [engine], ranks, seen)
    assert seen.first_step == (6 if seconds == 0 else 0)
    assert seen.steps[0] == (6 if seconds == 0 else 1)  # the score that is still owed comes first
    # An observer is told of that epoch what one of an uninterrupted run is: no scalar is missing.
    assert list(map(untimed, seen.scalars)) == list(map(untimed, told.scalars[-len(seen.steps) :]))
    assert replace(position, seconds=0) == replace(expected, seconds=0)
    assert_same_weights(weights_of(engine), weights)


def test_a_run_that_is_stopped_after_its_epoch_was_kept_scores_it_once(
    make_job: MakeJob, network: Network, ranks: Ranks, watcher, heeded_interrupt: None
) -> None:
    top1 = (0.5, 0.25, 0.75)
    job = make_job("whole", job={"evaluate": scored(*top1)})
    engine = make_engine("torch", network(), job.recipe.stage, ranks, {})
    expected, *_ = train(job, [engine], ranks, watcher())

    def ask(module: nn.Module) -> dict[str, float]:
        os.kill(os.getpid(), signal.SIGINT)
        return {"val_top1": top1[0], "val_top5": 1.0}

    job = make_job("stopped", job={"evaluate": ask, "checkpoint_seconds": 0.0})
    engine = make_engine("torch", network(), job.recipe.stage, ranks, {})
    with pytest.raises(Interrupted):
        train(job, [engine], ranks, watcher())
    job = replace(job, evaluate=scored(*top1))
    engine = make_engine("torch", network(), job.recipe.stage, ranks, {})
    position, *_ = train(job, [engine], ranks, watcher())
    assert replace(position, seconds=0) == replace(expected, seconds=0)


def test_by_default_a_short_stage_writes_no_checkpoint(
    make_job: MakeJob, network: Network, ranks: Ranks, watcher
) -> None:
    job = make_job(epochs=1)
    train(job, [make_engine("torch", network(), job.recipe.stage, ranks, {})], ranks, watcher())
    assert not list(job.folder.glob("checkpoint-*"))


@dataclass(frozen=True)
class LostAfter:
    """A loss that stops being a number."""

    micro_batches: int
    value: float

    def __call__(self, loss: object) -> Callable[[Tensor, Batch], Tensor]:
        calls = iter(range(10**6))

        def broken(logits: Tensor, batch: Batch) -> Tensor:
            lost = next(calls) >= self.micro_batches
            return cross_entropy(logits, batch) * (self.value if lost else 1.0)

        return broken


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_a_number_stops_and_names_stage_step_and_rate(
    name: str, value: float, make_job: MakeJob, network: Network, ranks: Ranks, watcher
) -> None:
    job = make_job(
        tricks={"loss": (LostAfter(9, value),)}, accumulation=2, schedule=Constant(), lr=0.5
    )
    engine = make_engine(name, network(), job.recipe.stage, ranks, {})
    seen = watcher()
    with pytest.raises(TrainingError) as stopped:
        train(job, [engine], ranks, seen)
    line = str(stopped.value)
    assert f"stage 'train': the loss is {value} at step 5 of 9, learning rate 0.5" in line
    assert "--stage lr=0.05" in line
    assert seen.steps == [1, 2, 3, 4]
    assert not list(job.folder.glob("*"))


def test_pictures_do_not_depend_on_the_number_of_threads(
    make_job: MakeJob, network: Network, ranks: Ranks, watcher
) -> None:
    losses = []
    for threads in (1, 4):
        job = make_job(str(threads), epochs=1, job={"threads": threads})
        seen = watcher()
        train(job, [make_engine("torch", network(), job.recipe.stage, ranks, {})], ranks, seen)
        losses.append(seen.losses)
    assert losses[0] == losses[1]


def test_batch_tricks_get_a_seed_of_their_own(
    make_job: MakeJob, network: Network, ranks: Ranks, watcher
) -> None:
    seeds: list[int] = []

    def remember(batch: Batch) -> Batch:
        seeds.append(batch.seed)
        return batch

    job = make_job(tricks={"batch": (remember,)}, epochs=1, accumulation=2)
    train(job, [make_engine("torch", network(), job.recipe.stage, ranks, {})], ranks, watcher())
    assert len(set(seeds)) == len(seeds) == 6


def test_broken_pictures_are_part_of_the_position(
    make_job: MakeJob, network: Network, ranks: Ranks, watcher, tmp_path: Path
) -> None:
    said: list[str] = []
    job = make_job(rows=128, job={"report": said.append, "checkpoint_seconds": 0.0}, epochs=2)
    files = np.array(job.samples.files)
    files[3] = "nowhere.jpg"
    job = replace(job, samples=job.samples.assign(files=files))
    position, *_ = train(
        job, [make_engine("torch", network(), job.recipe.stage, ranks, {})], ranks, watcher()
    )
    assert list(position.broken) == [3]
    assert len(said) == 1
    assert "nowhere.jpg: No such file" in said[0]
    path = newest_checkpoint(job.folder, print)
    assert path is not None
    kept = load_checkpoint(path, ranks.device)
    assert kept["position"]["broken"] == position.broken


def test_too_many_broken_pictures_stop_the_stage(
    make_job: MakeJob, network: Network, ranks: Ranks, watcher
) -> None:
    job = make_job(rows=96)
    files = np.array(job.samples.files)
    files[3] = "nowhere.jpg"
    job = replace(job, samples=job.samples.assign(files=files))
    engine = make_engine("torch", network(), job.recipe.stage, ranks, {})
    with pytest.raises(HarnessError, match="1 of 96 pictures are broken so far, more than 1%"):
        train(job, [engine], ranks, watcher())


def test_a_better_epoch_after_the_last_checkpoint_leaves_that_ones_best_weights_alone(
    make_job: MakeJob, network: Network, ranks: Ranks, watcher
) -> None:
    """A run killed between the weights of a better epoch and its checkpoint."""
    job = make_job(job={"evaluate": scored(0.5, 0.2), "checkpoint_seconds": 0.0}, epochs=2)
    engine = make_engine("torch", network(), job.recipe.stage, ranks, {})
    train(job, [engine], ranks, watcher())
    first = best_weights(job.folder, 1).read_bytes()
    # Of epoch 3, which the checkpoint knows nothing of.
    save_tensors(best_weights(job.folder, 3), {"weight": torch.zeros(1)})
    longer = replace(
        job,
        evaluate=scored(0.2, 0.4),  # the epoch kept unscored is scored again
        recipe=make_job(epochs=3).recipe,
    )
    engine = make_engine("torch", network(), longer.recipe.stage, ranks, {})
    position, *_ = train(longer, [engine], ranks, watcher())
    assert (position.best_epoch, position.best_top1) == (1, 0.5)
    assert best_weights(job.folder, 1).read_bytes() == first
    best = sorted(path.name for path in job.folder.glob("best*"))
    assert best == ["best-000001.pt", "best.pt"]


def test_a_seed_gives_the_draws_of_torchs_own_seeding() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3), torch.nn.functional.dropout(torch.ones(8))
    seed_draws(5, torch.device("cpu"))
    found = torch.rand(3), torch.nn.functional.dropout(torch.ones(8))
    assert all(map(torch.equal, expected, found))


def test_a_gpu_whose_memory_is_used_up_is_one_line(
    make_job: MakeJob, network: Network, ranks: Ranks, watcher
) -> None:
    # The words of torch 2.14 for a GPU; where there is none, nothing else raises this error.
    words = (
        "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 15.77 GiB "
        "of which 14.02 GiB is free. Including non-PyTorch memory, this process has 1.7 GiB"
    )

    def full(logits: Tensor, batch: Batch) -> Tensor:
        raise torch.OutOfMemoryError(words)

    job = make_job(tricks={"loss": (lambda loss: full,)}, accumulation=2)
    engine = make_engine("torch", network(), job.recipe.stage, ranks, {})
    with pytest.raises(TrainingError) as told:
        train(job, [engine], ranks, watcher())
    assert str(told.value) == (
        "stage 'train': the memory of cpu is used up: CUDA out of memory. Tried to allocate "
        "20.00 GiB; try --stage batch_size=16 or --stage accumulation=4"
    )


def test_a_batch_is_shown_after_the_first_step_and_each_epoch(
    make_job: MakeJob, network: Network, ranks: Ranks, watcher
) -> None:
    job = make_job(epochs=2)  # of three steps each
    seen = watcher()
    engine = make_engine("torch", network(), job.recipe.stage, ranks, {})
    _, _, team = train(job, [engine], ranks, seen)
    assert seen.looked == [1, 3, 6]
    assert team.shown is None
