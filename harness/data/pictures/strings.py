"""Millions of byte strings, such as picture names, without a Python object for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

_PART = 100_000  # strings that are Python objects at a time


class Strings:
    """N byte strings in three arrays, which may be memory-mapped.

    ``data`` is ``(bytes,)``, ``start`` and ``length`` are ``(N,)``.
    """

    def __init__(
        self, data: NDArray[np.uint8], start: NDArray[np.int64], length: NDArray[np.int32]
    ) -> None:
        self.data, self.start, self.length = data, start, length

    @classmethod
    def of(cls, strings: Iterable[bytes]) -> Strings:
        """Pack ``strings`` one after another."""
        data = bytearray()
        lengths: list[int] = []
        for string in strings:
            data += string
            lengths.append(len(string))
        return cls.from_lengths(np.frombuffer(data, np.uint8), np.array(lengths, np.int32))

    @classmethod
    def of_array(cls, strings: NDArray[np.bytes_]) -> Strings:
        """Pack numpy byte strings without their padding, a part at a time."""
        starts = range(0, len(strings), _PART) or range(1)
        return cls.concatenate([cls.of(strings[k : k + _PART].tolist()) for k in starts])

    @classmethod
    def from_lengths(cls, data: NDArray[np.uint8], length: NDArray[np.int32]) -> Strings:
        """Return the strings of these lengths stored one after another in ``data``."""
        start = np.zeros(len(length), np.int64)
        np.cumsum(length[:-1], out=start[1:])
        return cls(data, start, length)

    @classmethod
    def concatenate(cls, parts: Sequence[Strings]) -> Strings:
        """Return the strings of all parts in order; each part must be stored without gaps."""
        return cls.from_lengths(
            np.concatenate([part.data for part in parts]),
            np.concatenate([part.length for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, row: int) -> bytes:
        first = self.start.item(row)
        return self.data[first : first + self.length.item(row)].tobytes()

    def every(self) -> list[bytes]:
        """Return all strings as Python objects; meant for some thousands at a time."""
        data, starts = self.data.tobytes(), self.start.tolist()
        return [
            data[first : first + length]
            for first, length in zip(starts, self.length.tolist(), strict=True)
        ]
