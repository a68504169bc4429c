from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from harness.errors import PluginError
from harness.tricks.batch.both_views import BothViews


def test_the_second_views_follow_the_first_with_the_same_columns(batch):
    second = batch.images + 1
    given = replace(batch, views=(second,), extra={"kept": batch.index * 2})
    after = BothViews()(given)
    torch.testing.assert_close(after.images, torch.cat([batch.images, second]), rtol=0, atol=0)
    assert after.extra["view"].tolist() == [0] * 6 + [1] * 6
    for name in ("targets", "weights", "index", "subset", "source"):
        twice = torch.cat([getattr(batch, name)] * 2)
        torch.testing.assert_close(getattr(after, name), twice, rtol=0, atol=0)
    assert after.extra["kept"].tolist() == (batch.index * 2).tolist() * 2
    assert after.views == ()


def test_one_view_is_refused(batch):
    with pytest.raises(PluginError, match="set views=2 of the stage"):
        BothViews()(batch)
