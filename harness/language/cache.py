"""Cache of encoded texts on disk: one SQLite file for each exact model."""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Vectors = Mapping[bytes, NDArray[np.float32]]

WAIT_SECONDS = 60.0  # for another process that is writing
AT_ONCE = 500  # placeholders of one statement; SQLite's least limit is 999
CRC_BYTES = 4  # at the end of every row
TABLE = "CREATE TABLE IF NOT EXISTS vectors (text BLOB PRIMARY KEY, vector BLOB NOT NULL)"


def key_of(text: str) -> bytes:
    """Return the digest under which the vector of ``text`` is stored."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()


class VectorCache:
    """The vectors of one model, by digests of texts; any number of processes may share it.

    It never stops a run: a damaged file is replaced by a new one, and if no file can be written,
    nothing is stored. ``report`` is called once with the reason.
    """

    def __init__(self, folder: Path, identity: str, report: Callable[[str], object]) -> None:
        kind = identity.partition(" ")[0]
        digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
        self.path = folder / f"{kind}-{digest}.sqlite"
        self._report = report
        self._usable = True

    def read(self, keys: Collection[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """Return the vectors of those ``keys`` that are stored."""
        wanted = list(keys)

        def rows(connection: sqlite3.Connection) -> dict[bytes, NDArray[np.float32]]:
            found: list[tuple[bytes, bytes]] = []
            damaged: list[tuple[bytes]] = []
            for first in range(0, len(wanted), AT_ONCE):
                part = wanted[first : first + AT_ONCE]
                places = ",".join("?" * len(part))
                question = f"SELECT text, vector FROM vectors WHERE text IN ({places})"
                for key, kept in connection.execute(question, part).fetchall():
                    if isinstance(kept, bytes) and kept == _with_crc(key, kept[:-CRC_BYTES]):
                        found.append((key, kept[:-CRC_BYTES]))
                    else:
                        damaged.append((key,))
            if damaged:
                with connection:
                    connection.executemany("DELETE FROM vectors WHERE text = ?", damaged)
                self._report(
                    f"{len(damaged)} of the encodings in {self.path} are damaged: encoded again"
                )
            return _checked(found)

        return self._try(rows) or {}

    def write(self, vectors: Vectors) -> None:
        """Store these vectors, all or none of them; stored vectors are not replaced."""
        rows = [
            (key, _with_crc(key, vector.astype("<f4").tobytes())) for key, vector in vectors.items()
        ]

        def insert(connection: sqlite3.Connection) -> None:
            with connection:
                connection.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?)", rows)

        self._try(insert)

    def _try(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """Do the work on the file, on a new one if it is damaged, or not at all."""
        for _ in range(2 if self._usable else 0):
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with closing(sqlite3.connect(self.path, timeout=WAIT_SECONDS)) as connection:
                    connection.text_factory = bytes  # damage may turn a blob into a text
                    connection.execute(TABLE)
                    return work(connection)
            except (OSError, sqlite3.OperationalError) as error:
                self._usable = False
                self._report(
                    f"encodings cannot be stored in {self.path}: {error}; continuing without"
                )
                return None
            except sqlite3.DatabaseError as error:
                self._report(
                    f"the encodings in {self.path} are damaged ({error}); starting a new file"
                )
                self._discard()
        return None

    def _discard(self) -> None:
        # The journal belongs to the damaged file and would be rolled back into the new one.
        for path in (self.path, self.path.with_name(f"{self.path.name}-journal")):
            path.unlink(missing_ok=True)


def _with_crc(key: bytes, vector: bytes) -> bytes:
    """Return a vector's bytes followed by the CRC-32 of its key and bytes."""
    return vector + zlib.crc32(key + vector).to_bytes(CRC_BYTES, "little")


def _checked(rows: list[tuple[bytes, bytes]]) -> dict[bytes, NDArray[np.float32]]:
    """Return the vectors; raises sqlite3.DatabaseError if they are not of length 1."""
    if not rows:
        return {}
    content = b"".join(vector for _, vector in rows)
    width = len(rows[0][1])
    if width % 4 or not width or {len(vector) for _, vector in rows} != {width}:
        raise sqlite3.DatabaseError("vectors of different sizes")
    vectors_ND = np.frombuffer(content, "<f4").reshape(len(rows), -1).astype(np.float32)
    lengths = np.linalg.norm(vectors_ND, axis=1)
    if not (np.abs(lengths - 1) < 1e-3).all():  # not a number is not near 1 either
        raise sqlite3.DatabaseError("vectors that are not of length 1")
    return {key: vector for (key, _), vector in zip(rows, vectors_ND, strict=True)}
