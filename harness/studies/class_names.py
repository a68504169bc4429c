"""The training data of a record, if this home holds it, and the names of its classes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.samples import WebClass
from harness.spec import DataSpec
from harness.store.record import Data

if TYPE_CHECKING:
    from harness.samples import Samples


def class_names(data: Data, home: Path) -> tuple[str, ...]:
    """Return the class names if exactly this copy of the data is in ``home``, else ()."""
    samples = training_samples(data, home)
    return first_lemmas(samples.classes) if samples else ()


def training_samples(data: Data, home: Path) -> Samples | None:
    """Return the training split if exactly this copy of the data is in ``home``, else None."""
    from harness.data.pictures.inventory import with_pictures
    from harness.data.webvision import read_split

    for folder in sorted((home / "data").glob("*/info")):
        with suppress(HarnessError):
            samples = with_pictures(read_split(folder.parent, "train", edition=data.edition), home)
            if samples.fingerprint == data.fingerprint:
                return samples
    return None


def names_of(home: Path, text: str) -> tuple[str, ...]:
    """Return the class names of the data set that --data TEXT names; () if no such folder is given.

    An edition, or a data set without its folder, has runs but no pictures here.
    """
    from harness.assembly.data_sets import load_splits

    with suppress(HarnessError):
        path = DataSpec.parse(text).path
        if path and Path(path).expanduser().exists():
            return first_lemmas(load_splits(home, text, ("train",))["train"].classes)
    return ()


def first_lemmas(classes: Sequence[WebClass]) -> tuple[str, ...]:
    """Return the first lemma of each class."""
    return tuple(one.lemmas.partition(",")[0] for one in classes)
