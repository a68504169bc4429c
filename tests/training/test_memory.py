"""A step that cannot fit is refused before it begins."""

from __future__ import annotations

import pytest
from torch import nn

from harness.errors import HarnessError
from harness.training.memory import check_memory
from harness.training.ranks import Ranks
from harness.values import Stage


def test_a_step_that_cannot_fit_names_a_smaller_batch(ranks: Ranks) -> None:
    stage = Stage(name="train", batch_size=1 << 24, input_size=2048)
    with pytest.raises(HarnessError, match=r"needs more than .* GiB .*--stage batch_size=\d+ or"):
        check_memory(nn.Linear(2, 2), stage, ranks)


def test_a_step_that_fits_passes(ranks: Ranks) -> None:
    check_memory(nn.Linear(2, 2), Stage(name="train", batch_size=32, input_size=32), ranks)
