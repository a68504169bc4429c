"""The samples of a global batch that a rank takes, and the seeds of its tricks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.errors import HarnessError
from harness.samplers import Rows, draw_seed
from harness.training.ranks import Ranks, counted
from harness.values import Stage


def micro_batch_size(stage: Stage, world_size: int) -> int:
    """Return the size of one rank's micro-batch; raises HarnessError if it is not an int.

    With ``norm_group`` it must also be a multiple of that group.
    """
    parts = world_size * stage.accumulation
    if stage.batch_size % parts:
        raise HarnessError(
            f"stage {stage.name!r}: a batch of {stage.batch_size} cannot be split over "
            f"{counted(world_size)} x {stage.accumulation} accumulation steps; "
            f"choose a batch size that {parts} divides"
        )
    size = stage.batch_size // parts
    if stage.norm_group and size % stage.norm_group:
        raise HarnessError(
            f"stage {stage.name!r}: norm_group={stage.norm_group} does not divide the {size} "
            f"samples that a rank takes at once (a batch of {stage.batch_size} over "
            f"{counted(world_size)} x {stage.accumulation} accumulation steps); choose a "
            "norm_group that does"
        )
    return size


@dataclass(frozen=True, kw_only=True)
class Layout:
    """This rank's share of a stage's batches.

    The micro-batch of all ranks is a run of consecutive samples of the global batch, split over the
    ranks in order. So batch norm over all ranks sees the same samples for any number of ranks.
    ``unit`` is the number of samples that batch and loss tricks get at once: ``norm_group``, or the
    rank's micro-batch if that is unset.
    """

    stage: Stage
    rank: int
    world_size: int
    size: int  # of this rank's micro-batch

    @classmethod
    def of(cls, stage: Stage, ranks: Ranks) -> Layout:
        """Return the layout of a stage; raises HarnessError if the batch cannot be split."""
        size = micro_batch_size(stage, ranks.world_size)
        return cls(stage=stage, rank=ranks.rank, world_size=ranks.world_size, size=size)

    @property
    def unit(self) -> int:
        """The number of samples that tricks get at once."""
        return self.stage.norm_group or self.size

    def first(self, micro: int) -> int:
        """Return the index in the global batch of a micro-batch's first sample."""
        return (micro * self.world_size + self.rank) * self.size

    def places(self) -> Rows:
        """Return the indices ``(accumulation * size,)`` in the global batch, by micro-batch."""
        starts = [self.first(micro) for micro in range(self.stage.accumulation)]
        return (np.array(starts)[:, None] + np.arange(self.size)).ravel()

    def seeds(self, seed: int, step: int, micro: int) -> list[int]:
        """Return one seed for each unit of a micro-batch, by its index in the global batch."""
        first = self.first(micro) // self.unit
        return [draw_seed(seed, step, first + k) for k in range(self.size // self.unit)]
