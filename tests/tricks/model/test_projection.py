from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from harness.errors import PluginError
from harness.tricks.model.projection import Projection


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("test_resnet", num_classes=5).eval()


def test_the_embedding_is_a_perceptron_of_the_pooled_features(network):
    images = torch.randn(3, 3, 32, 32)
    projected = Projection(size=8, hidden=16)(network).eval()
    found = projected(images)
    torch.testing.assert_close(found["logits"], network(images))
    first, _, second = projected.projector
    pooled = network.forward_head(network.forward_features(images), pre_logits=True)
    between = (pooled @ first.weight.T + first.bias).clamp(min=0)
    embedding = between @ second.weight.T + second.bias
    torch.testing.assert_close(found["embedding"], embedding / embedding.norm(dim=1, keepdim=True))
    assert set(found) == {"logits", "embedding"}


def test_a_predictor_stands_on_the_embedding(network):
    projected = Projection(size=8, hidden=16, norm=True, predictor=True)(network).train()
    found = projected(torch.randn(4, 3, 32, 32))
    assert found["predicted"].shape == found["embedding"].shape == (4, 8)
    torch.testing.assert_close(found["predicted"].norm(dim=1), torch.ones(4))
    assert sum(isinstance(part, nn.BatchNorm1d) for part in projected.modules()) == 2


def test_later_stages_find_what_they_need(network):
    projected, images = Projection()(network).eval(), torch.randn(2, 3, 32, 32)
    maps = projected.forward_features(images)
    torch.testing.assert_close(maps, network.forward_features(images))
    torch.testing.assert_close(projected.forward_head(maps), network(images))
    pooled = projected.forward_head(maps, pre_logits=True)
    torch.testing.assert_close(pooled, network.forward_head(maps, pre_logits=True))
    assert projected.get_classifier() is network.get_classifier()


@pytest.mark.parametrize("name", ["dpn48b", "convnext_atto"])
def test_it_knows_the_width_of_other_networks(name):
    projected = Projection(size=8, hidden=16)(timm.create_model(name, num_classes=4)).eval()
    assert projected(torch.randn(2, 3, 64, 64))["embedding"].shape == (2, 8)


def test_a_network_without_features_is_an_error(network):
    with pytest.raises(PluginError, match="forward_features, which Linear does not have"):
        Projection()(nn.Linear(3, 4))
    network.reset_classifier(0)
    with pytest.raises(PluginError, match=r"the classifier of .* is Identity"):
        Projection()(network)
