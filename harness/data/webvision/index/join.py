"""Matches archive members to listed names, even if their leading folders differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.data.pictures.store import TarColumns
from harness.data.pictures.strings import Strings
from harness.data.tar.litter import is_litter
from harness.errors import DataError

MAX_STRIPPED = 3
SAMPLE = 200  # members of a top folder on which a rule is tried
_PART = 100_000  # names that are Python objects at a time


class Rule(NamedTuple):
    """How to turn a member's name into a listed name: folders removed, then one prepended."""

    stripped: int
    folder: bytes

    def apply(self, name: bytes) -> bytes:
        """Return the listed form of a member's name."""
        if self.stripped:
            name = name.split(b"/", self.stripped)[-1]
        return self.folder + name


AS_IT_IS = Rule(0, b"")


class Join:
    """The archive and offset of each of N listed names; members are added archive by archive.

    If members share a name, the last one counts, as if all archives were unpacked in order. Names
    are compared by a 64-bit hash first, then byte for byte.
    """

    def __init__(self, names: Strings) -> None:
        self._names = names
        hashes = np.concatenate([_hash_names(part) for part in _parts(names)])
        self._keys, self._first, self._key_of = np.unique(
            hashes, return_index=True, return_inverse=True
        )
        self._refuse_collisions()
        self._shard = np.full(len(self._keys), -1, np.int16)
        self._offset = np.zeros(len(self._keys), np.int64)
        self._length = np.zeros(len(self._keys), np.int32)
        self._folders = _folders(names)
        self.duplicates: Counter[int] = Counter()  # by archive: members whose name came before
        self.first_duplicate = b""
        self.unlisted: Counter[int] = Counter()  # by archive
        self.first_unlisted = b""

    @property
    def unique(self) -> int:
        """The number of different names in the lists."""
        return len(self._keys)

    @property
    def first_rows(self) -> NDArray[np.int64]:
        """The first row of each name, in order."""
        rows: NDArray[np.int64] = np.sort(self._first)
        return rows

    def add(
        self,
        shard: int,
        names: list[bytes],
        offset: NDArray[np.int64],
        size: NDArray[np.int64],
        rules: dict[bytes, Rule],
    ) -> None:
        """Record the offsets of the members of archive ``shard``; pass its pieces one ``rules``.

        A rule is chosen for each top folder of the archive: the one that matches most of its
        members to listed names.
        """
        tops = [name[: name.find(b"/") + 1] for name in names]
        self._find_rules(names, tops, rules)
        listed = names
        if any(rule != AS_IT_IS for rule in rules.values()):
            named = zip(names, tops, strict=True)
            listed = [rules.get(top, AS_IT_IS).apply(name) for name, top in named]
        places = self._places(listed)
        inside = np.flatnonzero(places >= 0)
        strangers = [names[k] for k in np.flatnonzero(places < 0).tolist()]
        unlisted = [name for name in strangers if not is_litter(name)]
        if unlisted:
            self.unlisted[shard] += len(unlisted)
            self.first_unlisted = self.first_unlisted or unlisted[0]
        places = places[inside]
        self._count_duplicates(shard, places)
        self._shard[places] = shard
        self._offset[places] = offset[inside]
        self._length[places] = np.minimum(size[inside], np.iinfo(np.int32).max)

    def columns(self) -> TarColumns:
        """Return archive, offset and length of each listed name, ``(N,)`` each."""
        keys = self._key_of
        return TarColumns(self._shard[keys], self._offset[keys], self._length[keys])

    def _count_duplicates(self, shard: int, places: NDArray[np.int64]) -> None:
        again = self._shard[places] >= 0
        first = np.unique(places, return_index=True)[1]
        again[np.setdiff1d(np.arange(len(places)), first, assume_unique=True)] = True
        count = int(np.count_nonzero(again))
        if count:
            self.duplicates[shard] += count
            if not self.first_duplicate:
                self.first_duplicate = self._names[int(self._first[places[np.argmax(again)]])]

    def _places(self, names: list[bytes]) -> NDArray[np.int64]:
        """The key of each name; -1 if it is not listed."""
        hashes = _hash_names(names)
        places = np.searchsorted(self._keys, hashes)
        places[places == len(self._keys)] = 0
        candidates = np.flatnonzero(self._keys[places] == hashes)
        rows = self._first[places[candidates]].tolist()
        same = [
            names[number] == self._names[row]
            for number, row in zip(candidates.tolist(), rows, strict=True)
        ]
        result = np.full(len(names), -1, np.int64)
        inside = candidates[np.array(same, bool)]
        result[inside] = places[inside]
        return result

    def _find_rules(self, names: list[bytes], tops: list[bytes], rules: dict[bytes, Rule]) -> None:
        unknown: dict[bytes, list[bytes]] = {}
        for name, top in zip(names, tops, strict=True):
            if top not in rules:
                unknown.setdefault(top, []).append(name)
        for top, named in unknown.items():
            rule = self._best_rule(named[:: max(1, len(named) // SAMPLE)])
            if rule:
                rules[top] = rule

    def _best_rule(self, sample: list[bytes]) -> Rule | None:
        """The rule that matches most of the sample; None if no rule matches any."""
        best, most = None, 0
        for stripped in range(MAX_STRIPPED + 1):
            for folder in (b"", *self._folders):
                rule = Rule(stripped, folder)
                places = self._places([rule.apply(name) for name in sample])
                known = int(np.count_nonzero(places >= 0))
                if known > most:
                    best, most = rule, known
                if known == len(sample):
                    return rule
        return best

    def _refuse_collisions(self) -> None:
        rows = np.arange(len(self._names))
        again = rows[self._first[self._key_of] != rows]
        firsts = self._first[self._key_of[again]]
        for row, first in zip(again.tolist(), firsts.tolist(), strict=True):
            if self._names[row] != self._names[first]:
                raise DataError("two listed names have the same hash by chance; run it again")


def _parts(names: Strings) -> Iterable[list[bytes]]:
    for start in range(0, len(names), _PART):
        stop = min(start + _PART, len(names))
        first, last = (
            names.start.item(start),
            names.start.item(stop - 1) + names.length.item(stop - 1),
        )
        part = Strings.from_lengths(names.data[first:last], names.length[start:stop])
        yield part.every()


def _hash_names(names: list[bytes]) -> NDArray[np.int64]:
    return np.fromiter(map(hash, names), np.int64, len(names))


def _folders(names: Strings) -> tuple[bytes, ...]:
    """The top folders of the lists, with their slash."""
    found: dict[bytes, None] = {}
    for part in _parts(names):
        found.update(dict.fromkeys(name[: name.find(b"/") + 1] for name in part))
    return tuple(folder for folder in found if folder)
