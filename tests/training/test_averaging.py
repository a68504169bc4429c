"""Averages of weights, by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from harness.averages import Ema, Swa
from harness.training.averaging import MeanOf, WeightAverage


def averaged(average: Ema | Swa, values: list[float]) -> tuple[float, WeightAverage]:
    module = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        module.weight.fill_(0.0)
    found = WeightAverage(module, average)
    for step, value in enumerate(values, start=1):
        with torch.no_grad():
            module.weight.fill_(value)
        found.update(module, step / len(values))
    return float(next(found.module.parameters()).item()), found


def test_an_exponential_average_without_warm_up() -> None:
    assert averaged(Ema(decay=0.5, warmup=False), [1.0, 3.0])[0] == pytest.approx(1.75)


def test_the_warm_up_begins_as_a_mean_over_few_steps() -> None:
    # decays 1/10, 2/11, 3/12 instead of 0.999
    mean = 0.0
    for value, decay in zip([1.0, 3.0, 5.0], [1 / 10, 2 / 11, 3 / 12], strict=True):
        mean = decay * mean + (1 - decay) * value
    assert averaged(Ema(decay=0.999), [1.0, 3.0, 5.0])[0] == pytest.approx(mean)


def test_the_mean_of_the_last_half() -> None:
    # Progress is 1/4, 2/4, 3/4, 1: up to half of it the average is the weights themselves.
    assert averaged(Swa(start=0.6), [9.0, 7.0, 4.0, 1.0])[0] == pytest.approx((7 + 4 + 1) / 3)


def test_statistics_are_averaged_and_counters_are_copied() -> None:
    module = nn.BatchNorm1d(1)
    found = WeightAverage(module, Ema(decay=0.5, warmup=False))
    with torch.no_grad():
        module.running_mean.fill_(4.0)  # type: ignore[union-attr]
        module.num_batches_tracked.fill_(7)  # type: ignore[union-attr]
    found.update(module, 0.5)
    assert found.module.running_mean.item() == 2.0  # type: ignore[union-attr]
    assert found.module.num_batches_tracked.item() == 7  # type: ignore[union-attr]
    assert not found.module.training
    assert not any(parameter.requires_grad for parameter in found.module.parameters())


def test_the_average_normalises_by_the_batch_if_asked_and_stays_as_it_is() -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 2))
    found = WeightAverage(module, Ema(decay=0.999, warmup=False))
    before = {name: value.clone() for name, value in found.module.state_dict().items()}
    inputs = torch.randn(8, 2) + 5
    hidden = module[0](inputs)
    normal = (hidden - hidden.mean(0)) / (hidden.var(0, unbiased=False) + module[1].eps).sqrt()
    torch.testing.assert_close(found.of_batch(inputs), module[3](normal))
    assert not torch.allclose(found.module(inputs), module[3](normal), atol=0.1)
    after = found.module.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert not any(part.training for part in found.module.modules())


def test_networks_as_one_answer_with_their_mean_probabilities() -> None:
    one, two = nn.Linear(2, 3), nn.Linear(2, 3)
    inputs = torch.randn(4, 2)
    mean = (torch.softmax(one(inputs), 1) + torch.softmax(two(inputs), 1)) / 2
    torch.testing.assert_close(torch.softmax(MeanOf([one, two])(inputs), 1), mean)
