"""The engines against the plain one, step by step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from harness.errors import HarnessError
from harness.spec import ENGINES
from harness.training.batches import cross_entropy
from harness.training.engine import Engine
from harness.training.engines import make_engine
from harness.training.learner import weighted_mean
from harness.training.optimizer import build_optimizer
from harness.training.ranks import Ranks
from harness.values import Batch, Sgd, Stage

STEPS = 6


def take_steps(engine: Engine, stage: Stage, batches: list[Batch]) -> list[float]:
    losses = []
    engine.module.train()
    for number, batch in enumerate(batches):
        engine.set_lr(stage.lr * (1 + number // stage.accumulation))
        loss = weighted_mean(cross_entropy, engine(batch.images), batch)
        engine.backward(loss)
        engine.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"accumulation": 4},
        {"clip_norm": 0.2},
        {"clip_norm": 0.2, "accumulation": 4},
        {"optimizer": Sgd(momentum=0.9, nesterov=False, weight_decay=0.01)},
        {"precision": "bf16"},
        {"precision": "fp16"},
        {"precision": "fp16", "clip_norm": 0.2, "accumulation": 2},
    ],
    ids=str,
)
def test_the_engines_have_the_same_losses(
    values: dict[str, object],
    network: Callable[[], nn.Module],
    batches: Callable[[int, int], list[Batch]],
    ranks: Ranks,
) -> None:
    stage = Stage(name="train", batch_size=16, lr=0.1, **values)
    data = batches(STEPS * stage.accumulation, stage.batch_size // stage.accumulation)
    engines = {name: make_engine(name, network(), stage, ranks, {}) for name in ENGINES}
    losses = {name: take_steps(engine, stage, data) for name, engine in engines.items()}
    assert [engine.name for engine in engines.values()] == list(ENGINES)
    tolerance = 1e-6 if stage.precision == "fp32" else 2e-3
    for name in ENGINES:
        np.testing.assert_allclose(losses[name], losses["torch"], rtol=tolerance, err_msg=name)
    if stage.precision == "fp32":
        plain = engines.pop("torch").module.state_dict()
        for engine in engines.values():
            for key, mine in engine.module.state_dict().items():
                torch.testing.assert_close(mine, plain[key], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("accumulation", [1, 2])
def test_an_engine_updates_as_torchs_own_optimizer_does(
    name: str,
    accumulation: int,
    network: Callable[[], nn.Module],
    batches: Callable[[int, int], list[Batch]],
    ranks: Ranks,
) -> None:
    """The fused kernel is right only if gradients and momentum lie in memory as the weights do."""
    stage = Stage(name="train", batch_size=16, lr=0.1, accumulation=accumulation)
    data = batches(STEPS * accumulation, 16 // accumulation)
    engine = make_engine(name, network(), stage, ranks, {})
    losses = take_steps(engine, stage, data)
    plain = network().to(memory_format=torch.channels_last)
    groups = [
        {"params": [p for p in plain.parameters() if p.ndim > 1], "weight_decay": 1e-4},
        {"params": [p for p in plain.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True, foreach=False)
    for number, batch in enumerate(data):
        loss = weighted_mean(cross_entropy, plain(batch.images), batch)
        assert loss.item() == pytest.approx(losses[number], rel=2e-6)
        (loss / accumulation).backward()
        for group in optimizer.param_groups:
            group["lr"] = stage.lr * (1 + number // accumulation)
        if (number + 1) % accumulation == 0:
            optimizer.step()
            optimizer.zero_grad()
    weights = dict(engine.module.named_parameters())
    for key, value in plain.named_parameters():
        torch.testing.assert_close(weights[key], value, rtol=1e-5, atol=1e-6)
    other = make_engine(name, network(), stage, ranks, {})
    other.load_state(engine.state())
    for made in (engine, other):
        groups = made.state()["optimizer"]
        kept = [groups["state"][n]["momentum_buffer"] for g in groups["param_groups"]
                for n in g["params"]]  # fmt: skip
        by_rank = sorted(made.module.parameters(), key=lambda p: p.ndim <= 1)
        assert [m.stride() for m in kept] == [p.stride() for p in by_rank]
        assert any(p.is_contiguous(memory_format=torch.channels_last) for p in by_rank
                   if p.ndim == 4)  # fmt: skip


def test_an_engine_that_is_not_known_is_one_line(
    network: Callable[[], nn.Module], ranks: Ranks
) -> None:
    with pytest.raises(HarnessError, match="unknown engine 'horovod'"):
        make_engine("horovod", network(), Stage(name="train"), ranks, {})


def test_accumulation_gives_the_whole_batchs_update(
    network: Callable[[], nn.Module], ranks: Ranks, batches: Callable[[int, int], list[Batch]]
) -> None:
    data = batches(4, 8)
    whole = Batch(
        **{name: torch.cat([getattr(batch, name) for batch in data])
           for name in ("images", "targets", "weights", "index")},
        seed=0,
    )  # fmt: skip
    updated = []
    for accumulation, pieces in ((1, [whole]), (4, data)):
        stage = Stage(name="train", batch_size=32, accumulation=accumulation)
        engine = make_engine("torch", network().eval(), stage, ranks, {})
        for batch in pieces:  # without batch norm's batch statistics the mean is exact
            engine.backward(weighted_mean(cross_entropy, engine(batch.images), batch))
            engine.step()
        updated.append(engine.module.head.weight.detach())
    torch.testing.assert_close(*updated)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_an_engine_goes_on_from_its_state(
    name: str,
    precision: str,
    network: Callable[[], nn.Module],
    batches: Callable[[int, int], list[Batch]],
    ranks: Ranks,
) -> None:
    stage = Stage(name="train", batch_size=16, accumulation=2, precision=precision)
    data = batches(2 * STEPS, 8)
    engine = make_engine(name, network(), stage, ranks, {})
    take_steps(engine, stage, data[:STEPS])
    kept = {part: nn_copy(state) for part, state in engine.state().items()}
    expected = take_steps(engine, stage, data[STEPS:])
    other = make_engine(name, network(), stage, ranks, {})
    other.load_state(kept)
    assert take_steps(other, stage, data[STEPS:]) == expected
    assert bool(kept["scaler"]) == (precision == "fp16")


def nn_copy(state):
    if isinstance(state, torch.Tensor):
        return state.clone()
    if isinstance(state, dict):
        return {key: nn_copy(value) for key, value in state.items()}
    return state


@pytest.mark.parametrize("name", ENGINES)
def test_fp16_skips_an_update_that_overflows_and_keeps_the_smaller_scale(
    name: str,
    network: Callable[[], nn.Module],
    batches: Callable[[int, int], list[Batch]],
    ranks: Ranks,
) -> None:
    stage = Stage(name="train", batch_size=8, precision="fp16")
    (batch,) = batches(1, 8)
    engine = make_engine(name, network(), stage, ranks, {})
    before = engine.module.head.weight.detach().clone()
    scale = engine.state()["scaler"]["scale"]
    # The loss is finite, but its gradient times the loss scale is not.
    engine.backward(engine(batch.images).sum() * 1e35)
    engine.step()
    assert torch.equal(engine.module.head.weight, before)
    assert engine.state()["scaler"]["scale"] == scale / 2
    other = make_engine(name, network(), stage, ranks, {})
    other.load_state(engine.state())
    assert other.state()["scaler"]["scale"] == scale / 2


@pytest.mark.parametrize("name", ENGINES)
def test_a_batch_that_cannot_be_split_stops_every_engine(
    name: str, network: Callable[[], nn.Module], ranks: Ranks
) -> None:
    with pytest.raises(HarnessError, match="cannot be split"):
        make_engine(name, network(), Stage(name="s", batch_size=8, accumulation=3), ranks, {})


def test_batch_norm_and_biases_are_not_decayed(network: Callable[[], nn.Module]) -> None:
    decayed, free = build_optimizer(network(), Stage(name="train")).param_groups
    assert all(parameter.ndim > 1 for parameter in decayed["params"])
    assert all(parameter.ndim == 1 for parameter in free["params"])
    assert len(decayed["params"]) + len(free["params"]) == len(list(network().parameters()))
    assert (decayed["weight_decay"], free["weight_decay"]) == (1e-4, 0.0)


def test_frozen_parameters_are_not_trained(network: Callable[[], nn.Module], ranks: Ranks) -> None:
    module = network()
    module.head.requires_grad_(requires_grad=False)
    groups = build_optimizer(module, Stage(name="train")).param_groups
    trained = {id(parameter) for group in groups for parameter in group["params"]}
    assert not trained & {id(parameter) for parameter in module.head.parameters()}


@pytest.mark.parametrize(
    "user",
    [{"zero_optimization": {"nonsense": 1}}, {"comms_logger": {"enabled": "maybe"}}],
    ids=str,
)
def test_what_deepspeed_refuses_of_the_users_json_is_one_line(
    user: dict[str, object], network: Callable[[], nn.Module], ranks: Ranks
) -> None:
    with pytest.raises(HarnessError, match="--deepspeed: DeepSpeed refuses") as refusal:
        make_engine("deepspeed", network(), Stage(name="train"), ranks, user)
    assert "\n" not in str(refusal.value)
