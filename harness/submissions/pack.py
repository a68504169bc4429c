"""Runs packed as a zip that others can verify and take: ``harness leaderboard --add FILE``."""

from __future__ import annotations

import json
import platform
import zipfile
from collections.abc import Iterator, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import IO, Any

from harness import __version__
from harness.errors import HarnessError
from harness.store.files import atomic_write
from harness.store.finished import predictions_file
from harness.store.reading import read_plain
from harness.store.record import ResultRecord
from harness.studies.again import command
from harness.studies.verification import verify
from harness.submissions.names import ENVIRONMENT, MOST_PREDICTIONS, PLAN, check_file

FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # of zips: equal runs make equal files


def pack(home: Path, records: Sequence[ResultRecord], path: Path) -> None:
    """Write the records with predictions, plan and environment to a zip, whole or not at all.

    Raises HarnessError if a record is not fine, since it would be refused by everyone.
    """
    paths = [home / "records" / f"{record.id}.json" for record in records]
    for check in verify(paths):
        if check.problems:
            raise HarnessError(f"record {check.name} is not fine: {check.problems[0]}")

    def write(file: IO[bytes]) -> None:
        with zipfile.ZipFile(file, "w") as whole:
            for record in records:
                for name, data in _files(home, record):
                    check_file(name, len(data))
                    whole.writestr(_info(name), data)

    atomic_write(path, write)


def _files(home: Path, record: ResultRecord) -> Iterator[tuple[str, bytes]]:
    place = home / "records" / record.id
    yield f"records/{record.id}.json", read_plain(place.with_name(f"{record.id}.json"), 1 << 30)
    for path in dict.fromkeys(predictions_file(place, score) for score in record.scores):
        yield f"records/{record.id}/{path.name}", read_plain(path, MOST_PREDICTIONS)
    for name, content in ((PLAN, plan_of(record)), (ENVIRONMENT, environment_of(record))):
        text = json.dumps(content, indent=1, sort_keys=True)
        yield f"records/{record.id}/{name}", f"{text}\n".encode()


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, FIRST_DAY)
    packed = name.endswith(".npz")  # a zip itself
    info.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    return info


def plan_of(record: ResultRecord) -> dict[str, Any]:
    """Return what was run: the command, knobs and stages with the origin of every value."""
    return {
        "command": command(record),
        "knobs": {name: knob.model_dump() for name, knob in record.knobs.items()},
        "plugins": [plugin.model_dump() for plugin in record.plugins],
        "stages": [
            {
                "name": stage.name,
                "values": stage.values,
                "origins": stage.origins,
                "tricks": stage.tricks,
            }
            for stage in record.stages
        ],
    }


def environment_of(record: ResultRecord) -> dict[str, Any]:
    """Return where it ran, and the packages of this machine, which packs it.

    There is no name of a machine or user, and no path.
    """
    packages = {one.metadata["Name"]: one.version for one in distributions()}
    return {
        "commit": record.commit,
        "dirty": record.dirty,
        "hardware": record.cost.hardware,
        "versions": record.cost.versions,
        "packed_by": {
            "harness": __version__,
            "python": platform.python_version(),
            "system": platform.system(),
            "packages": {name: packages[name] for name in sorted(filter(None, packages))},
        },
    }
