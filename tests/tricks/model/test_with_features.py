from __future__ import annotations

import copy

import pytest
import timm
import torch
from torch import nn

from harness.errors import PluginError
from harness.tricks.model.gem_pooling import GeMPooling
from harness.tricks.model.with_features import WithFeatures


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet"])
def test_it_keeps_the_network_and_adds_what_the_classifier_gets(name):
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=7).eval()
    changed = WithFeatures()(network)
    images = torch.rand(2, 3, 160, 160)
    answer = changed(images)
    torch.testing.assert_close(answer["logits"], network(images))
    features = network.forward_head(network.forward_features(images), pre_logits=True)
    torch.testing.assert_close(answer["features"], features.flatten(1))
    torch.testing.assert_close(changed.get_classifier()(answer["features"]), answer["logits"])
    assert list(changed.state_dict()) == list(network.state_dict())
    network.load_state_dict(changed.state_dict())
    assert isinstance(network(images), torch.Tensor)


def test_a_copy_calls_its_own_parts():
    """Averages of weights copy a network and then change the copy."""
    changed = WithFeatures()(timm.create_model("test_resnet", num_classes=3).eval())
    other = copy.deepcopy(changed)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    images = torch.rand(1, 3, 32, 32)
    assert other(images)["logits"].abs().sum() == 0
    assert changed(images)["logits"].abs().sum() > 0


def test_it_goes_with_another_model_trick_in_either_order():
    network = timm.create_model("test_resnet", num_classes=3).eval()
    images = torch.rand(2, 3, 32, 32)
    first = WithFeatures()(GeMPooling()(network))(images)
    second = GeMPooling()(WithFeatures()(network))(images)
    torch.testing.assert_close(first["features"], second["features"])
    torch.testing.assert_close(first["logits"], second["logits"])


def test_a_network_of_another_make_is_refused():
    with pytest.raises(PluginError, match="Linear has no forward_features"):
        WithFeatures()(nn.Linear(2, 2))
