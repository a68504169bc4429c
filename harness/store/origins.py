"""Where a record came from that was not made here: a file beside its predictions."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from harness.store.files import write_text
from harness.store.reading import is_there, read_plain
from harness.store.seals import DamagedError, sealed, unsealed

ORIGIN = "origin.json"
MOST = 1 << 20  # bytes


@dataclass(frozen=True, kw_only=True)
class Origin:
    """A submission that was taken: the name of its file or folder, and what it was checked with.

    ``sha256`` is that of the file, or of all files of a folder. ``data`` is the data set whose
    pictures and labels were compared with those of the predictions; empty if none was.
    """

    source: str
    sha256: str
    data: str = ""
    taken: str = ""  # ISO 8601, UTC


UNKNOWN = Origin(source="unknown (its origin.json is damaged)", sha256="")


def write_origin(folder: Path, origin: Origin) -> None:
    """Write where the record whose predictions are in ``folder`` came from."""
    write_text(folder / ORIGIN, sealed(asdict(origin)))


def origin_of(record: Path) -> Origin | None:
    """Return where the record of this path came from; None if it was made in this home."""
    path = record.with_suffix("") / ORIGIN
    if not is_there(path):
        return None
    try:
        content = json.loads(unsealed(read_plain(path, MOST)))
        return Origin(**{field.name: str(content[field.name]) for field in fields(Origin)})
    except (OSError, DamagedError, ValueError, KeyError, TypeError):
        return UNKNOWN


def is_made_here(record: Path) -> bool:
    """Return whether the record of this path is there and was made in this home."""
    return is_there(record) and origin_of(record) is None


def now() -> str:
    """Return the time in UTC, as records have it."""
    return dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds")
