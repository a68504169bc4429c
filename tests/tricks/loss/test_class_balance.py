from __future__ import annotations

import pytest
import torch

from harness.tricks.loss.class_balance import imbalance


def test_two_classes_by_hand():
    # Mean probabilities (3/4, 1/4) of two pictures (1, 0) and (1/2, 1/2), nearly.
    found = imbalance(torch.tensor([[60.0, 0.0], [0.0, 0.0]])).item()
    uneven = torch.tensor([0.75, 0.25])
    assert found == pytest.approx((0.5 * (0.5 / uneven).log()).sum().item())
    assert imbalance(torch.tensor([[5.0, 0.0], [0.0, 5.0]])).item() == pytest.approx(0, abs=1e-6)
