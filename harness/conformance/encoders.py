"""The contract of encoders: always the same vectors, of texts and pictures in one space."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from harness.assembly.encoding import listed_encoders
from harness.conformance.case import Case
from harness.conformance.fakes import twice

TEXTS = ("a photo of a crane.", "two wading birds", "")
COUNT = 5  # drawn pictures


def check_encoders(case: Case) -> Iterator[str]:
    """Each encoder that the plugin lists gives equal vectors each time, as wide for pictures.

    Those of a file, as ``clip:NAME``, are left out: only their user knows one.
    """
    hooks, drawn = case.hooks(), np.random.default_rng(0)
    for encoder in listed_encoders(case.plugin):
        if ":" in encoder:
            continue
        texts, again = twice(partial(hooks.encode_texts, case.spec, encoder, TEXTS))
        if not np.array_equal(texts, again):
            yield f"encode_texts gives different vectors of {encoder!r} each time"
        found = hooks.picture_encoder(case.spec, encoder)
        if found is None:
            continue
        pictures = drawn.integers(0, 256, (COUNT, found.size, found.size, 3), np.uint8)
        looks, again = twice(partial(found.encode, pictures))
        if not np.array_equal(looks, again):
            yield f"picture_encoder gives different vectors of {encoder!r} each time"
        if looks.shape[1] != texts.shape[1]:
            yield (
                f"encoder {encoder!r} gives texts {texts.shape[1]} columns and pictures "
                f"{looks.shape[1]}"
            )
