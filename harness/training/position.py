"""The progress of a stage; with the engine's state, all that a resumed run needs."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class TrainState:
    """Finished steps, with the sums and findings so far."""

    step: int = 0
    loss_sum: float = 0.0  # of the current epoch
    # As read last, for the observers if the epoch is scored by a later run; speeds always differ.
    scalars: dict[str, float] = field(default_factory=dict, compare=False)
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    best_top1: float = -1.0
    broken: dict[int, str] = field(default_factory=dict)
    seconds: float = 0.0  # of training, over all its interruptions
    ranks: list[int] = field(default_factory=list)  # that trained it, one entry for each change
