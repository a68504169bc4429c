"""Submissions of others: verified as a whole, then taken into HOME, or refused with the reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from harness.errors import HarnessError
from harness.store.files import sync_folder, unwritable
from harness.store.lock import exclusive_lock
from harness.store.origins import Origin, now, write_origin
from harness.store.reading import is_there
from harness.store.record import ResultRecord, digest
from harness.store.record_files import read_record
from harness.studies.standing import checks_of_home
from harness.studies.verification import RecordCheck, verify_record
from harness.submissions.names import ENVIRONMENT, PLAN, id_of
from harness.submissions.unpack import unpack
from harness.terminal import page

if TYPE_CHECKING:
    from harness.samples import Samples

INCOMING = ".incoming"  # in HOME/records: what comes from there is moved without a copy


class Taken(NamedTuple):
    """A record that was taken, and the file or folder that it came from."""

    record: ResultRecord
    origin: Origin


class _Offered(NamedTuple):
    """A record of a submission, copied but not yet checked: its file, and where it came from."""

    path: Path
    source: Path
    sha256: str


def take(
    home: Path,
    sources: Sequence[Path],
    splits: Mapping[str, Samples] | None = None,
    data: str = "",
) -> list[Taken]:
    """Verify the records of zips and folders and take all of them into ``HOME/records``.

    Each record must pass what ``harness verify`` checks, and must not be, or have the predictions
    of, a record that the home has already. ``splits`` are those of ``data``, the data set that
    pictures and labels are compared with; without it, they are compared with the home's records.

    Raises HarnessError, naming file and record, if anything is wrong; then nothing is taken.
    """
    records = home / "records"
    with exclusive_lock(home / "records.lock", "takes submissions"):
        folder = records / INCOMING
        _remove(folder)  # a killed command left it
        try:
            offered = list(_copied(sources, folder))
            checks = [_checked(one, splits) for one in offered]
            _refuse_known(offered, checks, home)
            _refuse_contradictions(offered, checks, home, compared=set(splits or ()))
            return [
                _moved(one, check, records, data)
                for one, check in zip(offered, checks, strict=True)
            ]
        finally:
            _remove(folder)


def _copied(sources: Sequence[Path], folder: Path) -> Iterator[_Offered]:
    """Copy every submission into a folder of its own; yield its records."""
    for number, source in enumerate(sources):
        place = folder / str(number)
        try:
            sha256 = unpack(source, place)
        except HarnessError as error:
            raise HarnessError(f"{source}: {error}; nothing was taken") from error
        for path in sorted((place / "records").glob("*.json")):
            yield _Offered(path, source, sha256)


def _checked(one: _Offered, splits: Mapping[str, Samples] | None) -> RecordCheck:
    """Verify one record by itself."""
    try:
        record = read_record(one.path)
    except HarnessError as error:
        raise _refusal(one, [str(error)]) from error
    hidden = [text for text in _texts(record) if page(text) != text or "\n" in text]
    if hidden:
        raise _refusal(one, [f"{hidden[0]!r} has invisible characters"])
    if not record.scores:
        raise _refusal(one, ["it has no score"])
    if id_of(f"records/{record.id}.json") is None:
        raise _refusal(one, ["its id is not one that the harness makes"])
    for path in (one.path.with_suffix("") / name for name in (PLAN, ENVIRONMENT)):
        if path.exists() and not _is_object(path):
            raise _refusal(one, [f"{path.name} is not a JSON object"])
    check = verify_record(one.path, record, splits)
    if check.problems:
        raise _refusal(one, check.problems)
    return check


def _is_object(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_bytes()), dict)
    except (ValueError, RecursionError):
        return False


def _texts(record: ResultRecord) -> Iterator[str]:
    """Yield what a board or a page shows of a record."""
    yield from (record.label, record.plugin, record.data.edition, record.data.plugin)
    yield from (text for score in record.scores for text in (score.split, score.protocol))
    yield from (stage.name for stage in record.stages)
    yield from record.without
    for name, knob in record.knobs.items():
        yield from (name, knob.value)


def _refuse_known(offered: Sequence[_Offered], checks: Sequence[RecordCheck], home: Path) -> None:
    """Refuse a record whose id is that of another one, here or in the submissions."""
    met: dict[str, _Offered] = {}
    for one, check in zip(offered, checks, strict=True):
        name = check.name
        if name in met:
            raise _refusal(one, [f"it is also in {met[name].source}; add it once"])
        met[name] = one
        path = home / "records" / f"{name}.json"
        if is_there(path):
            raise _refusal(one, [_same_id(check, path)])
        if is_there(path.with_suffix("")):
            raise _refusal(
                one,
                [f"{path.with_suffix('')} exists without a record; remove it, or end the run"],
            )


def _same_id(check: RecordCheck, path: Path) -> str:
    try:
        known = read_record(path)
    except HarnessError:
        return f"{path} has this id, and is not fine: see harness verify"
    assert check.record is not None
    if _results(known) == _results(check.record):
        return "the same run is in HOME already, with equal results"
    return (
        "another record with this id is in HOME, and its results differ: one of the two was not "
        "made as it says"
    )


def _results(record: ResultRecord) -> str:
    return digest(record.model_dump(mode="json", exclude={"cost", "commit", "dirty"}))


def _refuse_contradictions(
    offered: Sequence[_Offered], checks: Sequence[RecordCheck], home: Path, compared: set[str]
) -> None:
    """Refuse predictions that another record has, and other pictures than the records here have.

    ``compared`` are the splits whose pictures were compared with the data set's.
    """
    known = [one for one in checks_of_home(home) if not one.problems]
    answers = {one.answers: one.name for one in known if one.answers}
    pictures: dict[tuple[str, str], tuple[str, str]] = {}
    for check in known:
        for terms, found in _pictures(check, compared):
            pictures.setdefault(terms, (found, check.name))
    for one, check in zip(offered, checks, strict=True):
        other = answers.setdefault(check.answers, check.name)
        if other != check.name:
            raise _refusal(one, [f"its predictions are those of {other}: it is the same run twice"])
        for terms, found in _pictures(check, compared):
            seen, other = pictures.setdefault(terms, (found, check.name))
            if seen != found:
                raise _refusal(
                    one,
                    [
                        f"its pictures or labels of {terms[1]} are not those of {other}, on the "
                        "same data; add --data to see which of them is right"
                    ],
                )


def _pictures(check: RecordCheck, compared: set[str]) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield (data, split) and the digest of its pictures, for splits not compared with the data."""
    assert check.record is not None
    data = digest([check.record.decides.get("data")])
    for split, pictures in check.pictures.items():
        if split not in compared:
            yield (data, split), pictures


def _moved(one: _Offered, check: RecordCheck, records: Path, data: str) -> Taken:
    """Move a record to its place, predictions first: without its file it is not there yet."""
    assert check.record is not None
    origin = Origin(source=one.source.name, sha256=one.sha256, data=data, taken=now())
    folder = one.path.with_suffix("")
    write_origin(folder, origin)
    try:
        folder.rename(records / folder.name)
        one.path.rename(records / one.path.name)
        sync_folder(records)
    except OSError as error:
        raise HarnessError(unwritable(records, error)) from error
    return Taken(check.record, origin)


def _refusal(one: _Offered, problems: Sequence[str]) -> HarnessError:
    first = problems[0].replace(f"{one.path.parent}/", "")
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    name = one.path.stem
    return HarnessError(f"{one.source}: record {name}: {first}{more}; nothing was taken")


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise HarnessError(unwritable(folder, error)) from error
