"""A data set's profile: the stage trick that shrinks a published recipe to a machine at hand."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.values import Stage


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Give every stage this network, picture size, batch and learning rate, and fewer epochs.

    ``epochs_share`` multiplies a stage's epochs, rounded, at least 1. All methods on a data set get
    the same profile, so their budgets keep their proportions.
    """

    backbone: str
    input_size: int
    epochs_share: float
    batch_size: int
    lr: float
    min_crop_area: float = 0.08

    def __call__(self, stage: Stage) -> Stage:
        """Return the shrunk stage."""
        return replace(
            stage,
            backbone=self.backbone,
            input_size=self.input_size,
            epochs=max(1, round(stage.epochs * self.epochs_share)),
            batch_size=self.batch_size,
            lr=self.lr,
            min_crop_area=self.min_crop_area,
        )
