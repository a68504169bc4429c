"""Whose key tells the number of ranks."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from harness.assembly.rank_dependence import ranks_that_matter
from harness.tricks.batch.mixup import MixUp
from harness.tricks.loss.ghm import GHM
from harness.values import Stage

NONE: dict[str, tuple[Any, ...]] = {"noise": (), "model": (), "batch": (), "loss": ()}


class Networks:
    """Builds a small network, with dropout of the share that the backbone's name says."""

    def build_model(self, spec: Any, stage: Stage, num_outputs: int) -> nn.Module:
        layers = nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        dropout = nn.Dropout(float(stage.backbone))
        return nn.Sequential(*layers, nn.BatchNorm1d(4), dropout, nn.Linear(4, num_outputs))


@pytest.mark.parametrize(
    ("slots", "values", "told"),
    [
        ({}, {}, None),
        ({"batch": (MixUp(),)}, {}, 3),
        ({"loss": (GHM(),)}, {}, 3),
        ({"batch": (MixUp(),), "loss": (GHM(),)}, {"norm_group": 4}, None),
        ({}, {"backbone": "0.5"}, 3),
        ({}, {"backbone": "0.5", "norm_group": 4}, 3),
    ],
)
def test_what_is_not_independent_of_the_ranks_is_in_the_key(
    slots: dict[str, Any], values: dict[str, Any], told: int | None
) -> None:
    stage = Stage(name="train", **{"backbone": "0.0", "input_size": 8, **values})
    ranks = ranks_that_matter(None, Networks(), 3, 2)
    assert ranks(stage, {**NONE, **slots}) == told
    assert ranks_that_matter(None, Networks(), 1, 2) is None
