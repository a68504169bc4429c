"""Weigh the subsets of a curriculum, or keep only the first ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveInt

from harness.errors import PluginError
from harness.knobs import check_fields
from harness.samplers import generator
from harness.samples import Samples


@dataclass(frozen=True, kw_only=True)
class WeighSubsets:
    """Multiply the weight of every sample by that of its subset, ``weights[subset]``.

    Samples that were left out (subset -1) keep their weight.

    **Source:** Malong deck, "Methodology: Train with Curriculum Learning": r = {1, 0.5, 0.5}.
    """

    weights: tuple[NonNegativeFloat, ...] = (1.0, 0.5, 0.5)

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, samples: Samples) -> Samples:
        """Return the samples with new weights; raises PluginError for a subset without a weight."""
        last = int(samples.subset.max(initial=-1))
        if last >= len(self.weights):
            raise PluginError(
                f"WeighSubsets has {len(self.weights)} weights, but there is a subset {last}; "
                "give one weight per subset"
            )
        factors = np.array([*self.weights, 1.0], np.float32)  # -1 picks the last
        return samples.assign(weight=samples.weight * factors[samples.subset])


@dataclass(frozen=True, kw_only=True)
class KeepSubsets:
    """Keep the first ``count`` subsets, and only a share of the last of them.

    ``round(share * n)`` of the n samples of subset ``count - 1`` stay, chosen at random over all
    classes; a larger share keeps what a smaller one keeps. The other samples get subset -1 and keep
    their weight.

    **Source:** Malong deck, Tables 1 and 2: model B keeps 1 subset, C 2, D 3 and half of the
    highly noisy one; its share is Table 2's "noise data". That the choice is random is assumed: the
    deck does not name the part.
    """

    count: PositiveInt
    highly_noisy_share: Annotated[float, Field(ge=0, le=1)] = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, samples: Samples) -> Samples:
        """Return the samples, with ``subset`` -1 for those that are left out."""
        subset = samples.subset.copy()
        subset[subset >= self.count] = -1
        last = np.flatnonzero(subset == self.count - 1)
        order = generator(self.seed, self.count).permutation(len(last))
        subset[last[order[round(self.highly_noisy_share * len(last)) :]]] = -1
        return samples.assign(subset=subset)
