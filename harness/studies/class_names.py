"""The names of a data set's classes, for tables and plots."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from harness.errors import HarnessError
from harness.samples import WebClass
from harness.store.record import Data


def class_names(data: Data, home: Path) -> tuple[str, ...]:
    """Return the class names if exactly this copy of the data is in ``home``, else ()."""
    from harness.data.pictures.inventory import with_pictures
    from harness.data.webvision import read_split

    for folder in sorted((home / "data").glob("*/info")):
        with suppress(HarnessError):
            samples = with_pictures(read_split(folder.parent, "train", edition=data.edition), home)
            if samples.fingerprint == data.fingerprint:
                return first_lemmas(samples.classes)
    return ()


def first_lemmas(classes: Sequence[WebClass]) -> tuple[str, ...]:
    """Return the first lemma of each class."""
    return tuple(one.lemmas.partition(",")[0] for one in classes)
