"""Records as files: written whole with their digests, and checked whenever they are read."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from harness.errors import HarnessError
from harness.store.consistency import contradictions
from harness.store.files import write_text
from harness.store.reading import read_plain
from harness.store.record import ResultRecord, record_id
from harness.store.seals import DamagedError, sealed_record, unsealed_record
from harness.terminal import note

SCHEMA_VERSION: Literal[2] = 2
MAX_RECORD_BYTES = 64 << 20  # records of other people are read too


def write_record(folder: Path, record: ResultRecord) -> Path:
    """Write ``<id>.json`` into ``folder``, whole or not at all; return its path.

    The file is canonical JSON that holds its own digests: see ``sealed_record``.
    """
    path = folder / f"{record.id}.json"
    write_text(path, sealed_record(record.model_dump(mode="json")))
    return path


class EarlierRecordError(HarnessError):
    """A record of an earlier schema, which has no digest."""


def read_record(path: Path) -> ResultRecord:
    """Read and check one record.

    Raises:
        DamagedError: It was altered, contradicts itself or has another record's name.
        HarnessError: It has another version, cannot be read or is not a record.
    """
    try:
        data = read_plain(path, MAX_RECORD_BYTES)
    except OSError as error:
        if error.errno == errno.EFBIG:
            most = MAX_RECORD_BYTES >> 20
            raise DamagedError(
                f"{path} is larger than {most} MiB, so it is not a record"
            ) from error
        raise HarnessError(f"cannot read {path}: {error.strerror}") from error
    try:
        record = ResultRecord.model_validate_json(unsealed_record(data))
    except DamagedError as error:
        _refuse_other_versions(path, data)
        raise DamagedError(f"{path} was altered after it was written: {error}") from error
    except ValidationError as error:
        _refuse_other_versions(path, data)
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DamagedError(
            f"{path} is not a result record of schema {SCHEMA_VERSION}: {place}: {first['msg']}"
        ) from error
    if path.stem != record.id:
        raise DamagedError(f"{path} holds the record {record.id}, so it is a copy under a new name")
    decides = record.decides
    identity = record_id(record.plugin, record.seed, decides) if decides else record.id
    for problem in contradictions(record, identity):
        raise DamagedError(f"{path} was altered: it contradicts itself: {problem}")
    return record


def read_altered(path: Path) -> ResultRecord | None:
    """Return what a record says that ``read_record`` refuses, or None if it is not a record."""
    try:
        content = json.loads(read_plain(path, MAX_RECORD_BYTES))
        content.pop("digest", None)
        content["cost"].pop("digest", None)
        return ResultRecord.model_validate_json(json.dumps(content))
    except (OSError, ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return None


def _refuse_other_versions(path: Path, data: bytes) -> None:
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version == 1:
        raise EarlierRecordError(
            f"{path} is a record of schema 1, which an earlier version wrote without a digest; "
            "run it again"
        )
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise HarnessError(
            f"{path} is a record of schema {version}, which a later version wrote; this one reads "
            f"schema {SCHEMA_VERSION}: update the harness"
        )


def read_records(folder: Path) -> tuple[list[ResultRecord], list[str]]:
    """Read every record of ``folder``, oldest first; the second list names those left out."""
    records, problems, earlier = [], [], 0
    for path in sorted(folder.glob("*.json")):
        try:
            records.append(read_record(path))
        except EarlierRecordError:
            earlier += 1
        except HarnessError as error:
            problems.append(str(error))
    if earlier:
        problems.append(
            f"{earlier} of the records in {folder} are of schema 1, which an earlier version wrote "
            "without a digest: run them again, or remove them"
        )
    return sorted(records, key=lambda record: (record.cost.created, record.id)), problems


def known_records(folder: Path) -> list[ResultRecord]:
    """Read every record of ``folder``, oldest first; report those left out on standard error."""
    records, problems = read_records(folder)
    for problem in problems:
        note(f"left out: {problem}")
    return records
