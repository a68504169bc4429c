"""Batch norm by groups, and what its kinds refuse; over ranks it is tested in test_ranks.py."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

from harness.errors import HarnessError
from harness.spec import ENGINES
from harness.training.batch_norm import across_ranks, check_pictures
from harness.training.batches import in_parts, join_batches, split_batch
from harness.training.engines import make_engine
from harness.training.interrupt import Interrupted
from harness.training.loop import train
from harness.training.ranks import Ranks
from harness.values import Batch, Stage


def drawn(norm: nn.Module) -> nn.Module:
    torch.manual_seed(1)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return nn.Sequential(norm)


@pytest.mark.parametrize("kind", [nn.BatchNorm2d, BatchNormAct2d])
def test_groups_are_normalised_apart(kind: type[nn.Module], ranks: Ranks) -> None:
    images = torch.randn(12, 5, 3, 3).to(memory_format=torch.channels_last) * 2 + 1
    plain, stage = drawn(kind(5)), Stage(name="train", batch_size=12, norm_group=4)
    expected = torch.cat([plain(part) for part in images.split(4)])
    grouped = across_ranks(drawn(kind(5)), stage, ranks)
    images.requires_grad_()
    found = grouped(images)
    torch.testing.assert_close(found, expected)
    assert found.is_contiguous(memory_format=torch.channels_last)
    found.sum().backward()
    # The running statistics move once, towards the mean over the groups.
    parts = images.detach().split(4)
    means = torch.stack([part.mean((0, 2, 3)) for part in parts]).mean(0)
    variances = torch.stack([part.var((0, 2, 3)) for part in parts]).mean(0)
    torch.testing.assert_close(grouped[0].running_mean, 0.1 * means)
    torch.testing.assert_close(grouped[0].running_var, 0.9 + 0.1 * variances)
    assert grouped[0].num_batches_tracked == 1
    assert grouped.state_dict().keys() == plain.state_dict().keys()
    plain.load_state_dict(grouped.state_dict())
    torch.testing.assert_close(grouped.eval()(images), plain.eval()(images))


@pytest.mark.parametrize("momentum", [0.1, None])
def test_groups_do_not_depend_on_the_accumulation(momentum: float | None, ranks: Ranks) -> None:
    states = []
    for accumulation in (1, 3):
        torch.manual_seed(2)
        norm = drawn(nn.BatchNorm2d(5, momentum=momentum))
        stage = Stage(name="train", batch_size=12, norm_group=2, accumulation=accumulation)
        module = across_ranks(norm, stage, ranks)
        for images in torch.randn(2, 12, 5, 3, 3):
            for part in images.chunk(accumulation):
                module(part)
        states.append(module.state_dict())
    torch.testing.assert_close(states[0], states[1])


def test_a_norm_that_is_used_twice_stays_one(ranks: Ranks) -> None:
    norm = nn.BatchNorm2d(5)
    module = across_ranks(nn.Sequential(norm, norm), Stage(name="train", norm_group=2), ranks)
    assert module[0] is module[1]
    assert module[0].weight is norm.weight


def test_one_rank_and_no_groups_leave_the_network_alone(ranks: Ranks) -> None:
    norm = nn.BatchNorm2d(5)
    assert across_ranks(norm, Stage(name="train"), ranks) is norm


def test_a_norm_with_a_forward_of_its_own_is_refused(ranks: Ranks) -> None:
    class Scaled(nn.BatchNorm2d):
        def forward(self, images: Tensor) -> Tensor:
            return 2 * super().forward(images)

    with pytest.raises(HarnessError, match=r"0\.1 of its network is a Scaled"):
        across_ranks(
            nn.Sequential(nn.Sequential(nn.Conv2d(3, 5, 1), Scaled(5))),
            Stage(name="train", norm_group=2),
            ranks,
        )


def test_batch_norm_over_one_picture_is_refused() -> None:
    norm = nn.Sequential(nn.BatchNorm2d(5))
    for values, said in (
        ({"batch_size": 1}, "batch_size=1 over accumulation=1"),
        ({"batch_size": 8, "accumulation": 8}, "batch_size=8 over accumulation=8"),
        ({"batch_size": 8, "norm_group": 1}, "norm_group=1"),
    ):
        with pytest.raises(HarnessError, match=said):
            check_pictures(norm, Stage(name="train", **values), 1)
        check_pictures(nn.Sequential(nn.GroupNorm(1, 5)), Stage(name="train", **values), 1)
    # Two ranks of one picture each are normalised together.
    check_pictures(norm, Stage(name="train", batch_size=2), 2)


def test_tricks_and_losses_see_one_part_at_a_time(
    batches: Callable[[int, int], list[Batch]],
) -> None:
    (batch,) = batches(1, 6)
    parts = split_batch(batch, [7, 8, 9])
    assert [part.seed for part in parts] == [7, 8, 9]
    assert [part.index.tolist() for part in parts] == [[0, 1], [2, 3], [4, 5]]
    torch.testing.assert_close(join_batches(parts).images, batch.images)
    seen = []

    def loss(logits: Tensor, batch: Batch) -> Tensor:
        seen.append((batch.seed, batch.index.tolist(), logits.flatten().tolist()))
        return logits.sum(dim=1)

    found = in_parts(loss, [7, 8, 9])(torch.arange(6.0)[:, None], batch)
    assert seen == [(7, [0, 1], [0, 1]), (8, [2, 3], [2, 3]), (9, [4, 5], [4, 5])]
    assert found.tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("engine", ENGINES)
def test_dropout_goes_on_exactly(
    engine: str, make_job, network: Callable[[], nn.Module], ranks: Ranks, watcher, heeded_interrupt
) -> None:
    losses = []
    for stop in (0, 2):
        job = make_job(f"dropout{stop}", epochs=1, accumulation=2)

        def ask(step: int, stop: int = stop) -> None:
            if step == stop:
                os.kill(os.getpid(), signal.SIGINT)

        seen = watcher(after=ask)
        for _ in range(2 if stop else 1):
            module = nn.Sequential(nn.Dropout(0.5), network())
            made = make_engine(engine, module, job.recipe.stage, ranks, {})
            torch.manual_seed(len(seen.steps))  # another process's generator stands elsewhere
            try:
                train(job, [made], ranks, seen)
            except Interrupted:
                assert len(seen.steps) == stop
        losses.append(seen.losses)
    assert losses[0] == losses[1]
