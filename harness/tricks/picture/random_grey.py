"""Some crops without their colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from harness.knobs import check_fields
from harness.tricks.picture.crop import changed, draws, is_meant, operations
from harness.values import Picture


@dataclass(frozen=True, kw_only=True)
class RandomGrey:
    """Turn a crop grey with this ``probability``: its luma in all three channels.

    ``views`` are the numbers of the crops that are changed; empty means all.

    **Source:** T. Chen et al., "A Simple Framework for Contrastive Learning of Visual
    Representations", ICML 2020, appendix A: probability 0.2.
    """

    probability: Annotated[float, Field(gt=0, le=1)] = 0.2
    views: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, picture: Picture) -> Picture:
        """Return the crop, maybe grey."""
        if not is_meant(picture, self.views):
            return picture
        if draws(picture, type(self)).random() >= self.probability:
            return picture
        return changed(picture, lambda p: operations().rgb_to_grayscale(p, num_output_channels=3))
