from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from harness.errors import PluginError
from harness.tricks.batch.ask_averaged import AskAveraged


class Networks:
    """Two networks, whose averages say what their number says."""

    def averaged(self, images, peer=0, *, batch_statistics=False):
        return {"logits": torch.tensor([[0.0, float(peer)]]).expand(len(images), 2)}


@pytest.mark.parametrize("peer", [0, 1])
def test_it_brings_the_probabilities_of_the_network_that_is_named(batch, peer):
    asked = AskAveraged(peer=peer)(replace(batch, networks=Networks(), extra={"mine": batch.index}))
    expected = torch.tensor([0.0, float(peer)]).softmax(0).expand(6, 2)
    torch.testing.assert_close(asked.extra["averaged"], expected)
    assert asked.extra["mine"] is batch.index


def test_a_batch_of_no_stage_is_refused(batch):
    with pytest.raises(PluginError, match="this one has no networks"):
        AskAveraged()(batch)
