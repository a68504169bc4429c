"""Checks that all ranks share one home folder, prepared the same run and ended it the same way."""

from __future__ import annotations

import datetime as dt
import platform
import secrets
import time
from collections import Counter
from pathlib import Path
from typing import cast

import torch.distributed as dist

from harness.errors import HarnessError
from harness.store.files import unwritable
from harness.training.ranks import TIMEOUT, Ranks

SEEN_SECONDS = 5.0  # that a network file system may take to show a new file
ALONE_SECONDS = 60.0  # that a rank which failed waits for the others to say that they also failed


def check_one_home(ranks: Ranks, home: Path) -> None:
    """Raise HarnessError in every rank unless all of them see the same folder as ``home``."""
    if ranks.world_size == 1:
        return
    token, problem = home / f".ranks.{secrets.token_hex(8)}", ""
    if ranks.first:
        try:
            home.mkdir(parents=True, exist_ok=True)
            token.touch()
        except OSError as error:
            problem = unwritable(token, error)
    try:
        name, problem = cast("tuple[str, str]", ranks.broadcast((token.name, problem)))
        if problem:
            raise HarnessError(problem)
        blind = [text for text in ranks.gather("" if _sees(home / name) else _here(home)) if text]
    finally:
        if ranks.first:
            token.unlink(missing_ok=True)
    if blind:
        first = ranks.broadcast(_here(home))
        raise HarnessError(
            f"the ranks have different folders as HARNESS_HOME: {first} of rank 0 is not {blind[0]}"
            f" ({len(blind)} of {ranks.world_size} ranks do not see it); name one folder that all "
            "machines share"
        )


def check_one_identity(ranks: Ranks, identity: str) -> None:
    """Raise HarnessError in every rank unless all of them prepared the same run."""
    found = ranks.gather((identity, platform.node()))
    ids = [one for one, _ in cast("list[tuple[str, str]]", found)]
    if len(set(ids)) > 1:
        usual = Counter(ids).most_common(1)[0][0]
        odd = next(rank for rank, one in enumerate(ids) if one != usual)
        machine = cast("list[tuple[str, str]]", found)[odd][1]
        raise HarnessError(
            f"the ranks prepared different runs: rank {odd} on {machine} has {ids[odd]}, others "
            f"have {usual}; its data, its code or its command differs from theirs"
        )


class Outcomes:
    """Makes all ranks end each of several runs in the same way, or ends them all."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks, self._runs = ranks, 0
        # Of their own: a rank that failed alone would answer what others ask within the run.
        self._store = ranks.store
        group = dist.new_group(backend="gloo", timeout=TIMEOUT) if ranks.store else None
        self._group = cast("dist.ProcessGroup | None", group)

    def agree(self, reason: str) -> None:
        """Return if the run failed for the same reason in every rank, or ("") in none.

        Raises HarnessError otherwise: the ranks no longer wait at the same place, so that they
        could not train the next run together.
        """
        if self._store is None:
            return
        rank, self._runs = self._ranks.rank, self._runs + 1
        keys = [f"harness/outcome{self._runs}/{r}" for r in range(self._ranks.world_size)]
        self._store.set(keys[rank], reason)
        if reason:
            try:
                self._store.wait(keys, dt.timedelta(seconds=ALONE_SECONDS))
            except dist.DistStoreError as error:
                raise HarnessError(self._alone(reason)) from error
            if any(self._store.get(key).decode() != reason for key in keys):
                raise HarnessError(self._alone(reason))
        dist.barrier(self._group)  # if a rank raised, it breaks off

    def _alone(self, reason: str) -> str:
        return (
            f"rank {self._ranks.rank} of {self._ranks.world_size} failed alone, so the ranks "
            f"cannot continue with the next run: {reason.rstrip('.')}; once that is solved, start "
            "the same command again"
        )


def _sees(token: Path) -> bool:
    until = time.monotonic() + SEEN_SECONDS
    while not token.exists() and time.monotonic() < until:
        time.sleep(0.1)
    return token.exists()


def _here(home: Path) -> str:
    return f"{platform.node()}:{home.absolute()}"
