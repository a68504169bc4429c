from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

import harness.networks.inception_v2  # noqa: F401 - registers the network

# Ioffe and Szegedy 2015, figure 5 (Caffe's widths in 4c, 4d and 4e): places and channels.
PUBLISHED = [
    (112, 64),
    (56, 64),
    (56, 64),
    (56, 192),
    (28, 192),
    (28, 256),
    (28, 320),
    (14, 576),
    (14, 576),
    (14, 576),
    (14, 608),
    (14, 608),
    (7, 1056),
    (7, 1024),
    (7, 1024),
]


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return timm.create_model("inception_v2").eval()


def test_every_output_has_the_published_size(network):
    x = torch.rand(1, 3, 224, 224)
    found = []
    with torch.no_grad():
        for layer in (*network.stem, *network.blocks):
            x = layer(x)
            found.append((x.shape[-1], x.shape[1]))
        assert network.forward_head(x).shape == (1, 1000)
        assert network.forward_head(x, pre_logits=True).shape == (1, 1024)
    assert found == PUBLISHED


def test_it_has_as_many_parameters_as_in_caffe(network):
    parameters = sum(parameter.numel() for parameter in network.parameters())
    biases = sum(m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d))
    assert parameters == 11_285_224
    assert parameters + biases == 11_295_240


@pytest.mark.parametrize("size", [32, 33, 47, 48, 80, 100, 240])
def test_small_and_odd_pictures(network, size):
    with torch.no_grad():
        assert network(torch.rand(2, 3, size, size)).shape == (2, 1000)


def test_the_interface_is_timms(network):
    assert network.num_features == network.head_hidden_size == 1024
    assert network.default_cfg["input_size"] == (3, 224, 224)
    assert len(network.default_cfg["mean"]) == len(network.default_cfg["std"]) == 3
    assert network.get_submodule(network.default_cfg["classifier"]) is network.get_classifier()
    assert network.get_submodule(network.default_cfg["first_conv"]).kernel_size == (7, 7)
    assert "inception_v2" in timm.list_models()


def test_the_classifier_can_be_replaced():
    small = timm.create_model("inception_v2", num_classes=7, in_chans=1, drop_rate=0.2).eval()
    images = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        assert small(images).shape == (2, 7)
        small.reset_classifier(4)
        assert small(images).shape == (2, 4)
        small.reset_classifier(0)
        assert small(images).shape == (2, 1024)
    assert small.num_classes == 0


def test_the_signal_neither_vanishes_nor_explodes():
    torch.manual_seed(0)
    fresh = timm.create_model("inception_v2", num_classes=3)
    x = torch.randn(8, 3, 64, 64)
    fresh(x).square().sum().backward()
    norms = [p.grad.norm() for p in fresh.parameters() if p.grad is not None]
    assert len(norms) == len(list(fresh.parameters()))
    assert all(torch.isfinite(norm) for norm in norms)
    assert 0.1 < fresh.forward_features(x).std() < 10


def test_dropout_is_on_in_training_only():
    torch.manual_seed(0)
    dropped = timm.create_model("inception_v2", num_classes=3, drop_rate=0.5)
    pooled = torch.ones(1, 1024, 1, 1)
    assert (dropped.forward_head(pooled, pre_logits=True) == 0).any()
    assert (dropped.eval().forward_head(pooled, pre_logits=True) == 1).all()
