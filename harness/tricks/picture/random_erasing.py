"""Some crops with a rectangle of noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field, PositiveFloat

from harness.errors import PluginError
from harness.knobs import check_fields
from harness.tricks.picture.crop import draws, is_meant
from harness.values import Picture

TRIES = 10


@dataclass(frozen=True, kw_only=True)
class RandomErasing:
    """Fill a random rectangle of a crop with random pixels, with this ``probability``.

    Its area is uniform in [``least``, ``most``] of the crop's, log(height / width) in
    [log(``aspect``), -log(``aspect``)]. If it does not fit it is drawn again, ten times at most.
    ``views`` are the numbers of the crops that are changed; empty means all.

    **Source:** Z. Zhong et al., "Random Erasing Data Augmentation", AAAI 2020, algorithm 1 and
    section 4.2: probability 0.5, area from 0.02 to 0.4, aspect 0.3, random values. That the aspect
    is uniform on the scale of its logarithm is torchvision's and timm's reading.
    """

    probability: Annotated[float, Field(gt=0, le=1)] = 0.5
    least: Annotated[float, Field(gt=0, le=1)] = 0.02
    most: Annotated[float, Field(gt=0, le=1)] = 0.4
    aspect: PositiveFloat = 0.3
    views: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check the ranges of the fields."""
        check_fields(self)
        if self.least > self.most:
            raise PluginError(f"RandomErasing: least {self.least} is above most {self.most}")

    def __call__(self, picture: Picture) -> Picture:
        """Return the crop, maybe with a rectangle of noise."""
        random = draws(picture, type(self))
        if not is_meant(picture, self.views) or random.random() >= self.probability:
            return picture
        height, width = picture.pixels.shape[:2]
        for _ in range(TRIES):
            area = float(random.uniform(self.least, self.most)) * height * width
            ratio = math.exp(float(random.uniform(-1.0, 1.0)) * math.log(self.aspect))
            tall, wide = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < tall < height and 0 < wide < width:
                top, left = random.integers(height - tall + 1), random.integers(width - wide + 1)
                pixels = picture.pixels.copy()
                noise = random.integers(256, size=(tall, wide, 3), dtype=np.uint8)
                pixels[top : top + tall, left : left + wide] = noise
                return picture._replace(pixels=pixels)
        return picture
