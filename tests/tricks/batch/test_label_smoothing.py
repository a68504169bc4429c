from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from harness.errors import PluginError
from harness.tricks.batch.label_smoothing import SmoothLabels, smooth
from harness.tricks.batch.mixup import mix


def test_one_label_by_hand():
    smoothed = smooth(torch.tensor([[0.0, 1.0, 0.0, 0.0]]), 0.2)
    torch.testing.assert_close(smoothed, torch.tensor([[0.05, 0.85, 0.05, 0.05]]))


def test_several_labels_keep_their_sum():
    smoothed = smooth(torch.tensor([[1.0, 1.0, 0.0, 0.0]]), 0.2)
    torch.testing.assert_close(smoothed, torch.tensor([[0.9, 0.9, 0.1, 0.1]]))


def test_cross_entropy_of_them_is_torchs_with_label_smoothing(batch):
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
    soft = torch.rand(6, 4, generator=torch.Generator().manual_seed(2)).softmax(dim=1)
    for targets in (batch.targets, soft):
        smoothed = SmoothLabels(smoothing=0.1)(replace(batch, targets=targets)).targets
        torch.testing.assert_close(
            cross_entropy(logits, smoothed, reduction="none"),
            cross_entropy(logits, targets, reduction="none", label_smoothing=0.1),
        )


def test_mixing_and_smoothing_are_the_same_in_either_order(batch):
    batch = replace(batch, weights=torch.ones(6))
    partners = torch.tensor([3, 2, 1, 5, 4, 0])
    trick = SmoothLabels(smoothing=0.1)
    after, before = trick(mix(batch, 0.3, partners)), mix(trick(batch), 0.3, partners)
    torch.testing.assert_close(after.targets, before.targets)


def test_after_mixing_weighed_samples_targets_sum_to_1(batch):
    mixed = SmoothLabels()(mix(batch, 0.3, torch.tensor([3, 2, 1, 5, 4, 0])))
    torch.testing.assert_close(mixed.targets.sum(dim=1), torch.ones(6))
    assert mixed.targets.min() > 0


def test_nothing_else_changes(batch):
    before = batch.targets.clone()
    smoothed = SmoothLabels()(batch)
    assert replace(smoothed, targets=batch.targets) == batch
    torch.testing.assert_close(batch.targets, before, rtol=0, atol=0)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan")])
def test_a_part_that_is_none_is_refused(smoothing):
    with pytest.raises(PluginError, match=r"SmoothLabels: smoothing must be in \[0, 1\), got"):
        SmoothLabels(smoothing=smoothing)
