from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from harness.errors import PluginError
from harness.tricks.batch.mix_match import MixMatch, sharpen
from harness.values import Batch


class TwoNetworks:
    """Two networks that know two views of four pictures: logits (views, networks, B, K)."""

    known = torch.randn(2, 2, 4, 3, generator=torch.Generator().manual_seed(0))

    def logits(self, images):
        return self.known[int(images[0].flatten().argmax()) // 4]


@pytest.fixture
def batch() -> Batch:
    """Four pictures in two views; the n-th of all eight has a 1 as its n-th value, else 0."""
    pictures = torch.eye(12)[:8].view(2, 4, 3, 2, 2)
    return Batch(
        images=pictures[0],
        views=(pictures[1],),
        targets=torch.tensor([[0.9, 0, 0], [0, 0.2, 0], [0, 0, 1.0], [0, 0.1, 0]]),
        weights=torch.ones(4),
        index=torch.arange(4) + 10,
        subset=torch.tensor([0, 0, 0, 1]),
        seed=7,
        networks=TwoNetworks(),
        epoch=1,
    )


def test_sharpening_by_hand():
    found = sharpen(torch.tensor([[0.5, 0.3, 0.2]]), 0.5)
    torch.testing.assert_close(found, torch.tensor([[25.0, 9, 4]]) / 38)
    torch.testing.assert_close(sharpen(found, 1.0), found)


def refined_or_guessed(batch, temperature):
    """The algorithm picture by picture: co-refinement or co-guessing, then sharpening."""
    said = TwoNetworks.known.softmax(-1)
    wanted = []
    for row in range(4):
        if batch.subset[row] == 0:
            trust = batch.targets[row].sum()
            own = (said[0, 0, row] + said[1, 0, row]) / 2
            mixed = trust * (batch.targets[row] / trust) + (1 - trust) * own
        else:
            mixed = sum(said[view, network, row] for view in (0, 1) for network in (0, 1)) / 4
        powers = mixed ** (1 / temperature)
        wanted.append(powers / powers.sum())
    return torch.stack(wanted)


def test_every_picture_is_mixed_with_another_and_so_are_its_targets(batch):
    after = MixMatch(temperature=0.4, alpha=0.5)(batch)
    shares = after.images.flatten(1)[:, :8]  # of the eight pictures in each mixed one
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(8))
    assert (shares.diagonal() >= 0.5).all()
    torch.testing.assert_close(shares.sum(dim=0), torch.ones(8))  # by a permutation
    targets = refined_or_guessed(batch, 0.4).repeat(2, 1)
    torch.testing.assert_close(after.targets, shares @ targets)
    assert after.index.tolist() == [10, 11, 12, 13] * 2
    assert after.subset.tolist() == [0, 0, 0, 1] * 2
    assert after.views == ()


def test_the_networks_draw_apart_and_each_the_same_again(batch):
    one, again, two = (MixMatch()(replace(batch, network=number)) for number in (0, 0, 1))
    torch.testing.assert_close(one.images, again.images, rtol=0, atol=0)
    assert not torch.equal(one.images, two.images)


def test_nothing_changes_in_the_warm_up_and_one_view_is_an_error(batch):
    early = replace(batch, epoch=0)
    assert MixMatch()(early) is early
    with pytest.raises(PluginError, match="views=2"):
        MixMatch()(replace(batch, views=()))
