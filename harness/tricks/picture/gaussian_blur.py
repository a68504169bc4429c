"""Some crops out of focus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, PositiveFloat

from harness.errors import PluginError
from harness.knobs import check_fields
from harness.tricks.picture.crop import changed, draws, is_meant, operations
from harness.values import Picture


@dataclass(frozen=True, kw_only=True)
class GaussianBlur:
    """Blur a crop with this ``probability``, by a Gaussian of random width.

    Its standard deviation is uniform in [``least``, ``most``] pixels at an input size of 224, in
    proportion at others; its kernel is a tenth of the crop wide. ``views`` are the numbers
    of the crops that are changed; empty means all.

    **Source:** T. Chen et al., "A Simple Framework for Contrastive Learning of Visual
    Representations", ICML 2020, appendix A: probability 0.5, deviation from 0.1 to 2, a kernel of a
    tenth of the side. That the deviation shrinks with the crop is our choice.
    """

    probability: Annotated[float, Field(gt=0, le=1)] = 0.5
    least: PositiveFloat = 0.1
    most: PositiveFloat = 2.0
    views: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)
        if self.least > self.most:
            raise PluginError(f"GaussianBlur: least {self.least} is above most {self.most}")

    def __call__(self, picture: Picture) -> Picture:
        """Return the crop, maybe blurred."""
        random = draws(picture, type(self))
        if not is_meant(picture, self.views) or random.random() >= self.probability:
            return picture
        side = min(picture.pixels.shape[:2])
        kernel = max(3, side // 20 * 2 + 1)  # odd
        sigma = float(random.uniform(self.least, self.most)) * side / 224
        return changed(
            picture, lambda p: operations().gaussian_blur(p, [kernel, kernel], [sigma, sigma])
        )
