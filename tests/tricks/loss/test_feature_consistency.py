from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cosine_similarity, normalize

from harness.errors import PluginError
from harness.tricks.loss.feature_consistency import FeatureConsistency


def test_the_papers_loss_part_by_part(make_batch, inner):
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(12, 3, generator=random, requires_grad=True)
    raw = [torch.randn(12, 5, generator=random, requires_grad=True) for _ in range(2)]
    subset = torch.tensor([0, 1, 0, 0] * 3)
    batch = replace(
        make_batch(torch.randn(12, 3, generator=random).softmax(1)),
        subset=subset,
        outputs={"embedding": normalize(raw[0]), "predicted": normalize(raw[1])},
    )
    found = FeatureConsistency(strength=0.5)(inner)(logits, batch).mean()
    l_ce = inner(logits, batch)[[0, 2, 3]].mean()
    l_fc = 1 - cosine_similarity(raw[1][8:], raw[0][4:8].detach(), dim=1).mean()
    torch.testing.assert_close(found, l_ce + 0.5 * l_fc)
    found.backward()
    assert raw[0].grad is None
    assert raw[1].grad[:8].abs().sum() == 0
    assert raw[1].grad[8:].abs().sum() > 0


def test_without_consistency_only_the_chosen_count(make_batch, inner):
    logits = torch.randn(4, 3)
    batch = replace(make_batch(torch.eye(3)[[0, 1, 2, 0]]), subset=torch.tensor([0, 1, 1, 0]))
    found = FeatureConsistency(strength=0.0)(inner)(logits, batch)
    torch.testing.assert_close(found.mean(), inner(logits, batch)[[0, 3]].mean())


def test_a_network_without_a_predictor_is_an_error(make_batch, inner):
    with pytest.raises(PluginError, match="predictor=True"):
        FeatureConsistency()(inner)(torch.zeros(3, 3), make_batch(torch.eye(3)))
