from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from harness.errors import PluginError
from harness.tricks.batch.momentum_view import MomentumView


class Averaged:
    """Averaged weights whose embedding is the first two values of a picture."""

    def averaged(self, images, peer=0, *, batch_statistics=False):
        assert batch_statistics
        return {"logits": images.flatten(1)[:, :4], "embedding": images.flatten(1)[:, :2]}


class LogitsAlone:
    def averaged(self, images, peer=0, *, batch_statistics=False):
        return {"logits": images.flatten(1)[:, :4]}


def test_the_second_view_is_embedded(batch):
    second = batch.images + 1
    given = replace(batch, views=(second,), networks=Averaged(), extra={"kept": batch.weights})
    found = MomentumView()(given)
    torch.testing.assert_close(found.extra["momentum"], second.flatten(1)[:, :2])
    assert set(found.extra) == {"kept", "momentum"}
    assert len(found.views) == 1


def test_one_view_or_no_embedding_is_an_error(batch):
    with pytest.raises(PluginError, match="views=2"):
        MomentumView()(batch)
    with pytest.raises(PluginError, match=r"add Projection\(\)"):
        MomentumView()(replace(batch, views=(batch.images,), networks=LogitsAlone()))
