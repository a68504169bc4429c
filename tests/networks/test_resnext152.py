from __future__ import annotations

import timm
import torch

import harness.networks.resnext152  # noqa: F401 - registers the network


def parameters(blocks, groups, width):
    """A ResNeXt's parameters by hand: convolutions without biases, two per batch norm channel."""
    count = 3 * 64 * 49 + 2 * 64
    channels = 64
    for stage, number in enumerate(blocks):
        inside, out = groups * width * 2**stage, 256 * 2**stage
        for block in range(number):
            entering = channels if block == 0 else out
            count += entering * inside + inside * (inside // groups) * 9 + inside * out
            count += 2 * (inside + inside + out)
            count += entering * out + 2 * out if block == 0 else 0
        channels = out
    return count + channels * 1000 + 1000


def test_it_has_the_papers_parameters():
    with torch.device("meta"):
        network = timm.create_model("resnext152_32x4d")
    assert [len(getattr(network, f"layer{k}")) for k in (1, 2, 3, 4)] == [3, 8, 36, 3]
    found = sum(parameter.numel() for parameter in network.parameters())
    assert found == parameters((3, 8, 36, 3), 32, 4) == 59_951_400


def test_the_count_by_hand_is_right_for_timms_own_resnext():
    with torch.device("meta"):
        network = timm.create_model("resnext101_32x4d")
    found = sum(parameter.numel() for parameter in network.parameters())
    assert found == parameters((3, 4, 23, 3), 32, 4)


def test_the_interface_is_timms():
    network = timm.create_model("resnext152_32x4d", num_classes=7).eval()
    images = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        features = network.forward_features(images)
        assert features.shape == (1, 2048, 1, 1)
        assert network.forward_head(features, pre_logits=True).shape == (1, 2048)
        assert network(images).shape == (1, 7)
    assert network.get_submodule(network.default_cfg["classifier"]) is network.get_classifier()
    assert network.default_cfg["input_size"] == (3, 224, 224)
    assert "resnext152_32x4d" in timm.list_models()
