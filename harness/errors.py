"""Errors that a user can fix: one line with what was asked, what was found and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import Any

LISTED = 40  # of more names, only similar ones are listed
CHARACTERS = 900  # of their list


class HarnessError(Exception):
    """An error that is printed as one line on standard error, with exit code 2."""


class PluginError(HarnessError):
    """A plugin cannot be loaded, returns something wrong, or contradicts another plugin."""


class NothingAddedError(HarnessError):
    """A plugin named by ``--with`` would change nothing, but the run's name would say it did."""


class DataError(HarnessError):
    """A data set on disk is not what its edition says."""


class NoLabelsError(DataError):
    """The labels of this split are not public; it cannot be scored here.

    ``pictures`` reads its ``Samples``, with the label -1 throughout, so that they can be predicted;
    None if there are no pictures either.
    """

    def __init__(self, message: str, pictures: Callable[[], Any] | None = None) -> None:
        super().__init__(message)
        self.pictures = pictures


class TrainingError(HarnessError):
    """Training cannot continue: a loss that is not finite, too many broken images."""


def unknown(kind: str, asked: str, known: Iterable[str], *, listing: str = "known") -> str:
    """Return a message that ``asked`` is not a known ``kind``, with the nearest and all names.

    >>> unknown("plugin", "pcl", ["huawei", "pci"], listing="installed")
    "unknown plugin 'pcl'; did you mean 'pci'? installed: huawei, pci"
    """
    names = sorted(known)
    near = difflib.get_close_matches(asked, names, n=LISTED, cutoff=0.5)
    hint = f" did you mean {near[0]!r}?" if near else ""
    shown, room = near or names[:LISTED], CHARACTERS
    if len(names) <= LISTED and len(", ".join(names)) <= CHARACTERS:
        shown = names
    kept = [name for name in shown if (room := room - len(name) - 2) >= 0] or shown[:1]
    rest = [f"... ({len(names)} in all)"] if len(kept) < len(names) else []
    return f"unknown {kind} {asked!r};{hint} {listing}: {', '.join([*kept, *rest]) or 'none'}"
