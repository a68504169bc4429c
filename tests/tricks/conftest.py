"""Tiny samples with features, as a stage's tricks see them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness.samples import Predictions, Samples, Sight, WebClass

MakeSamples = Callable[..., Samples]


@pytest.fixture
def make_samples() -> MakeSamples:
    """Build samples from labels and, optionally, features of a stage "initial" and columns."""

    def make(label, features_ND=None, *, num_classes=None, **columns) -> Samples:
        label = np.asarray(label, np.int32)
        size = len(label)
        num_classes = num_classes or int(label.max(initial=0)) + 1
        seen = {}
        if features_ND is not None:
            nothing = np.zeros((size, 1))
            seen["initial"] = Sight(
                np.asarray(features_ND, np.float32),
                Predictions(
                    nothing.astype(np.int32), nothing.astype(np.float32), np.zeros(size, np.float32)
                ),
            )
        whole = {
            "files": np.array([f"google/q0001/{i}.jpg" for i in range(size)], np.str_),
            "source": np.zeros(size, np.int8),
            "query": np.zeros(size, np.int32),
            "rank": np.arange(size, dtype=np.int32),
            "weight": np.ones(size, np.float32),
            "subset": np.zeros(size, np.int8),
            "classes": tuple(WebClass(f"n{k:08d}", f"class {k}") for k in range(num_classes)),
        }
        return Samples(
            split="train",
            root=Path(),
            label=label,
            seen=seen,
            **{**whole, **columns},
        )

    return make
