"""Writes the checkpoints of a stage, and finds the one that it continues from."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from functools import partial

from harness.terminal import note
from harness.training.checkpoints import load_checkpoint, newest_checkpoint, save_checkpoint
from harness.training.interrupt import Interrupted, Request
from harness.training.job import Job
from harness.training.learner import Team
from harness.training.position import TrainState
from harness.training.ranks import Ranks, counted

LONG_CHECKPOINT_SECONDS = 600.0  # within an epoch


class Keeper:
    """Writes checkpoints when they are due, and stops the run after a signal."""

    def __init__(self, job: Job, team: Team, ranks: Ranks, position: TrainState) -> None:
        self._job, self._team, self._ranks, self._position = job, team, ranks, position
        self._kept = time.monotonic()
        self._kept_step = position.step

    def keep(self, request: Request, *, epoch_ends: bool) -> None:
        """Write a checkpoint if it is time; raise Interrupted if any rank received a signal."""
        # All ranks stop after the same step: some may not have received the signal yet.
        stop, due = self._ranks.any(request.number > 0, self._is_due(epoch_ends=epoch_ends))
        # A checkpoint of this step exists: overwriting it could lose it, and scoring is repeated.
        if (stop or due) and self._kept_step != self._position.step:
            if not epoch_ends:
                self._team.average_buffers(self._ranks)
            self._save()
        if stop:
            self._ranks.barrier()  # otherwise the launcher ends rank 0 while it is writing
            raise Interrupted(request.number)

    def keep_unscored(self) -> None:
        """Write a checkpoint if it is time: an error in scoring then does not lose the epoch."""
        if self._ranks.any(self._is_due(epoch_ends=True))[0]:
            self._save()

    def _is_due(self, *, epoch_ends: bool) -> bool:
        wait = self._job.checkpoint_seconds if epoch_ends else LONG_CHECKPOINT_SECONDS
        return self._ranks.first and time.monotonic() - self._kept > wait

    def _save(self) -> None:
        self._kept_step = self._position.step
        broken = self._ranks.union(self._position.broken)

        def save() -> None:
            position = asdict(replace(self._position, broken=broken))
            state = {"team": self._team.state(), "position": position}
            save_checkpoint(self._job.folder, self._position.step, state)

        self._ranks.decided(save)
        self._kept = time.monotonic()


def resume(job: Job, team: Team, ranks: Ranks) -> TrainState:
    """Load the newest checkpoint, if there is one, and return its position in the stage."""
    found = ranks.decided(partial(newest_checkpoint, job.folder, note))
    if found is None:
        return TrainState(ranks=[ranks.world_size])
    state = load_checkpoint(found, ranks.device)
    team.load_state(state["team"], job.samples)
    position = TrainState(**state["position"])
    if position.ranks[-1:] != [ranks.world_size]:
        job.report(
            f"stage {job.recipe.stage.name!r} continues with {counted(ranks.world_size)}, "
            f"after {' and then '.join(map(counted, position.ranks))}; its record says so"
        )
        position.ranks.append(ranks.world_size)
    return position
