"""How far a stage is that trains now: one small file in its folder, for ``harness serve``."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.store.reading import read_plain

LIVE = "live.json"
MOST = 1 << 16  # bytes
FIELDS: dict[str, type] = {
    **dict.fromkeys(("label", "data", "stage"), str),
    **dict.fromkeys(("seed", "step", "steps", "epochs"), int),
    "time": float,
    "scalars": dict,
}


def write_live(folder: Path, says: Mapping[str, Any]) -> None:
    """Write how far a stage is, with the time; a disk that cannot take it does not stop the run.

    Not through to the disk: the next one comes in a second.
    """
    temporary = folder / f".{LIVE}.{secrets.token_hex(8)}"
    with suppress(OSError):
        temporary.write_text(json.dumps({**says, "time": time.time()}))
        os.replace(temporary, folder / LIVE)  # noqa: PTH105


def drop_live(folder: Path) -> None:
    """Remove what a stage said of itself: it trains no more."""
    with suppress(OSError):
        (folder / LIVE).unlink(missing_ok=True)


def live_stages(home: Path) -> Iterator[dict[str, Any]]:
    """Yield what the unfinished stages of a home said last, the newest first.

    A file that is not such a report is passed over: others may write to the home.
    """
    found = []
    for path in (home / "stages").glob(f"*/{LIVE}"):
        with suppress(OSError, ValueError, RecursionError):
            says = json.loads(read_plain(path, MOST))
            if _is_report(says):
                found.append(says)
    yield from sorted(found, key=lambda says: -says["time"])


def _is_report(says: object) -> bool:
    if not isinstance(says, dict) or set(says) != set(FIELDS):
        return False
    numbers = says["scalars"].values() if isinstance(says["scalars"], dict) else [None]
    return all(
        isinstance(says[name], (kind, int) if kind is float else kind)
        for name, kind in FIELDS.items()
    ) and all(isinstance(number, (int, float)) for number in numbers)
