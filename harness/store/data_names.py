"""Data sets of records by the name that --data has for them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from harness.errors import HarnessError, unknown
from harness.store.record import Data, ResultRecord


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """One data set as runs met it: two records with equal values may share a table.

    ``asked`` is how --data spells it, without folders; of records that do not say it, the edition.
    """

    asked: str
    edition: str
    plugin: str
    fingerprint: str  # of the training data and the images of the tested split


def data_set(data: Data, split: str) -> DataSet:
    """Return the data set of a record, as tested on ``split``."""
    return DataSet(
        asked=data.asked or data.edition,
        edition=data.edition,
        plugin=data.plugin,
        fingerprint=data.scored_on(split),
    )


def edition_is_called(edition: str, text: str) -> bool:
    """Return whether an edition begins with ``text``, without regard to case, blanks and signs.

    "webvision1" and "WebVision 1" both name "WebVision 1.0".
    """
    asked = _plain(text)
    return bool(asked) and _plain(edition).startswith(asked)


def of_data(records: Iterable[ResultRecord], text: str) -> list[ResultRecord]:
    """Return the records whose data ``text`` names: as --data took it, else by edition.

    Raises HarnessError, naming the data sets that have records, if there is none.
    """
    known = list(records)
    exact = [record for record in known if record.data.asked == text]
    found = exact or [r for r in known if edition_is_called(r.data.edition, text)]
    if found:
        return found
    names = {record.data.asked or record.data.edition for record in known}
    raise HarnessError(unknown("data set", text, names, listing="with runs"))


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).casefold()
