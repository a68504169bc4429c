from __future__ import annotations

import pytest
import torch

from harness.tricks.loss.small_losses import forget_rate, mean_of, smallest


def test_the_forget_rate_rises_over_the_warm_up():
    # T_k = 10 of 200 epochs, tau = 0.4: after 5 epochs half of it, after 10 all of it.
    rates = [forget_rate(epoch / 200, 0.4, 10 / 200) for epoch in (0, 5, 10, 150)]
    assert rates == pytest.approx([0, 0.2, 0.4, 0.4])
    assert forget_rate(0.0, 0.4, 0.0) == 0.4


def test_the_smallest_losses_of_a_batch_by_hand():
    losses = torch.tensor([3.0, 1.0, 4.0, 1.5, 9.0])
    assert smallest(losses, 0.4).tolist() == [True, True, False, True, False]
    assert smallest(losses, 0.0).all()
    assert smallest(losses, 0.99).tolist() == [False, True, False, False, False]


def test_the_factors_make_the_batchs_mean_that_of_the_chosen():
    values, chosen = torch.tensor([3.0, 1.0, 4.0, 1.5]), torch.tensor([True, False, False, True])
    assert (values * mean_of(chosen)).mean().item() == pytest.approx((3 + 1.5) / 2)
    assert mean_of(torch.zeros(3, dtype=torch.bool)).tolist() == [0, 0, 0]
