"""Colour jitter: brightness, contrast, saturation and hue by random factors in random order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, NonNegativeFloat

from harness.knobs import check_fields
from harness.tricks.picture.crop import changed, draws, is_meant, operations
from harness.values import Picture

if TYPE_CHECKING:
    from torch import Tensor

ADJUSTMENTS = ("brightness", "contrast", "saturation", "hue")


@dataclass(frozen=True, kw_only=True)
class ColourJitter:
    """Change the colours of a crop with this ``probability``.

    The factors of brightness, contrast and saturation are uniform in [max(0, 1 - x), 1 + x] with x
    the field, the shift of the hue in [-hue, hue] of the circle of colours, in random order.
    ``views`` are the numbers of the crops that are changed; empty means all.

    **Source:** T. Chen et al., "A Simple Framework for Contrastive Learning of Visual
    Representations", ICML 2020, appendix A: strengths 0.8, 0.8, 0.8 and 0.2 times s, applied with
    probability 0.8. The defaults are those of s = 0.5, of its CIFAR runs and of MoCo's successors.
    """

    brightness: NonNegativeFloat = 0.4
    contrast: NonNegativeFloat = 0.4
    saturation: NonNegativeFloat = 0.4
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    probability: Annotated[float, Field(gt=0, le=1)] = 0.8
    views: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)

    def __call__(self, picture: Picture) -> Picture:
        """Return the crop in other colours."""
        random = draws(picture, type(self))
        if not is_meant(picture, self.views) or random.random() >= self.probability:
            return picture
        amounts = {}
        for name in ADJUSTMENTS[:3]:
            width = getattr(self, name)
            amounts[name] = float(random.uniform(max(0.0, 1 - width), 1 + width))
        amounts["hue"] = float(random.uniform(-self.hue, self.hue))
        order = [ADJUSTMENTS[place] for place in random.permutation(len(ADJUSTMENTS))]
        return changed(picture, lambda pixels: adjust(pixels, {n: amounts[n] for n in order}))


def adjust(pixels: Tensor, amounts: dict[str, float]) -> Tensor:
    """Adjust ``(3, H, W)`` uint8 by each amount, in the order of the mapping.

    An amount is the factor of the brightness, contrast or saturation, or the shift of the hue.

    **Source:** see ``ColourJitter``.
    """
    f = operations()
    for name, amount in amounts.items():
        pixels = getattr(f, f"adjust_{name}")(pixels, amount)
    return pixels
