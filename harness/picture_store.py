"""What samples need of the store of a split's pictures: their names and their bytes."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class FileNames(Protocol):
    """N names relative to a root, in few bytes each; ``np.asarray`` gives them as an array."""

    def __len__(self) -> int:
        """Return N."""
        ...

    def __getitem__(self, row: Any) -> Any:
        """Return the name of a row, or the names of some rows."""
        ...

    def tolist(self) -> list[str]:
        """Return every name as an object of its own."""
        ...


class PictureStore(Protocol):
    """The pictures of N rows; may be shared by threads, forked and sent to other processes."""

    def __len__(self) -> int:
        """Return N."""
        ...

    def name(self, row: int) -> str:
        """Return the picture's name as the lists have it, for messages."""
        ...

    def read(self, row: int) -> bytes:
        """Return the picture's file; raises OSError if it is missing, cut or over 64 MiB.

        ``harness.store.reading.is_proven`` tells an error of the picture from one of the moment.
        """
        ...

    def take(self, rows: NDArray[np.int64]) -> PictureStore:
        """Return a store of these rows ``(M,)``; shares everything but the selection."""
        ...
