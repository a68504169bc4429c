from __future__ import annotations

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional

from harness.errors import PluginError
from harness.tricks.model.cosine_classifier import Cosine, CosineClassifier
from harness.tricks.model.with_features import WithFeatures


def test_the_logits_by_hand():
    layer = Cosine(2, 2, scale=10.0)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, 4.0], [0.0, 2.0]]))
    # Cosines of (1, 0) and (5, 5) with (3, 4) / 5 and (0, 1).
    found = layer(torch.tensor([[1.0, 0.0], [5.0, 5.0]]))
    half = 0.5**0.5
    torch.testing.assert_close(found, 10 * torch.tensor([[0.6, 0.0], [1.4 * half, half]]))


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet"])
def test_all_but_the_classifier_stays_and_later_tricks_find_it(name):
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=7).eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    changed = CosineClassifier(scale=4.0)(network)
    images = torch.rand(2, 3, 160, 160)
    features = network.forward_head(network.forward_features(images), pre_logits=True).flatten(1)
    head = changed.get_classifier()
    expected = 4.0 * functional.cosine_similarity(features[:, None], head.weight[None], dim=2)
    torch.testing.assert_close(changed(images), expected)
    torch.testing.assert_close(WithFeatures()(changed)(images)["logits"], expected)
    after = network.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    changed(images).sum().backward()
    assert head.scale.grad.abs() > 0


def test_a_network_without_a_linear_classifier_is_refused():
    with pytest.raises(PluginError, match="that of Sequential is NoneType; choose another"):
        CosineClassifier()(nn.Sequential(nn.Linear(2, 2)))
