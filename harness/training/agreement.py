"""Checks that all ranks of a run share one home folder and prepared the same run."""

from __future__ import annotations

import platform
import secrets
import time
from collections import Counter
from pathlib import Path
from typing import cast

from harness.errors import HarnessError
from harness.store.files import unwritable
from harness.training.ranks import Ranks

SEEN_SECONDS = 5.0  # that a network file system may take to show a new file


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


def _sees(token: Path) -> bool:
    until = time.monotonic() + SEEN_SECONDS
    while not token.exists() and time.monotonic() < until:
        time.sleep(0.1)
    return token.exists()


def _here(home: Path) -> str:
    return f"{platform.node()}:{home.absolute()}"
