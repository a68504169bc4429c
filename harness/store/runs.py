"""Finding the records that a user names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harness.errors import HarnessError, unknown
from harness.store.record import ResultRecord
from harness.store.record_files import known_records


def named_records(home: Path, texts: Iterable[str]) -> list[ResultRecord]:
    """Return the records that texts name, each once, in the order of the texts.

    A text is an id, a label ("baseline epochs=1": the runs of all seeds), or the start of one id.
    Raises HarnessError if it names none, or is the start of several.
    """
    records = known_records(home / "records")
    found: dict[str, ResultRecord] = {}
    for text in texts:
        for record in _named(text, records):
            found[record.id] = record
    return list(found.values())


def _named(text: str, records: list[ResultRecord]) -> list[ResultRecord]:
    for known in ("id", "label"):
        whole = [record for record in records if getattr(record, known) == text]
        if whole:
            return whole
    begun = [record for record in records if text and record.id.startswith(text)]
    if len(begun) > 1:
        ids = ", ".join(record.id for record in begun)
        raise HarnessError(f"{text!r} is the start of {len(begun)} records: {ids}; write more")
    if not begun:
        ids_or_labels = {record.id for record in records} | {record.label for record in records}
        raise HarnessError(unknown("run", text, ids_or_labels, listing="with records"))
    return begun
