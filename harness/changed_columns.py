"""The columns of samples that tricks may change, apart from the others: for files and digests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.samples import Samples, Targets


def changed_columns(samples: Samples) -> dict[str, NDArray[Any]]:
    """Return label, weight, subset and, if there are some, the targets of every sample."""
    columns: dict[str, NDArray[Any]] = {
        "label": samples.label,
        "weight": samples.weight,
        "subset": samples.subset,
    }
    if samples.targets is not None:
        columns["target_classes"] = samples.targets.classes
        columns["target_weights"] = samples.targets.weights
        columns["target_names"] = np.array(samples.target_names, np.str_)
    return columns


def with_changed_columns(before: Samples, columns: Mapping[str, NDArray[Any]]) -> Samples:
    """Return ``before`` with the columns that ``changed_columns`` gave."""
    targets = None
    names: list[str] = []
    if "target_classes" in columns:
        targets = Targets(columns["target_classes"], columns["target_weights"])
        names = columns["target_names"].tolist() if "target_names" in columns else []
    return before.assign(
        label=columns["label"],
        weight=columns["weight"],
        subset=columns["subset"],
        targets=targets,
        target_names=tuple(names),
    )
