"""Checks whether listed pictures exist and can be decoded, and which variant they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from harness.data.pictures.decode import decode
from harness.data.pictures.limits import BrokenImageError
from harness.data.pictures.loader import prefetch
from harness.data.pictures.store import FolderStore
from harness.data.webvision.check.report import Findings, ImageCount
from harness.machine.cores import cores
from harness.picture_store import PictureStore
from harness.store.reading import patiently

Step = Callable[[int, int], None]
T = TypeVar("T")
Images = Literal["none", "sample", "all"]

LOOK_FOR = 2_000
DECODE = 200
RESIZED_SHORT_SIDE = 256
# A resized set has a few odd files; in an original set a few have this side by chance.
MOSTLY = 0.95
SHOWN = 20
_OFTEN = 512


class Together(Protocol):
    """The processes that check one data set together; each decodes its share of the pictures."""

    @property
    def rank(self) -> int:
        """The number of this process, from 0."""
        ...

    @property
    def world_size(self) -> int:
        """How many there are."""
        ...

    def together(self, call: Callable[[], T]) -> T:
        """Call a function in every process; raise the first one's error in all of them."""
        ...

    def gather(self, value: object) -> list[object]:
        """Return the values of all processes, in order, in each of them."""
        ...

    def collect(self, value: object) -> list[object]:
        """Return the values of all processes, in order, in the first; nothing in the others."""
        ...


class Alone:
    """One process, which checks everything."""

    rank, world_size = 0, 1

    def together(self, call: Callable[[], T]) -> T:
        """Call the function."""
        return call()

    def gather(self, value: object) -> list[object]:
        """Return the value."""
        return [value]

    collect = gather


class SplitPictures(NamedTuple):
    """The pictures of one split, read through ``store``.

    ``place`` returns a row's list and line, and its file. ``missing`` are the rows known to be
    missing; None if files must be looked for one by one.
    """

    split: str
    store: PictureStore
    place: Callable[[int], str]
    missing: NDArray[np.int64] | None


class _Looks(NamedTuple):
    """The result of a check: missing rows, broken rows with the reason, and short sides."""

    looked_for: int
    missing: list[int]
    broken: dict[int, str]
    sides: Counter[int]


def count_images(
    listed: SplitPictures, images: Images, findings: Findings, step: Step, ranks: Together
) -> ImageCount:
    """Look for pictures and decode them: an even spread, or all.

    ``step`` is called with (pictures checked, pictures in all) of this process.
    """
    looks = _look_at(listed, images, step, ranks)
    decoded = looks.sides.total() + len(looks.broken)
    missing = {row: f"{listed.place(row)} is missing" for row in looks.missing[:SHOWN]}
    broken = {
        row: f"{listed.place(row)} cannot be decoded: {looks.broken[row]}"
        for row in list(looks.broken)[:SHOWN]
    }
    for bad, looked, places, what in (
        (len(looks.missing), looks.looked_for, missing, "looked for are missing"),
        (len(looks.broken), decoded, broken, "cannot be decoded"),
    ):
        if bad:
            # A run stops if over 1 % of training pictures are bad, or one of a scored split.
            stops = listed.split != "train" or bad * 100 > looked
            text = f"{bad} of {looked} pictures {what}, the first: {next(iter(places.values()))}"
            findings.add("error" if stops else "warning", f"{listed.split}: {text}")
    variant = variant_of(looks.sides)
    if variant.startswith("mixed"):
        findings.add("warning", f"{listed.split}: resized and original pictures are {variant}")
    return ImageCount(
        split=listed.split,
        listed=len(listed.store),
        looked_for=looks.looked_for,
        missing=len(looks.missing),
        decoded=decoded,
        unreadable=len(looks.broken),
        variant=variant,
        places=tuple(text for _, text in sorted({**missing, **broken}.items())),
    )


def variant_of(sides: Counter[int]) -> str:
    """Name the variant by short sides in pixels; papers use either and rarely say which."""
    if not sides:
        return "unknown"
    (side, most), looked = sides.most_common(1)[0], sides.total()
    if most >= MOSTLY * looked:
        return f"short side {side}"
    if sides[RESIZED_SHORT_SIDE] > (1 - MOSTLY) * looked:
        return f"mixed: {sides[RESIZED_SHORT_SIDE]} of {looked} have short side 256"
    return "original"


def _look_at(listed: SplitPictures, images: Images, step: Step, ranks: Together) -> _Looks:
    size = len(listed.store)
    spread = size if images == "all" else min(size, LOOK_FOR)
    rows = np.unique(np.linspace(0, size - 1, spread).astype(np.int64))
    looked_for, missing = len(rows), listed.missing
    if missing is not None:
        looked_for, rows = size, np.setdiff1d(rows, missing, assume_unique=True)
    decoded = rows if images == "all" else rows[:: max(1, len(rows) // DECODE)]
    own = rows[ranks.rank :: ranks.world_size]
    share = ranks.together(lambda: _look_at_rows(listed, own, set(decoded.tolist()), step))
    looks = _Looks(looked_for, [] if missing is None else missing.tolist(), {}, Counter())
    for part in cast("list[_Looks]", ranks.gather(share)):
        looks.missing.extend(part.missing)
        looks.broken.update(part.broken)
        looks.sides.update(part.sides)
    looks.missing.sort()
    return looks._replace(broken=dict(sorted(looks.broken.items())))


def _look_at_rows(
    listed: SplitPictures, rows: NDArray[np.int64], decoded: set[int], step: Step
) -> _Looks:
    looks = _Looks(len(rows), [], {}, Counter())

    def look(row: int) -> int | str | None:
        return _look(listed, row, whole=row in decoded)

    order = rows.tolist()
    answers = prefetch((partial(look, row) for row in order), cores())
    for number, (row, found) in enumerate(zip(order, answers, strict=True)):
        if number % _OFTEN == 0:
            step(number, len(rows))
        if isinstance(found, int):
            looks.sides[found] += 1
        elif found == "":
            looks.missing.append(row)
        elif found:
            looks.broken[row] = found
    step(len(rows), len(rows))
    return looks


def _look(listed: SplitPictures, row: int, *, whole: bool) -> int | str | None:
    """The short side of a picture; None if not decoded, "" if missing, otherwise the error."""
    store = listed.store
    if isinstance(store, FolderStore) and not store.is_there(row):
        return ""
    try:
        if not whole:
            return None
        found = patiently(lambda: decode(store.read(row)), lambda: listed.place(row))
        side: int = min(found.shape[:2])
        return side
    except OSError as error:
        return error.strerror or type(error).__name__
    except BrokenImageError as error:
        return str(error)
