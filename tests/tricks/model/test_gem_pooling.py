from __future__ import annotations

import copy

import pytest
import timm
import torch
from timm.layers import SelectAdaptivePool2d
from torch import nn

from harness.errors import PluginError
from harness.tricks.model.gem_pooling import GeMPooling, PowerMean

# One of each way in which the deck's networks pool; the largest are built without memory.
BIG = ["legacy_senet154", "dpn98", "inception_resnet_v2", "nasnetalarge", "pnasnet5large"]
SMALL = ["test_resnet", "legacy_seresnet18", "resnet10t", "efficientnet_b0"]


def pool_of(network):
    (pool,) = [module for module in network.modules() if isinstance(module, PowerMean)]
    return pool


def pooled(values, p):
    return PowerMean(p, learned=True)(torch.tensor(values).view(1, 1, 1, -1)).item()


def test_four_places_by_hand():
    assert pooled([1.0, 2.0, 3.0, 4.0], 1) == pytest.approx(2.5)
    assert pooled([1.0, 2.0, 3.0, 4.0], 2) == pytest.approx(7.5**0.5)
    assert pooled([1.0, 2.0, 3.0, 4.0], 3) == pytest.approx(25 ** (1 / 3))
    assert pooled([1.0, 2.0, 3.0, 4.0], 1000) == pytest.approx(4, rel=2e-3)
    # What is not positive counts as next to nothing.
    assert pooled([2.0, -5.0], 3) == pytest.approx(2 / 2 ** (1 / 3))
    assert pooled([0.0, 0.0], 3) == pytest.approx(0, abs=2e-6)


def test_p_1_is_average_pooling_and_p_without_end_the_maximum():
    activations = torch.rand(2, 5, 7, 6) * 30
    average = PowerMean(1, learned=True)(activations)
    torch.testing.assert_close(average, activations.mean(dim=(2, 3), keepdim=True))
    highest = PowerMean(1e4, learned=True)(activations)
    torch.testing.assert_close(
        highest, activations.amax(dim=(2, 3), keepdim=True), rtol=1e-3, atol=0
    )


@pytest.mark.parametrize("p", [1.5, 3.0, 8.0])
def test_the_slope_in_p_and_in_the_activations_is_that_of_finite_differences(p):
    random = torch.Generator().manual_seed(0)
    activations = 5 * torch.rand(2, 3, 4, 4, generator=random, dtype=torch.float64)
    weigh = torch.randn(2, 3, 1, 1, generator=random, dtype=torch.float64)

    def direct(x, p):
        """The formula as it stands, in double precision."""
        return ((x**p).mean(dim=(2, 3), keepdim=True) ** (1 / p) * weigh).sum()

    pool = PowerMean(p, learned=True)
    x = activations.float().requires_grad_()
    (pool(x) * weigh).sum().backward()
    step = 1e-5
    slope = (direct(activations, p + step) - direct(activations, p - step)) / (2 * step)
    assert pool.p.grad.item() == pytest.approx(slope.item(), rel=1e-3)
    place = torch.zeros_like(activations)
    place[1, 2, 0, 3] = step
    slope = (direct(activations + place, p) - direct(activations - place, p)) / (2 * step)
    assert x.grad[1, 2, 0, 3].item() == pytest.approx(slope.item(), rel=1e-3)


def test_nothing_overflows_and_gradients_are_finite():
    activations = torch.tensor([0.0, 1e-9, 1.0, 1e4]).view(1, 1, 2, 2).requires_grad_()
    pool = PowerMean(50, learned=True)
    pool(activations).sum().backward()
    assert torch.isfinite(pool.p.grad).all()
    assert torch.isfinite(activations.grad).all()


