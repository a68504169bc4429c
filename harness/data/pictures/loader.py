"""Loads batches of pictures: threads decode into one preallocated uint8 batch.

Decoders release the interpreter's lock, so threads suffice and nothing is copied between processes.
The content of a batch depends only on (seed, step), never on the threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.data.pictures.decode import (
    CROP_TRIES,
    Pixels,
    crop_and_resize,
    crop_views,
    decode,
    random_box,
)
from harness.data.pictures.inventory import store_of
from harness.data.pictures.limits import BrokenImageError
from harness.errors import DataError, HarnessError
from harness.samplers import Rows, draw_seed, generator
from harness.samples import Samples
from harness.store.reading import patiently, unreadable
from harness.terminal import visible
from harness.values import Picture, Trick, Views, apply

MAX_BROKEN = 0.01  # of the split's entries; more means that the data set itself is broken
REPLACEMENT_TRIES = 16
FLIPPED = 0.5
KEPT_BYTES = 256 << 20  # of a split's decoded pictures
AUGMENTATION = 1 << 20  # a random stream separate from the samplers'

T = TypeVar("T")


class Crops(NamedTuple):
    """How training crops are drawn: side in pixels, smallest share of the picture's area.

    ``views`` is the number of crops of each picture; ``tricks`` change every crop, in order.
    """

    size: int
    min_area: float
    views: int = 1
    tricks: tuple[Trick[Picture], ...] = ()


class Loaded(NamedTuple):
    """Pictures ``(B, H, W, 3)`` uint8, and the rows ``(B,)`` they come from after replacement.

    ``further`` are the second and later crops of the pictures, each like ``pixels``.
    """

    pixels: NDArray[np.uint8]
    rows: Rows
    further: tuple[NDArray[np.uint8], ...] = ()

    def split(self, count: int) -> list[Loaded]:
        """Return equal parts of consecutive pictures."""
        views = [np.split(view, count) for view in (self.pixels, *self.further)]
        return [
            Loaded(pixels, rows, tuple(further))
            for pixels, rows, *further in zip(
                views[0], np.split(self.rows, count), *views[1:], strict=True
            )
        ]


@dataclass
class Pictures:
    """The pictures of one split, and which of them turned out to be broken.

    A broken picture is reported once and replaced by another sample of its label, from its subset
    if possible. The choice depends only on its row; samples left out of training are never chosen.
    Raises DataError if more than 1 % of the entries are broken, and HarnessError for a picture
    that cannot be read: a picture is replaced only if its bytes show that it is broken.
    Decoded pictures are kept if all of the split fit into ``KEPT_BYTES``: reading and decoding one
    of 64 pixels takes 33 microseconds, cropping it 23.
    """

    samples: Samples
    report: Callable[[str], None]
    broken: dict[int, str] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)
    _kept: dict[int, Pixels] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Open the store of the pictures."""
        self._store = store_of(self.samples)

    def training_batch(
        self, batch: Rows, part: slice | Rows, crops: Crops, seed: tuple[int, int]
    ) -> Loaded:
        """Cut random squares from each picture in a part of a batch, mirrored at random.

        ``seed`` is (the stage's seed, the step). Random numbers are drawn for the whole global
        batch, so that a picture's crop does not depend on the number of ranks.
        """
        draws, flips = zip(*(_draws(len(batch), seed, v) for v in range(crops.views)), strict=True)
        places = np.arange(len(batch))[part]
        rows = batch[part].copy()
        views = [np.empty((len(rows), crops.size, crops.size, 3), np.uint8) for _ in draws]
        for number, (row, place) in enumerate(zip(rows.tolist(), places.tolist(), strict=True)):
            picture, rows[number] = self._picture(row)
            height, width = picture.shape[:2]
            for view, pixels in enumerate(views):
                box = random_box(width, height, crops.min_area, draws[view][place])
                crop = crop_and_resize(picture, box, crops.size, flip=bool(flips[view][place]))
                if crops.tricks:
                    crop = _tricked(crops.tricks, crop, draw_seed(*seed, place, view), view)
                pixels[number] = crop
        return Loaded(views[0], rows, tuple(views[1:]))

    def test_batch(self, rows: Rows, views: Views) -> list[NDArray[np.uint8]]:
        """Decode each picture once and cut all views; one ``(B, H, W, 3)`` array per view."""
        pixels = [np.empty((len(rows), view.size, view.size, 3), np.uint8) for view in views]
        for place, row in enumerate(rows.tolist()):
            picture, _ = self._picture(row)
            for batch, square in zip(pixels, crop_views(picture, views), strict=True):
                batch[place] = square
        return pixels

    def learn(self, broken: Mapping[int, str]) -> None:
        """Record the broken pictures that other ranks found; raises DataError as for its own."""
        for row, problem in broken.items():
            self._note(row, problem)

    def _picture(self, row: int) -> tuple[Pixels, int]:
        picture = self._read(row)
        if picture is not None:
            return picture, row
        for other in self._peers(row).tolist():
            picture = self._read(other)
            if picture is not None:
                return picture, other
        wnid = self.samples.classes[self.samples.label[row]].wnid
        raise DataError(
            f"class {wnid}: no other picture can replace a broken one; {self.broken[row]}"
        )

    def _peers(self, row: int) -> Rows:
        label, subset = self.samples.label, self.samples.subset
        same = np.flatnonzero((label == label[row]) & (subset >= 0))
        mixed = generator(row).permutation(same)
        nearest: Rows = mixed[np.argsort(subset[mixed] != subset[row], kind="stable")]
        return nearest[:REPLACEMENT_TRIES]

    def _read(self, row: int) -> Pixels | None:
        if row in self.broken:
            return None
        if row in self._kept:
            return self._kept[row]
        try:
            picture = patiently(lambda: decode(self._store.read(row)), lambda: self._path(row))
        except BrokenImageError as error:
            reason = str(error)
        except OSError as error:
            if not self.samples.root.is_dir():  # the whole disk is missing, not one picture
                raise HarnessError(unreadable(self.samples.root, error)) from error
            reason = error.strerror or str(error)
        else:
            if picture.nbytes * len(self.samples) <= KEPT_BYTES:
                self._kept[row] = picture
            return picture
        self._note(row, f"broken image {visible(self._path(row))}: {reason}")
        return None

    def _path(self, row: int) -> Path:
        return self.samples.root / self._store.name(row)

    def _note(self, row: int, problem: str) -> None:
        with self._lock:
            if row in self.broken:
                return
            self.broken[row] = problem
            count, total = len(self.broken), len(self.samples)
        if self.samples.split != "train":
            raise DataError(f"{problem}; {self.samples.split} cannot be scored without it")
        self.report(f"{problem}; replaced by another picture of its class")
        if count > MAX_BROKEN * total:
            raise DataError(
                f"{count} of {total} pictures are broken so far, more than {MAX_BROKEN:.0%}; "
                f"the last one: {problem}"
            )


def _draws(
    size: int, seed: tuple[int, int], view: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the numbers from which crops are drawn ``(B, tries, 4)``, and which are mirrored."""
    random = generator(seed[0], AUGMENTATION + view, seed[1])
    draws = random.random((size, CROP_TRIES, 4))
    return draws, random.random(size) < FLIPPED


def _tricked(tricks: Sequence[Trick[Picture]], crop: Pixels, seed: int, view: int) -> Pixels:
    return apply(tricks, Picture(crop, seed, view)).pixels


def prefetch(work: Iterable[Callable[[], T]], threads: int) -> Iterator[T]:
    """Run the calls in threads, a few ahead of the consumer; yield the results in order."""
    with ThreadPoolExecutor(max(1, threads), thread_name_prefix="loader") as pool:
        waiting: deque[Future[T]] = deque()
        try:
            for call in work:
                waiting.append(pool.submit(call))
                if len(waiting) > 2 * max(1, threads):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
