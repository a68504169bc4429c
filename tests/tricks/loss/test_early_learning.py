from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.errors import PluginError
from harness.tricks.batch.mixup import MixUp
from harness.tricks.loss.early_learning import EarlyLearning, early_penalty


@pytest.fixture
def batch(make_batch):
    means = torch.tensor([[0.5, 0.2], [0.0, 0.0]])
    return replace(make_batch([[1, 0], [0, 1]]), state={"early": means})


LOGITS = torch.tensor([[0.8, 0.2], [0.4, 0.6]]).log()


def test_two_samples_by_hand(batch, inner):
    trick = EarlyLearning(momentum=0.75, strength=2.0)
    # q = 0.75 (0.5, 0.2) + 0.25 (0.8, 0.2) and 0.25 (0.4, 0.6).
    means = torch.tensor([[0.575, 0.2], [0.1, 0.15]])
    torch.testing.assert_close(trick.update({"logits": LOGITS}, batch)["early"], means)
    agreement = [0.575 * 0.8 + 0.2 * 0.2, 0.1 * 0.4 + 0.15 * 0.6]
    penalty = torch.tensor([math.log(1 - a) for a in agreement])
    torch.testing.assert_close(early_penalty(LOGITS, means), penalty)
    found = trick(inner)(LOGITS, batch)
    torch.testing.assert_close(found, inner(LOGITS, batch) + 2.0 * penalty)


def test_the_gradient_is_that_of_the_paper(batch, inner):
    """Lemma 1: p - y + strength times g, g_c = p_c / (1 - <p, q>) sum_k (q_k - q_c) p_k."""
    random = np.random.default_rng(0)
    logits = torch.tensor(random.normal(size=(2, 3)), requires_grad=True)
    means = torch.tensor(random.dirichlet(np.ones(3), 2)) * 0.6
    given = replace(
        batch,
        targets=torch.eye(3).double()[[0, 2]],
        extra={"averaged": means},
        state={"early": means},
    )
    EarlyLearning(strength=3.0)(inner)(logits, given).sum().backward()
    p, q = logits.detach().softmax(1).numpy(), means.numpy()
    for i in range(2):
        for c in range(3):
            g = p[i, c] / (1 - p[i] @ q[i]) * sum((q[i, k] - q[i, c]) * p[i, k] for k in range(3))
            expected = p[i, c] - float(given.targets[i, c]) + 3.0 * g
            assert logits.grad[i, c].item() == pytest.approx(expected, rel=1e-6)


def test_averaged_weights_take_the_place_of_the_prediction_and_means_are_mixed(batch, inner):
    averaged = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    of_pairs = {"partner": torch.tensor([1, 0]), "own_share": torch.tensor([0.9, 0.9])}
    given = replace(batch, extra={"averaged": averaged, **of_pairs})
    trick = EarlyLearning(momentum=0.5, strength=1.0)
    means = torch.tensor([[0.75, 0.1], [0.25, 0.25]])
    torch.testing.assert_close(trick.update({"logits": LOGITS}, given)["early"], means)
    mixed = 0.9 * means + 0.1 * means.flip(0)
    expected = inner(LOGITS, given) + early_penalty(LOGITS, mixed)
    torch.testing.assert_close(trick(inner)(LOGITS, given), expected)


def test_mixup_says_whom_it_mixed(make_batch):
    batch = replace(make_batch(torch.eye(6)), images=torch.eye(6).view(6, 1, 1, 6))
    mixed = MixUp(alpha=1.0)(batch)
    share = mixed.extra["own_share"][:, None]
    partners = batch.images[mixed.extra["partner"]].view(6, 6)
    torch.testing.assert_close(
        mixed.images.view(6, 6), share * torch.eye(6) + (1 - share) * partners
    )


def test_a_certain_network_has_a_finite_penalty():
    logits = torch.tensor([[400.0, -400.0]], requires_grad=True)
    early_penalty(logits, torch.tensor([[1.0, 0.0]])).sum().backward()
    assert torch.isfinite(logits.grad).all()


def test_a_momentum_of_one_is_refused():
    with pytest.raises(PluginError, match=r"momentum must be in \[0, 1\), got 1"):
        EarlyLearning(momentum=1.0)
