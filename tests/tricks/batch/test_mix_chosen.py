from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from harness.errors import PluginError
from harness.tricks.batch.mix_chosen import MixChosen
from harness.values import Batch


@pytest.fixture
def batch() -> Batch:
    """Four pictures in two views; the n-th of all eight has a 1 as its n-th value, else 0."""
    pictures = torch.eye(12)[:8].view(2, 4, 3, 2, 2)
    return Batch(
        images=pictures[0],
        views=(pictures[1],),
        targets=torch.eye(5)[:4],
        weights=torch.tensor([1.0, 2.0, 3.0, 4.0]),
        index=torch.arange(4) + 10,
        subset=torch.tensor([0, 1, 0, 0]),
        seed=7,
    )


def test_the_chosen_are_mixed_among_each_other_in_the_second_view(batch):
    after = MixChosen(alpha=0.5)(batch)
    mixed, first, second = after.images.chunk(3)
    torch.testing.assert_close(first, batch.images)
    torch.testing.assert_close(second, batch.views[0])
    shares = mixed.flatten(1)[:, :8]
    assert shares[:, :4].sum() == 0  # nothing of the first view
    shares = shares[:, 4:]
    assert shares[1].tolist() == [0, 1, 0, 0]
    assert shares[:, 1].tolist() == [0, 1, 0, 0]
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(4))
    assert (shares.diagonal() >= 0.5).all()
    torch.testing.assert_close(after.targets.chunk(3)[0], shares @ batch.targets)
    assert after.index.tolist() == batch.index.tolist() * 3
    assert after.weights.tolist() == batch.weights.tolist() * 3
    assert after.subset.tolist() == batch.subset.tolist() * 3


def test_without_views_only_the_mixed_pictures_are_left(batch):
    small, large = MixChosen(views=False)(batch), MixChosen()(batch)
    torch.testing.assert_close(small.images, large.images[:4])
    assert len(small.index) == len(small.targets) == 4


def test_none_chosen_and_one_view(batch):
    none = replace(batch, subset=torch.ones(4, dtype=torch.int64))
    torch.testing.assert_close(MixChosen(views=False)(none).images, batch.views[0])
    with pytest.raises(PluginError, match="views=2"):
        MixChosen()(replace(batch, views=()))
