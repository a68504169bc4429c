"""Records that may be on the board: verified once, and again only if a file has changed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import HarnessError
from harness.store.files import write_text
from harness.store.origins import Origin, origin_of
from harness.store.reading import read_plain
from harness.store.record import ResultRecord
from harness.store.record_files import read_records
from harness.store.seals import DamagedError, sealed, unsealed
from harness.studies.verification import RecordCheck, compare, verify_record

VERSION = 1  # of the checks: raised when a check is added
MOST = 1 << 30  # bytes of the cache file
MANY = 20  # records; verifying more is announced


class Standing(NamedTuple):
    """The problems of records, by id, and the records without predictions to score again."""

    problems: dict[str, list[str]]
    unverified: frozenset[str]


class Verified(NamedTuple):
    """The records that may be on the board, and a line for each that may not.

    ``origins`` says of each record that was not made in this home where it came from, by its id.
    """

    records: list[ResultRecord]
    unverified: frozenset[str]
    problems: list[str]
    origins: Mapping[str, Origin]


def verified_records(home: Path, seeds: Sequence[int], tell: Callable[[str], object]) -> Verified:
    """Read the records of a home and verify those of ``seeds``, of all seeds if there is none.

    Raises HarnessError if there are records, but none of these seeds.
    """
    records, problems = read_records(home / "records")
    known = sorted({record.seed for record in records})
    if records and seeds and not set(seeds) & set(known):
        raise HarnessError(
            f"no record has seed {' or '.join(map(str, seeds))}; seeds with records: "
            f"{', '.join(map(str, known))}"
        )
    records = [record for record in records if not seeds or record.seed in seeds]
    found = standing(home, records, tell)
    for name, wrong in found.problems.items():
        problems += [f"record {name}: {problem}" for problem in wrong]
    kept = [record for record in records if record.id not in found.problems]
    origins = {}
    for record in kept:
        origin = origin_of(home / "records" / f"{record.id}.json")
        if origin is not None:
            origins[record.id] = origin
            compared = f"compared with {origin.data}" if origin.data else "not compared with data"
            tell(f"submitted, from {origin.source}, {compared}: {record.id}")
    return Verified(kept, found.unverified, problems, origins)


def standing(
    home: Path, records: Iterable[ResultRecord], tell: Callable[[str], object]
) -> Standing:
    """Verify records of ``HOME/records`` as ``harness verify`` does."""
    checks, unverified = _checks(home, records, tell)
    compare(checks)
    return Standing({one.name: one.problems for one in checks if one.problems}, unverified)


def checks_of_home(home: Path) -> list[RecordCheck]:
    """Verify every record of ``HOME/records`` that has its predictions, each by itself."""
    return _checks(home, read_records(home / "records")[0], lambda _: None)[0]


def _checks(
    home: Path, records: Iterable[ResultRecord], tell: Callable[[str], object]
) -> tuple[list[RecordCheck], frozenset[str]]:
    """Verify each record by itself; return also the ids of those without predictions.

    Results are cached in HOME/verified.json, by size and modification time of the record and of
    each file of its predictions.
    """
    cache = home / "verified.json"
    known = _read(cache)
    stamped = [(record, home / "records" / f"{record.id}.json") for record in records]
    stamps = {record.id: _stamp(path) for record, path in stamped}
    new = [one for one, _ in stamped if known.get(one.id, {}).get("stamp") != stamps[one.id]]
    if len(new) > MANY:
        tell(f"scoring the predictions of {len(new)} records again; this is done once")
    unverified, checks, fresh = set(), [], {record.id for record in new}
    for record, path in stamped:
        if not path.with_suffix("").is_dir():
            unverified.add(record.id)
        elif record.id in fresh:
            checks.append(verify_record(path, record))
            known[record.id] = _cache_entry(checks[-1], stamps[record.id])
        else:
            checks.append(RecordCheck(path, record, **known[record.id]["found"]))
    if fresh - unverified:
        with suppress(HarnessError):  # without the cache it only takes longer
            write_text(cache, sealed({"version": VERSION, "records": known}))
    return checks, frozenset(unverified)


def _cache_entry(check: RecordCheck, stamp: str) -> dict[str, Any]:
    found = {
        "problems": list(check.problems),
        "pictures": check.pictures,
        "answers": check.answers,
    }
    return {"stamp": stamp, "found": found}


def _read(cache: Path) -> dict[str, Any]:
    try:
        content = json.loads(unsealed(read_plain(cache, MOST)))
    except (OSError, ValueError, DamagedError):
        return {}
    return dict(content["records"]) if content.get("version") == VERSION else {}


def _stamp(path: Path) -> str:
    """Return a digest of names, sizes and times of a record's files."""
    found = []
    with suppress(FileNotFoundError, NotADirectoryError):
        status = path.stat()
        found.append((path.name, status.st_size, status.st_mtime_ns))
        with os.scandir(path.with_suffix("")) as entries:
            for entry in entries:
                status = entry.stat()
                found.append((entry.name, status.st_size, status.st_mtime_ns))
    return hashlib.sha256(repr(sorted(found)).encode()).hexdigest()[:32]
