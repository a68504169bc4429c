"""Labels corrected by a trained network where it is sure, kept where it allows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from harness.knobs import check_fields
from harness.samples import Samples
from harness.values import Stage


@dataclass(frozen=True, kw_only=True)
class CorrectLabels:
    """Change labels to the likeliest class of the stage ``sees``, or leave samples out.

    With p the stage's prediction for the centre view: the likeliest class becomes the label if it
    has more than ``threshold``; otherwise the label stays if p gives it more than 1 / K, and else
    the sample is left out (subset -1). If nothing would be left, all stay.

    **Source:** J. Li, C. Xiong, S. Hoi, "MoPro", ICLR 2021, equations 5 and 6, with alpha 1: in
    salesforce/MoPro, noise_cleaning.py, the prototypes vote too, which a finished stage does not
    keep.
    """

    sees: tuple[Stage, ...]
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.8

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, samples: Samples) -> Samples:
        """Return the samples with new ``label`` and ``subset``."""
        said = samples.predictions(self.sees[0])
        sure = said.probabilities[:, 0] > self.threshold
        kept = sure | (said.of_label > 1 / samples.num_classes)
        label = np.where(sure, said.classes[:, 0], samples.label).astype(np.int32)
        subset = np.where(kept, samples.subset, -1).astype(np.int8)
        if (subset < 0).all():
            return samples
        return samples.assign(label=label, subset=subset)
