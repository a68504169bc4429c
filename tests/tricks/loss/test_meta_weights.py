from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from harness.errors import HarnessError, PluginError
from harness.tricks.loss.meta_weights import MetaWeights, meta_loss, weight_of


def test_the_perceptron_by_hand():
    # w1 = (1, -1), b1 = (0, 1), w2 = (2, 3), b2 = -1 at losses 0.5 and 2.
    meta = torch.tensor([1.0, -1, 0, 1, 2, 3, -1])
    found = weight_of(torch.tensor([0.5, 2.0]), meta).tolist()
    expected = [1 / (1 + math.exp(-(2 * 0.5 + 3 * 0.5 - 1))), 1 / (1 + math.exp(-(2 * 2 - 1)))]
    assert found == pytest.approx(expected)


def test_it_begins_as_torchs_layers_do(make_samples):
    kept = MetaWeights(hidden=400).state(make_samples([0, 1]))
    first, second = kept["meta"].initial[:800], kept["meta"].initial[800:]
    assert len(second) == 401
    assert 0.95 < first.abs().max() <= 1  # one input: from -1 to 1
    assert 0.045 < second.abs().max() <= 0.05  # 400 inputs: from -1/20 to 1/20
    assert not any(kept[name].per_sample for name in kept)


class Paper:
    """The method as the paper has it, with second derivatives, for a network of one layer.

    The weighing network is torch's own layers, trained by torch's own Adam.
    """

    def __init__(self, meta, weights, bias):
        hidden = len(meta) // 3
        self.net = nn.Sequential(
            nn.Linear(1, hidden), nn.ReLU(), nn.Linear(hidden, 1), nn.Sigmoid()
        )
        with torch.no_grad():
            self.net[0].weight.copy_(meta[:hidden, None])
            self.net[0].bias.copy_(meta[hidden : 2 * hidden])
            self.net[2].weight.copy_(meta[None, 2 * hidden : 3 * hidden])
            self.net[2].bias.copy_(meta[3 * hidden :])
        self.adam = torch.optim.Adam(self.net.parameters(), 1e-2, weight_decay=1e-1)
        self.layer = weights, bias

    @property
    def meta(self):
        return torch.cat([p.detach().flatten() for p in self.net.parameters()])

    def learn(self, features, labels, sample_weights, clean_features, clean_labels, rate):
        weights, bias = (part.detach().requires_grad_() for part in self.layer)
        costs = cross_entropy(features @ weights.T + bias, labels, reduction="none")
        weighing = self.net(costs.detach()[:, None])[:, 0]
        whole = (costs * weighing * sample_weights).mean()
        slopes = torch.autograd.grad(whole, (weights, bias), create_graph=True)
        moved = weights - rate * slopes[0], bias - rate * slopes[1]
        value = cross_entropy(clean_features @ moved[0].T + moved[1], clean_labels)
        self.adam.zero_grad()
        value.backward()
        self.adam.step()
        return value.detach()


@pytest.fixture
def given(make_batch, make_samples):
    """A trick, its state, and a batch of a linear network, with clean pictures."""
    random = torch.Generator().manual_seed(0)
    layer = torch.randn(3, 5, generator=random), torch.randn(3, generator=random)
    trick = MetaWeights(hidden=6, lr=1e-2, weight_decay=1e-1, step=0.7)
    kept = trick.state(make_samples([0, 1, 2]))

    def drawn(size, weights):
        features = torch.randn(size, 5, generator=random)
        labels = torch.randint(0, 3, (size,), generator=random)
        outputs = {"features": features, "logits": features @ layer[0].T + layer[1]}
        return labels, make_batch(torch.eye(3)[labels], weights=weights), outputs

    labels, batch, outputs = drawn(8, torch.rand(8, generator=random))
    clean_labels, clean, said = drawn(4, torch.ones(4))
    batch = replace(
        batch,
        clean=replace(clean, extra=said),
        outputs={"features": outputs["features"]},
        shared={name: one.initial for name, one in kept.items()},
    )
    return trick, layer, batch, outputs, labels, clean_labels


def test_the_meta_gradient_is_that_of_second_derivatives(given):
    trick, layer, batch, outputs, labels, clean_labels = given
    paper = Paper(batch.shared["meta"], *layer)
    for _ in range(3):  # Adam's momenta too
        own = meta_loss(
            batch.shared["meta"], outputs["logits"], outputs["features"], batch, batch.clean, 0.7
        )
        batch = replace(batch, shared={**trick.update(outputs, batch)})
        expected = paper.learn(
            outputs["features"], labels, batch.weights,
            batch.clean.extra["features"], clean_labels, 0.7,
        )  # fmt: skip
        torch.testing.assert_close(own, expected)
        torch.testing.assert_close(batch.shared["meta"], paper.meta, rtol=1e-4, atol=1e-6)
    assert batch.shared["meta_steps"] == 3


def test_it_learns_to_leave_out_what_hurts_the_clean(given):
    trick, _, batch, outputs, _, _ = given
    trick = replace(trick, weight_decay=0.0)
    # Wrong labels have large losses here; clean pictures are those with the right ones.
    best = outputs["logits"].argmax(dim=1)
    wrong = (best + 1) % 3
    half = torch.arange(8) % 2 == 0
    batch = replace(batch, targets=torch.eye(3)[torch.where(half, wrong, best)])
    right = replace(batch, targets=torch.eye(3)[best], extra=outputs)
    batch = replace(batch, clean=right, weights=torch.ones(8))
    for _ in range(200):
        batch = replace(batch, shared={**trick.update(outputs, batch)})
    losses = cross_entropy(outputs["logits"], batch.targets, reduction="none")
    weights = weight_of(losses, batch.shared["meta"])
    assert weights[half].mean() < weights[~half].mean() - 0.1


def test_each_loss_is_multiplied_by_its_weight(given, inner):
    trick, _, batch, outputs, _, _ = given
    logits = outputs["logits"].clone().requires_grad_()
    found = trick(lambda logits, batch: 2 * inner(logits, batch))(logits, batch)
    costs = inner(logits, batch)
    weight = weight_of(costs.detach(), batch.shared["meta"])
    torch.testing.assert_close(found, 2 * costs * weight)
    found.sum().backward()
    assert batch.shared["meta"].grad is None


def test_what_is_missing_is_named(given, inner):
    trick, _, batch, outputs, _, _ = given
    with pytest.raises(PluginError, match=r"add WithFeatures\(\)"):
        trick(inner)(outputs["logits"], replace(batch, outputs={}))
    for clean in (None, replace(batch.clean, extra={})):
        with pytest.raises(PluginError, match=r"add AskClean\(\)"):
            trick(inner)(outputs["logits"], replace(batch, clean=clean))
    with pytest.raises(HarnessError, match="hidden"):
        MetaWeights(hidden=0)