def test_p_is_held_at_the_mean():
    pool = PowerMean(1, learned=True)
    with torch.no_grad():
        pool.p.fill_(-2)
    activations = torch.rand(1, 2, 3, 3)
    torch.testing.assert_close(pool(activations), activations.mean(dim=(2, 3), keepdim=True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_goes_in_and_out_but_not_through(dtype):
    activations = (torch.rand(2, 8, 9, 9) * 20).to(dtype)
    pool = PowerMean(3, learned=True)
    found = pool(activations)
    assert found.dtype == dtype
    expected = (activations.double() ** 3).mean(dim=(2, 3), keepdim=True) ** (1 / 3)
    torch.testing.assert_close(found.double(), expected, rtol=0.005, atol=0)


def test_autocast_trains_p_in_full_precision():
    torch.manual_seed(0)
    network = GeMPooling()(timm.create_model("test_resnet", num_classes=5))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = network(torch.rand(2, 3, 64, 64))
    assert logits.dtype == torch.bfloat16
    logits.float().logsumexp(dim=1).sum().backward()
    pool = pool_of(network)
    assert pool.p.dtype == pool.p.grad.dtype == torch.float32
    assert pool.p.grad.item() != 0


@pytest.mark.parametrize("name", BIG)
def test_the_decks_networks_get_it_and_keep_their_shapes(name):
    with torch.device("meta"):
        network = GeMPooling()(timm.create_model(name, num_classes=5)).eval()
        features = torch.empty(2, network.num_features, 4, 4)
        assert network.global_pool.pool is pool_of(network)
        assert network.forward_head(features).shape == (2, 5)
        assert network.forward_head(features, pre_logits=True).shape == (2, network.num_features)
    assert network.global_pool.pool_type == "avg"


@pytest.mark.parametrize("name", SMALL)
def test_at_p_1_a_network_says_what_it_said_with_average_pooling(name):
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=5).eval()
    for module in network.modules():  # an untrained network that ends in no negative numbers
        if isinstance(module, nn.SiLU):
            module.forward = torch.relu
    changed = GeMPooling(p=1)(network)
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(changed(images), network(images), rtol=1e-3, atol=1e-5)
        features = changed.forward_features(images)
        head = changed.get_classifier()
        pre_logits = changed.forward_head(features, pre_logits=True)
        torch.testing.assert_close(head(pre_logits), changed(images))


def test_a_convolution_as_classifier_keeps_its_place():
    """DPN's head: pooled to 1 x 1, classified by a convolution, then flattened."""
    with torch.device("meta"):
        network = timm.create_model("dpn68", num_classes=5)
    head = nn.Sequential(
        copy.deepcopy(network.global_pool), nn.Conv2d(3, 5, 1), copy.deepcopy(network.flatten)
    )
    changed = GeMPooling(p=2)(head)
    features = torch.rand(2, 3, 4, 4)
    expected = head[1]((features**2).mean(dim=(2, 3), keepdim=True) ** 0.5).flatten(1)
    torch.testing.assert_close(changed(features), expected)


def test_the_network_that_came_stays_as_it_was():
    network = timm.create_model("test_resnet")
    before = set(network.state_dict())
    changed = GeMPooling()(network)
    assert set(network.state_dict()) == before
    assert set(changed.state_dict()) == before | {"global_pool.pool.p"}
    assert not any(isinstance(module, PowerMean) for module in network.modules())


def test_plain_torch_networks_have_their_last_average_pooling_replaced():
    squeeze = nn.AdaptiveAvgPool2d(1)
    network = nn.Sequential(squeeze, nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten())
    changed = GeMPooling()(network)
    assert isinstance(changed[2], PowerMean)
    assert isinstance(changed[0], nn.AdaptiveAvgPool2d)


def test_its_state_goes_round_and_weights_without_p_may_start_it():
    network = timm.create_model("test_resnet", num_classes=5)
    first, second = GeMPooling(p=3)(network), GeMPooling(p=2)(network)
    with torch.no_grad():
        pool_of(first).p.fill_(4.5)
    second.load_state_dict(first.state_dict())
    assert pool_of(second).p.item() == 4.5
    weights = network.state_dict()
    before = set(weights)
    third = copy.deepcopy(GeMPooling(p=2.5)(network))  # as the next model trick makes it
    third.load_state_dict(weights)
    assert pool_of(third).p.item() == 2.5
    assert set(weights) == before
    with pytest.raises(RuntimeError, match="Missing"):
        third.load_state_dict({name: weights[name] for name in list(weights)[1:]})


def test_p_is_trained_or_fixed_and_of_one_dimension_so_never_decayed():
    network = timm.create_model("test_resnet")
    learned, fixed = (
        pool_of(GeMPooling()(network)).p,
        pool_of(GeMPooling(exponent="fixed")(network)).p,
    )
    assert learned.requires_grad
    assert not fixed.requires_grad
    assert learned.ndim == fixed.ndim == 1


@pytest.mark.parametrize(
    "network",
    [
        nn.Linear(3, 3),
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(7)),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), SelectAdaptivePool2d(pool_type="max")),
    ],
)
def test_a_network_without_average_pooling_is_an_error(network):
    with pytest.raises(PluginError, match="has none"):
        GeMPooling()(network)


@pytest.mark.parametrize("knobs", [{"p": 0.5}, {"p": float("nan")}, {"exponent": "free"}])
def test_bad_knobs_are_refused(knobs):
    with pytest.raises(PluginError, match=next(iter(knobs))):
        GeMPooling(**knobs)
