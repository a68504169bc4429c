from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from harness.errors import PluginError
from harness.tricks.batch.ask_clean import AskClean


class Network:
    def outputs(self, images):
        return {"logits": images.flatten(1)[:, :4], "features": images.flatten(1)[:, :2]}


def test_the_clean_pictures_outputs_go_with_them(batch):
    clean = replace(batch, images=batch.images + 1)
    found = AskClean()(replace(batch, clean=clean, networks=Network()))
    torch.testing.assert_close(found.clean.extra["logits"], clean.images.flatten(1)[:, :4])
    torch.testing.assert_close(found.clean.extra["features"], clean.images.flatten(1)[:, :2])
    assert found.extra == {}
    assert clean.extra == {}


def test_no_clean_pictures_are_an_error(batch):
    with pytest.raises(PluginError, match="set clean of the stage"):
        AskClean()(replace(batch, networks=Network()))
