from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.errors import PluginError
from harness.tricks.loss.neighbour_consistency import NeighbourConsistency, neighbour_divergence


def divergence(q, p):
    return float(sum(a * np.log(a / b) for a, b in zip(q, p, strict=True) if a))


def test_three_samples_by_hand():
    p = np.array([[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]])
    # Cosines: 0.6 of the first with the second, 0.8 with the third, 0.96 of the others.
    features = torch.tensor([[0.0, 2.0], [0.8, 0.6], [0.6, 0.8]])
    found = neighbour_divergence(torch.tensor(p).log(), features.double(), 2, 1.0)
    q = (0.6 * p[1] + 0.8 * p[2]) / 1.4
    assert found[0].item() == pytest.approx(divergence(q, p[0]))
    nearest = neighbour_divergence(torch.tensor(p).log(), features.double(), 1, 1.0)
    for row, other in enumerate([2, 2, 1]):
        assert nearest[row].item() == pytest.approx(divergence(p[other], p[row]))


def paper(logits, features, count, temperature):
    """Equations 3 to 5, sample by sample."""
    size = len(logits)
    p = [np.exp(z / temperature) / np.exp(z / temperature).sum() for z in logits]
    losses = []
    for i in range(size):
        s = np.array(
            [
                max(0.0, features[i] @ f / np.linalg.norm(features[i]) / np.linalg.norm(f))
                for f in features
            ]
        )
        s[i] = 0
        s[np.argsort(s)[: size - count]] = 0
        q = sum(s[j] / s.sum() * p[j] for j in range(size))
        losses.append(temperature**2 * divergence(q, p[i]))
    return losses


@pytest.mark.parametrize("count", [1, 3, 7])
def test_it_is_the_papers_sum(count):
    random = np.random.default_rng(0)
    logits, features = random.normal(size=(8, 4)), random.normal(size=(8, 5)) + 0.5
    found = neighbour_divergence(torch.tensor(logits), torch.tensor(features), count, 2.0)
    np.testing.assert_allclose(found.numpy(), paper(logits, features, count, 2.0), rtol=1e-6)


def test_gradients_flow_through_features_and_neighbours():
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 3, generator=random).double().requires_grad_()
    features = torch.rand(5, 4, generator=random).double().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda z, f: neighbour_divergence(z, f, 4, 2.0), (logits, features)
    )


def test_samples_without_a_neighbour_have_no_divergence_and_finite_gradients():
    logits = torch.randn(3, 2, requires_grad=True)
    features = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], requires_grad=True)
    found = neighbour_divergence(logits, features, 2, 1.0)
    assert found.tolist() == [0, 0, 0]
    found.sum().backward()
    assert torch.isfinite(logits.grad).all()
    assert torch.isfinite(features.grad).all()
    assert neighbour_divergence(logits[:1], features[:1], 2, 1.0).tolist() == [0]


def test_it_begins_late_and_is_mixed_with_the_inner_loss(make_batch, inner):
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    features = torch.rand(4, 2, generator=torch.Generator().manual_seed(1))
    early = replace(make_batch(torch.eye(3)[[0, 1, 2, 0]]), outputs={"features": features})
    loss = NeighbourConsistency(weight=0.25, count=2, temperature=1.0, start=0.5)(inner)
    torch.testing.assert_close(loss(logits, early), inner(logits, early))
    expected = 0.75 * inner(logits, early) + 0.25 * neighbour_divergence(logits, features, 2, 1.0)
    torch.testing.assert_close(loss(logits, replace(early, progress=0.5)), expected)


def test_a_network_without_features_is_refused(make_batch, inner):
    with pytest.raises(PluginError, match=r"add WithFeatures\(\) to the stage's model tricks"):
        NeighbourConsistency()(inner)(torch.zeros(2, 2), make_batch(torch.eye(2)))
