"""The picture names of millions of rows, stored in a few bytes each and decoded one by one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from harness.data.pictures.store import FolderStore
from harness.data.pictures.strings import Strings


class ListedIn(NamedTuple):
    """A list file, and the line number, from 1, of each name in it."""

    path: Path
    line: NDArray[np.int32]


class Names:
    """N names, decoded on access; a selection shares the bytes of the names it is taken from.

    Bytes that are not UTF-8 become lone surrogates, as in Python's own file names: two files never
    share a name, and ``root / name`` is the file. ``listed`` gives the lists and lines of the
    names, list after list.
    """

    def __init__(
        self,
        packed: Strings,
        rows: NDArray[np.int64] | None = None,
        listed: Sequence[ListedIn] = (),
    ) -> None:
        self._packed = packed
        self._rows = rows
        self._listed = listed

    @classmethod
    def of(cls, names: Iterable[str]) -> Names:
        """Pack names given as text."""
        return cls(Strings.of(name.encode("utf-8", "surrogateescape") for name in names))

    def __len__(self) -> int:
        return len(self._packed if self._rows is None else self._rows)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: NDArray[Any] | slice) -> Names: ...
    def __getitem__(self, row: int | NDArray[Any] | slice) -> str | Names:
        """Return one name, or the names of some rows."""
        if isinstance(row, (int, np.integer)):
            return self._packed[self._place(row)].decode("utf-8", "surrogateescape")
        rows = np.arange(len(self._packed)) if self._rows is None else self._rows
        return Names(self._packed, rows[row], self._listed)

    def where(self, row: int) -> str:
        """Return the list and line of a name, for messages; "" if they are unknown."""
        place = self._place(row)
        for path, line in self._listed:
            if place < len(line):
                return f"{path}, line {line[place]}"
            place -= len(line)
        return ""

    def _place(self, row: int) -> int:
        return int(row) if self._rows is None else int(self._rows[row])

    def store(self, root: Path) -> FolderStore:
        """Return a store of the files with these names below ``root``; shares the names."""
        return FolderStore(root, self._packed, self._rows)

    def tolist(self) -> list[str]:
        """Return all names, as one Python object each."""
        return [self[row] for row in range(len(self))]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: FBT001
        """Return all names as an array of text."""
        del copy  # always a new array
        return np.array(self.tolist(), dtype=dtype or np.str_)
