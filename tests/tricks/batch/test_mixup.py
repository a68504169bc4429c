from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from timm.data.mixup import Mixup
from torch.nn.functional import cross_entropy

from harness.errors import PluginError
from harness.tricks.batch.mixup import MixUp, mix
from harness.values import Batch


def weighed(*weights):
    size = len(weights)
    return Batch(
        images=torch.arange(float(size)).view(size, 1, 1, 1),
        targets=torch.eye(size),
        weights=torch.tensor(weights),
        index=torch.arange(size),
        seed=0,
    )


def test_two_samples_by_hand():
    mixed = mix(weighed(1.0, 0.5), 0.75, torch.tensor([1, 0]))
    torch.testing.assert_close(mixed.images.flatten(), torch.tensor([0.25, 0.75]))
    # 0.75 * 1 + 0.25 * 0.5 and 0.75 * 0.5 + 0.25 * 1.
    torch.testing.assert_close(mixed.weights, torch.tensor([0.875, 0.625]))
    torch.testing.assert_close(
        mixed.targets, torch.tensor([[0.75 / 0.875, 0.125 / 0.875], [0.25 / 0.625, 0.375 / 0.625]])
    )
    assert mixed.index.tolist() == [0, 1]


def test_equal_weights_give_what_timm_gives(batch):
    np.random.seed(3)  # noqa: NPY002 - timm's mixup draws from there
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    oracle = Mixup(mixup_alpha=0.2, label_smoothing=0.0, num_classes=4)
    images, targets = oracle(batch.images.clone(), labels)
    np.random.seed(3)  # noqa: NPY002
    np.random.rand()  # noqa: NPY002 - whether it mixes at all
    share = np.random.beta(0.2, 0.2)  # noqa: NPY002
    mixed = mix(replace(batch, weights=torch.ones(6)), share, torch.arange(6).flip(0))
    torch.testing.assert_close(mixed.images, images)
    torch.testing.assert_close(mixed.targets, targets)
    torch.testing.assert_close(mixed.weights, torch.ones(6))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_every_label_counts_as_its_own_sample_weighs(batch, share):
    partners = torch.tensor([3, 2, 1, 5, 4, 0])
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
    mixed = mix(batch, share, partners)
    own = cross_entropy(logits, batch.targets, reduction="none") * batch.weights
    others = (
        cross_entropy(logits, batch.targets[partners], reduction="none") * batch.weights[partners]
    )
    torch.testing.assert_close(
        mixed.weights * cross_entropy(logits, mixed.targets, reduction="none"),
        share * own + (1 - share) * others,
    )
    torch.testing.assert_close(mixed.weights.sum(), batch.weights.sum())


def test_a_sample_of_no_weight_teaches_nothing():
    mixed = mix(weighed(1.0, 0.0, 0.0), 0.25, torch.tensor([1, 0, 2]))
    torch.testing.assert_close(mixed.targets[:2], torch.eye(3)[[0, 0]])
    torch.testing.assert_close(mixed.weights, torch.tensor([0.25, 0.75, 0.0]))
    assert torch.isfinite(mixed.targets).all()


def test_if_both_weigh_nothing_targets_are_mixed_like_images():
    mixed = mix(weighed(0.0, 0.0), 0.25, torch.tensor([1, 0]))
    torch.testing.assert_close(mixed.targets, torch.tensor([[0.25, 0.75], [0.75, 0.25]]))


def test_all_of_oneself_changes_nothing(batch):
    mixed = mix(batch, 1.0, torch.arange(6).flip(0))
    torch.testing.assert_close(mixed.images, batch.images, rtol=0, atol=0)
    torch.testing.assert_close(mixed.weights, batch.weights, rtol=0, atol=0)


def test_the_order_of_samples_does_not_matter(batch):
    partners, order = torch.tensor([3, 2, 1, 5, 4, 0]), torch.tensor([4, 0, 5, 2, 1, 3])
    mixed = mix(batch, 0.3, partners)
    moved = replace(
        batch,
        images=batch.images[order],
        targets=batch.targets[order],
        weights=batch.weights[order],
    )
    # The partner of a sample that moved is where that partner moved to.
    again = mix(moved, 0.3, order.argsort()[partners[order]])
    torch.testing.assert_close(again.images, mixed.images[order])
    torch.testing.assert_close(again.targets, mixed.targets[order])
    torch.testing.assert_close(again.weights, mixed.weights[order])


def test_it_draws_from_the_batchs_seed_alone(batch):
    first, again = MixUp(alpha=0.4)(batch), MixUp(alpha=0.4)(batch)
    torch.testing.assert_close(first.images, again.images, rtol=0, atol=0)
    torch.testing.assert_close(first.targets, again.targets, rtol=0, atol=0)
    other = MixUp(alpha=0.4)(replace(batch, seed=8))
    assert not torch.equal(first.images, other.images)


def test_shares_are_drawn_from_the_beta_distribution():
    """The targets of a lone pair tell the share; a fixed list of seeds, so never by chance."""
    shares = []
    for seed in range(800):
        mixed = MixUp(alpha=0.5)(replace(weighed(1.0, 1.0), seed=seed))
        if mixed.targets[0, 0] != 1:  # its partner is the other one
            shares.append(mixed.targets[0, 0].item())
    assert 300 < len(shares) < 500
    # Beta(a, a): mean 1/2, variance 1 / (4 (2 a + 1)).
    assert np.mean(shares) == pytest.approx(0.5, abs=0.04)
    assert np.var(shares) == pytest.approx(1 / 8, abs=0.01)


def test_nothing_is_written_into_the_batch_that_came(batch):
    before = [t.clone() for t in (batch.images, batch.targets, batch.weights)]
    MixUp()(batch)
    for tensor, kept in zip((batch.images, batch.targets, batch.weights), before, strict=True):
        torch.testing.assert_close(tensor, kept, rtol=0, atol=0)


def test_the_layout_of_the_pictures_stays(batch):
    assert MixUp()(batch).images.stride() == batch.images.stride()


def test_a_batch_of_one_stays_as_it_is():
    alone = weighed(0.5)
    torch.testing.assert_close(MixUp()(alone).targets, alone.targets)
    torch.testing.assert_close(MixUp()(alone).weights, alone.weights)


@pytest.mark.parametrize("alpha", [0, -1, float("nan"), float("inf")])
def test_an_alpha_that_gives_no_distribution_is_refused(alpha):
    with pytest.raises(PluginError, match="alpha must be > 0, got"):
        MixUp(alpha=alpha)
