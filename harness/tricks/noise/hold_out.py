"""Leave one fold out of training, so that its samples can be scored out of sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field, NonNegativeInt

from harness.errors import PluginError
from harness.knobs import check_fields
from harness.samples import Samples
from harness.tricks.noise.ranking.folds import fold_of


@dataclass(frozen=True, kw_only=True)
class HoldOut:
    """Leave the samples of ``fold``, one of ``folds``, out of training (subset -1).

    **Source:** C. Northcutt et al., "Confident Learning: Estimating Uncertainty in Dataset Labels",
    JAIR 2021, section 3: probabilities out of sample, by cross-validation.
    """

    fold: NonNegativeInt
    folds: Annotated[int, Field(ge=2, le=1000)]
    seed: NonNegativeInt = 0

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)
        if self.fold >= self.folds:
            raise PluginError(f"HoldOut: fold {self.fold} is not one of 0 to {self.folds - 1}")

    def __call__(self, samples: Samples) -> Samples:
        """Return the samples without those of the fold."""
        held_out = fold_of(samples, self.folds, self.seed) == self.fold
        return samples.assign(subset=np.where(held_out, np.int8(-1), samples.subset))
