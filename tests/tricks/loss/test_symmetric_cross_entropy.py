from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from harness.errors import PluginError
from harness.tricks.loss.symmetric_cross_entropy import (
    SymmetricCrossEntropy,
    reverse_cross_entropy,
)


def test_one_sample_by_hand(make_batch, inner):
    logits = torch.tensor([[0.7, 0.2, 0.1]]).log()
    batch = make_batch([[1, 0, 0]])
    # Reverse: -(0.7 log 1 + 0.2 A + 0.1 A) with A = -4.
    torch.testing.assert_close(
        reverse_cross_entropy(logits, batch.targets, -4.0), torch.tensor([1.2])
    )
    found = SymmetricCrossEntropy(alpha=0.1, beta=2.0)(inner)(logits, batch)
    torch.testing.assert_close(found, torch.tensor([-0.1 * math.log(0.7) + 2 * 1.2]))


def test_reverse_cross_entropy_is_the_papers_sum_with_labels_in_the_logarithm():
    random = np.random.default_rng(0)
    p, labels = random.dirichlet(np.ones(5), 20), random.integers(5, size=20)
    q = np.eye(5)[labels]
    log_q = np.where(q > 0, np.log(np.where(q > 0, q, 1)), -4.0)
    expected = [-sum(p[i, k] * log_q[i, k] for k in range(5)) for i in range(20)]
    found = reverse_cross_entropy(torch.tensor(p).log(), torch.tensor(q), -4.0)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)
    # Section 3.3: proportional to the mean absolute error.
    np.testing.assert_allclose(found.numpy(), 2 * np.abs(p - q).sum(1), rtol=1e-6)


def test_soft_targets_and_their_gradient():
    logits = torch.zeros(1, 2, requires_grad=True)
    found = reverse_cross_entropy(logits, torch.tensor([[0.5, 0.5]]), -4.0)
    assert found.item() == pytest.approx(math.log(2))
    found.sum().backward()
    torch.testing.assert_close(logits.grad, torch.zeros(1, 2))
    # Targets above 1, of several labels, have no negative loss.
    assert reverse_cross_entropy(logits, torch.tensor([[3.0, 1.0]]), -4.0).item() == 0


def test_a_logarithm_of_zero_above_zero_is_refused():
    with pytest.raises(PluginError, match="log_zero must be < 0, got 4"):
        SymmetricCrossEntropy(log_zero=4.0)
