"""Which samples of every global batch a rank takes, and the seeds of what looks across them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from harness.errors import HarnessError
from harness.samplers import Rows
from harness.training.ranks import Ranks
from harness.values import Stage


def micro_batch_size(stage: Stage, world_size: int) -> int:
    """Return how many samples one rank takes at once; raises HarnessError unless it is whole.

    It is a whole number of the groups, too, over which batch norm is asked to go.
    """
    parts = world_size * stage.accumulation
    if stage.batch_size % parts:
        raise HarnessError(
            f"stage {stage.name!r}: a batch of {stage.batch_size} cannot be split over "
            f"{world_size} ranks x {stage.accumulation} accumulation steps; "
            f"choose a batch size that {parts} divides"
        )
    size = stage.batch_size // parts
    if stage.norm_group and size % stage.norm_group:
        raise HarnessError(
            f"stage {stage.name!r}: norm_group={stage.norm_group} does not divide the {size} "
            f"samples that a rank takes at once (a batch of {stage.batch_size} over {world_size} "
            f"ranks x {stage.accumulation} accumulation steps); choose a norm_group that does"
        )
    return size


@dataclass(frozen=True, kw_only=True)
class Layout:
    """This rank's share of a stage's batches.

    A micro-batch of all ranks is a row of consecutive samples of the global batch, and each rank
    takes the part at its place in it: so batch norm over all ranks sees the same samples whatever
    their number. ``unit`` is how many samples batch and loss tricks are handed together: a group
    of ``norm_group``, else the rank's micro-batch.
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
        """How many samples stand together for tricks."""
        return self.stage.norm_group or self.size

    def first(self, micro: int) -> int:
        """Return the place in the global batch of a micro-batch's first sample."""
        return (micro * self.world_size + self.rank) * self.size

    def places(self) -> Rows:
        """Return the places ``(accumulation * size,)`` in the global batch, micro by micro."""
        starts = [self.first(micro) for micro in range(self.stage.accumulation)]
        return (np.array(starts)[:, None] + np.arange(self.size)).ravel()

    def seeds(self, seed: int, step: int, micro: int) -> list[int]:
        """Return one seed for each unit of a micro-batch, by its place in the global batch."""
        first = self.first(micro) // self.unit
        return [batch_seed(seed, step, first + k) for k in range(self.size // self.unit)]


def batch_seed(*counters: int) -> int:
    """Return 62 bits for the batch's tricks; a digest costs a tenth of a numpy generator."""
    digest = hashlib.blake2b(repr(counters).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 2
