"""Samples as epoch tricks meet them: with what the stage's networks say of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from harness.samples import Predictions, Samples, StageOutputs


@pytest.fixture
def make_outputs() -> Callable[..., StageOutputs]:
    """One network's outputs: features ``(N, D)``, likelihoods ``(N,)``, probabilities (N, K)."""

    def make(features: Any = None, of_label: Any = None, said: Any = None) -> StageOutputs:
        given = next(part for part in (features, of_label, said) if part is not None)
        size = len(given)
        features = np.zeros((size, 1)) if features is None else features
        of_label = np.ones(size) if of_label is None else of_label
        said = np.ones((size, 1)) if said is None else np.asarray(said)
        best = np.argsort(-said, axis=1, kind="stable")
        predictions = Predictions(
            best.astype(np.int32),
            np.take_along_axis(said, best, axis=1).astype(np.float32),
            np.asarray(of_label, np.float32),
        )
        return StageOutputs(np.asarray(features, np.float32), predictions)

    return make


@pytest.fixture
def after_epoch(make_samples: Callable[..., Samples]) -> Callable[..., Samples]:
    """Samples with these labels after ``epoch`` epochs, and the outputs of each network."""

    def make(label: Any, *outputs: StageOutputs, epoch: int = 1, **columns: Any) -> Samples:
        return make_samples(label, **columns).assign(outputs=outputs, epoch=epoch)

    return make
