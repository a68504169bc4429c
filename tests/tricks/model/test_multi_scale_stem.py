from __future__ import annotations

import itertools

import pytest
import timm
import torch
from torch import nn

from harness.errors import PluginError
from harness.tricks.model.multi_scale_stem import MultiScaleConv2d, MultiScaleStem


def test_the_sum_of_three_by_hand():
    first = nn.Conv2d(1, 1, 1, bias=False)
    stem = MultiScaleConv2d(first, (3, 5))
    with torch.no_grad():
        for conv in (first, *stem.others):
            conv.weight.fill_(1)
        total = stem(torch.ones(1, 1, 5, 5)) * 3**0.5
    # A corner sees 1 + 2 * 2 + 3 * 3 pixels, the centre 1 + 9 + 25.
    assert total[0, 0, 0, 0].item() == pytest.approx(14)
    assert total[0, 0, 4, 4].item() == pytest.approx(14)
    assert total[0, 0, 2, 2].item() == pytest.approx(35)


def test_the_output_size_stays():
    settings = itertools.product([1, 2, 3, 4, 5, 7], [1, 2, 4], [0, 1, 3], [16, 17, 31])
    wrong = []
    for kernel, stride, padding, size in settings:
        first = nn.Conv2d(3, 4, kernel, stride=stride, padding=padding)
        images = torch.rand(2, 3, size, size + 3)
        if MultiScaleConv2d(first, (5, 9))(images).shape != first(images).shape:
            wrong.append((kernel, stride, padding, size))
    assert wrong == []


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_padding_may_be_a_word(padding):
    first = nn.Conv2d(3, 4, 3, padding=padding, dilation=2, bias=False)
    images = torch.rand(1, 3, 20, 20)
    assert MultiScaleConv2d(first, (5, 9))(images).shape == first(images).shape


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(7, 2, 3), (3, 1, 0), (3, 2, 1)])
def test_a_kernel_of_the_same_size_looks_at_the_same_pixels(kernel, stride, padding):
    first = nn.Conv2d(3, 4, kernel, stride=stride, padding=padding, bias=False)
    stem = MultiScaleConv2d(first, (kernel,))
    stem.others[0].load_state_dict(first.state_dict())
    for size in (20, 21):
        images = torch.rand(1, 3, size, size)
        torch.testing.assert_close(stem(images), first(images) * 2**0.5)


def test_tensorflows_padding_is_followed():
    first = next(m for m in timm.create_model("tf_efficientnet_b0").modules() if is_conv(m))
    stem = MultiScaleConv2d(first, (3,))
    stem.others[0].load_state_dict(first.state_dict())
    for size in (20, 21):
        images = torch.rand(1, 3, size, size)
        torch.testing.assert_close(stem(images), first(images) * 2**0.5)


def is_conv(module):
    return isinstance(module, nn.Conv2d)


def test_activations_keep_their_scale():
    torch.manual_seed(0)
    network = timm.create_model("resnet18")
    images = torch.randn(8, 3, 64, 64)
    with torch.no_grad():
        before = network.conv1(images).std()
        after = MultiScaleStem()(network).conv1(images).std()
    assert 0.9 < after / before < 1.1


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_efficientnet", "resnet18d"])
def test_the_first_convolution_of_timms_networks_is_replaced(name):
    network = timm.create_model(name, num_classes=5).eval()
    changed = MultiScaleStem()(network)
    assert sum(isinstance(module, MultiScaleConv2d) for module in changed.modules()) == 1
    assert not any(isinstance(module, MultiScaleConv2d) for module in network.modules())
    assert changed(torch.rand(2, 3, 64, 64)).shape == (2, 5)
    kept = changed.state_dict()
    first = next(name for name, module in network.named_modules() if is_conv(module))
    torch.testing.assert_close(
        kept[f"{first}.first.weight"], network.state_dict()[f"{first}.weight"]
    )


def test_the_new_weights_come_from_torchs_random_state():
    network = nn.Sequential(nn.Conv2d(3, 2, 3))
    weights = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        weights.append(MultiScaleStem()(network).state_dict()["0.others.0.weight"])
    torch.testing.assert_close(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_gradients_reach_every_kernel():
    stem = MultiScaleStem()(nn.Conv2d(3, 2, 3, padding=1))
    stem(torch.rand(1, 3, 12, 12)).sum().backward()
    assert all(parameter.grad is not None for parameter in stem.parameters())


def test_a_network_without_convolution_is_an_error():
    with pytest.raises(PluginError, match="Linear has none"):
        MultiScaleStem()(nn.Linear(3, 3))


@pytest.mark.parametrize("kernels", [(), (0,)])
def test_kernels_that_are_none_are_refused(kernels):
    with pytest.raises(PluginError, match=r"kernels must (be an int > 0|have 1 or more values)"):
        MultiScaleStem(kernels=kernels)
