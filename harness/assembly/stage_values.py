"""The values that a stage can be trained with, from a plugin or from the command line."""

from __future__ import annotations

from typing import get_args

from harness.errors import HarnessError
from harness.optimizers import Groups
from harness.values import Precision, Stage

LARGEST: dict[str, int | float] = {
    "input_size": 16_384,
    "epochs": 1_000_000,
    "batch_size": 1 << 24,
    "accumulation": 1 << 24,
    "norm_group": 1 << 24,
    "networks": 64,
    "views": 64,
    "clean": 1 << 24,
    "refresh": 1_000_000,
    "lr": 1e6,
    "clip_norm": 1e9,
}
"""Far above any value in use; beyond them numbers overflow in the middle of a run."""
MAY_BE: dict[str, object] = {"clip_norm": None, "norm_group": None, "clean": 0}
"""What turns a field off."""
CHOICES: dict[str, tuple[str, ...]] = {"precision": get_args(Precision), "head": ("keep", "new")}
METHODS = {"schedule": ("factor", "WarmupCosine()"), "sampler": ("prepare", "Uniform()")}
"""The method that a part must have, and a part that has it."""


def check_values(stage: Stage) -> None:
    """Raise HarnessError if a value is of the wrong type, too small, too large or not a number."""
    _check_names(stage)
    for field, largest in LARGEST.items():
        value = getattr(stage, field)
        if field in MAY_BE and value == MAY_BE[field]:
            continue
        if isinstance(value, bool) or not isinstance(value, type(largest) | int):
            kind = type(largest).__name__
            raise HarnessError(f"stage {stage.name!r}: {field} must be {kind}, not {value!r:.80}")
        if not 0 < value <= largest:
            raise HarnessError(
                f"stage {stage.name!r}: {field} must be above 0 and at most {largest:,}, "
                f"not {value!r:.80}"
            )
    _check_parts(stage)
    _check_start(stage)
    if stage.batch_size % stage.accumulation:
        raise HarnessError(
            f"stage {stage.name!r}: a batch of {stage.batch_size} cannot be split over "
            f"{stage.accumulation} accumulation steps; choose a batch_size that it divides"
        )
    if not isinstance(stage.compile, bool):
        raise HarnessError(
            f"stage {stage.name!r}: compile must be true or false, not {stage.compile!r:.80}"
        )
    area = stage.min_crop_area
    if not isinstance(area, (int, float)) or not 0 < area <= 1:
        raise HarnessError(
            f"stage {stage.name!r}: min_crop_area must be in (0, 1], not {area!r:.80}"
        )


def _check_names(stage: Stage) -> None:
    for field in ("name", "backbone"):
        value = getattr(stage, field)
        if not isinstance(value, str) or not value:
            raise HarnessError(f"stage {stage.name!r}: {field} must be a str, not {value!r:.80}")
    for field, choices in CHOICES.items():
        value = getattr(stage, field)
        if value not in choices:
            raise HarnessError(
                f"stage {stage.name!r}: {field} must be one of {', '.join(choices)}, "
                f"not {value!r:.80}"
            )


def _check_start(stage: Stage) -> None:
    if type(stage.draw) is not int or stage.draw < 0:
        raise HarnessError(
            f"stage {stage.name!r}: draw must be an int from 0 up, not {stage.draw!r:.80}"
        )
    if stage.weights is not None and (not isinstance(stage.weights, str) or not stage.weights):
        raise HarnessError(
            f"stage {stage.name!r}: weights must be a path, 'timm' or 'timm:NAME', "
            f"not {stage.weights!r:.80}"
        )
    if stage.weights is not None and stage.start is not None:
        raise HarnessError(
            f"stage {stage.name!r} starts from {stage.start.name!r}, so it cannot begin with "
            f"weights={stage.weights}; give them to the first stage: "
            "--stage NAME.weights=FILE"
        )


def _check_parts(stage: Stage) -> None:
    optimizer = stage.optimizer
    if not callable(getattr(optimizer, "build", None)) or not all(
        hasattr(optimizer, name) for name in ("passes", "weight_decay")
    ):
        raise HarnessError(
            f"stage {stage.name!r}: the optimizer must have build(groups, lr), passes and "
            f"weight_decay, as Sgd() and AdamW() have, not {optimizer!r:.80}"
        )
    for field, (method, example) in METHODS.items():
        value = getattr(stage, field)
        if not callable(getattr(value, method, None)):
            raise HarnessError(
                f"stage {stage.name!r}: the {field} must have the method {method}, as {example} "
                f"has, not {value!r:.80}"
            )
    if not isinstance(stage.groups, Groups):
        raise HarnessError(f"stage {stage.name!r}: groups must be Groups, not {stage.groups!r:.80}")
    if stage.average is not None and not callable(getattr(stage.average, "share", None)):
        raise HarnessError(
            f"stage {stage.name!r}: average must be Ema(), Swa() or None, not {stage.average!r:.80}"
        )
