"""The pictures' names of millions of rows, a few bytes each, read one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from harness.data.store import FolderStore, Strings


class Names:
    """N names, decoded when asked for; a selection shares the bytes with what it was taken from."""

    def __init__(self, packed: Strings, rows: NDArray[np.int64] | None = None) -> None:
        self._packed = packed
        self._rows = rows

    def __len__(self) -> int:
        return len(self._packed if self._rows is None else self._rows)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: NDArray[Any] | slice) -> Names: ...
    def __getitem__(self, row: int | NDArray[Any] | slice) -> str | Names:
        """Return one name, or the names of some rows."""
        if isinstance(row, (int, np.integer)):
            place = int(row) if self._rows is None else int(self._rows[row])
            return self._packed[place].decode("utf-8", "replace")
        rows = np.arange(len(self._packed)) if self._rows is None else self._rows
        return Names(self._packed, rows[row])

    def store(self, root: Path) -> FolderStore:
        """Return the files of these names below ``root``; shares the names."""
        return FolderStore(root, self._packed, self._rows)

    def tolist(self) -> list[str]:
        """Return all names; a Python object for each."""
        return [self[row] for row in range(len(self))]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: FBT001
        """Return all names as an array of text, for what needs one."""
        del copy  # always a new array
        return np.array(self.tolist(), dtype=dtype or np.str_)
