"""A step that clearly does not fit is refused before it starts; one that fits never is."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import nn

from harness.errors import HarnessError
from harness.session import foresight
from harness.training.memory import (
    CLEARLY,
    HEAP,
    batches_ahead,
    check_memory,
    free_bytes,
    saved_for_backward,
    step_memory,
)
from harness.training.ranks import Ranks
from harness.values import Sgd, Stage

Call = Callable[..., Any]
MIB = 1 << 20
STAGE = Stage(name="train", batch_size=256, input_size=32)


def test_activations_are_what_backward_keeps_and_grow_with_the_batch() -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 6 * 6, 2))
    for images in (2, 4):
        with saved_for_backward(module) as saved:
            module(torch.zeros(images, 3, 8, 8)).sum().backward()
        # The images, and what the ReLU returns, which flattening shares.
        assert sum(saved.values()) == images * 4 * (3 * 8 * 8 + 8 * 6 * 6)


def test_hooks_change_no_gradient() -> None:
    module = timm.create_model("test_resnet", num_classes=3)
    images = torch.randn(4, 3, 32, 32)
    module(images).sum().backward()
    plain = [p.grad.clone() for p in module.parameters()]
    module.zero_grad()
    with saved_for_backward(module):
        module(images).sum().backward()
    assert all(torch.equal(a, p.grad) for a, p in zip(plain, module.parameters(), strict=True))


def test_weights_momentum_teachers_and_batches_ahead_are_counted(ranks: Ranks) -> None:
    module, picture = nn.Linear(1024, 1024, bias=False), 3 * 32**2
    stage = replace(STAGE, batch_size=2)
    weights = 4 * MIB
    images = 2 * 4 * picture
    plain = step_memory(module, ranks).bytes(stage, 1)
    assert plain == int(HEAP * (3 * weights + images))  # and gradients as large as the weights
    no_momentum = replace(stage, optimizer=Sgd(momentum=0.0, nesterov=False))
    assert step_memory(module, ranks).bytes(no_momentum, 1) == int(HEAP * (2 * weights + images))
    more = step_memory(module, ranks, teachers=MIB, ahead=5).bytes(stage, 1)
    assert more - plain == pytest.approx(HEAP * MIB + 2 * (5 * picture + 320), abs=1)
    kept = replace(step_memory(module, ranks), state=3 * MIB)
    assert kept.bytes(stage, 1) - plain == 3 * MIB  # one block, which leaves no gaps
    two = replace(ranks, world_size=2)
    copied = step_memory(module, two, engine="deepspeed").bytes(stage, 1)
    assert copied == int(HEAP * (4 * weights + images))
    assert step_memory(module, two).bytes(stage, 1) == plain
    assert batches_ahead(threads=2, steps=100) == 5
    assert batches_ahead(threads=2, steps=1) == 1


def test_a_step_that_clearly_cannot_fit_names_what_does(ranks: Ranks) -> None:
    memory = step_memory(nn.Linear(2, 2), ranks, activations=MIB)
    with pytest.raises(HarnessError) as error:
        check_memory(memory, STAGE, ranks, 100 * MIB)
    assert "needs about 0.4 GiB on" in str(error.value)
    assert str(error.value).endswith(
        "and 0.1 GiB are free; try --stage batch_size=64 or --stage accumulation=4, "
        "which keeps the batch of 256 but gives batch norm 64 pictures"
    )
    for advised in ({"batch_size": 64}, {"accumulation": 4}):
        check_memory(memory, replace(STAGE, **advised), ranks, 100 * MIB)
    grouped = replace(STAGE, norm_group=32)
    with pytest.raises(HarnessError, match=r"accumulation=4, which keeps the batch of 256$"):
        check_memory(memory, grouped, ranks, 100 * MIB)


def test_no_smaller_batch_is_advised_if_the_weights_alone_do_not_fit(ranks: Ranks) -> None:
    memory = step_memory(nn.Linear(1024, 1024), ranks, activations=MIB)
    with pytest.raises(HarnessError, match="choose a smaller network or input_size"):
        check_memory(memory, STAGE, ranks, MIB)


def test_ranks_share_the_batch(ranks: Ranks) -> None:
    two = replace(ranks, world_size=2)
    memory = step_memory(nn.Linear(2, 2), two, activations=MIB)
    check_memory(memory, STAGE, two, 180 * MIB)
    with pytest.raises(HarnessError, match=r"free for each of 2 ranks; try --stage batch_size=128"):
        check_memory(memory, STAGE, two, 100 * MIB)


def test_nothing_is_refused_that_is_not_clearly_too_large(ranks: Ranks) -> None:
    memory = step_memory(nn.Linear(2, 2), ranks, activations=MIB)
    needed = memory.bytes(STAGE, 1)
    check_memory(memory, STAGE, ranks, int(needed / CLEARLY) + 1)
    check_memory(memory, STAGE, ranks, None)
    with pytest.raises(HarnessError, match="GiB are free"):
        check_memory(memory, STAGE, ranks, int(needed / CLEARLY) - 1)


def test_half_precision_keeps_at_least_half(ranks: Ranks) -> None:
    memory = step_memory(nn.Linear(2, 2), ranks, activations=MIB)
    half = memory.bytes(replace(STAGE, precision="bf16"), 1)
    assert half == pytest.approx(memory.bytes(STAGE, 1) / 2, rel=1e-3)


def test_what_is_free_here_holds_a_small_step(ranks: Ranks) -> None:
    free = free_bytes(ranks)
    assert free is not None
    assert free > 50 * MIB
    check_memory(step_memory(nn.Linear(2, 2), ranks), replace(STAGE, batch_size=8), ranks, free)


def test_the_batch_that_a_refused_run_is_told_to_try_trains(
    call: Call, tiny_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is free here depends on the machine.
    monkeypatch.setattr(foresight, "free_bytes", lambda ranks: 40 * MIB)
    run = ("run", "--plugin", "baseline", "--data", "synthweb:tiny", "--stage", "epochs=1")
    line = call(*run, "--engine", "torch", "--stage", "batch_size=1024").error
    told = re.search(r"needs about \S+ GiB on cpu, .* are free; try --stage (batch_size=\d+)", line)
    assert told, line
    done = call(*run, "--engine", "torch", "--stage", told[1])
    assert done.status == 0, done.err
