"""From a folder or a table of pictures to the samples of its splits."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.own_pictures.copies import LARGE, SHORT_SIDE
from harness.data.own_pictures.listed import SPLITS, Listed, class_names, refuse_strangers
from harness.data.own_pictures.looks import Looks, look
from harness.data.own_pictures.profile import DEVICES, device_here, fit
from harness.data.own_pictures.splits import draw_splits
from harness.data.own_pictures.store import Reading, UprightStore
from harness.data.own_pictures.table import read_table
from harness.data.own_pictures.tree import read_folder
from harness.data.pictures.inventory import SeenStore
from harness.data.pictures.names import Names
from harness.data.pictures.store import FolderStore
from harness.errors import DataError, NoLabelsError, unknown
from harness.plans import Profile
from harness.samples import Samples, Text, WebClass
from harness.spec import DataSpec
from harness.store.record import digest
from harness.terminal import note, visible

OPTIONS = {"seed": "0", "broken": "stop", "profile": "auto"}
CHOICES = {"broken": ("stop", "skip"), "profile": ("auto", *DEVICES)}
EXAMPLES = {"folder": "folder:/data/pictures", "csv": "csv:/data/pictures.csv"}
NAME_CHARACTERS = 24  # of an edition
_AGAIN = "start the same command again, which reads the changed pictures again"
_WNID = re.compile(r"n[0-9]{8}")


@dataclass(frozen=True, kw_only=True)
class OwnPictures:
    """All pictures of one data set, read and split, in an order that their content decides.

    ``listed``, ``looks`` and ``split`` are of the same N rows; ``tested`` is the label that a
    picture of val or test is scored against: the clean one if it is known.
    """

    kind: str
    listed: Listed
    looks: Looks
    split: Sequence[str]
    names: Sequence[str]
    tested: Sequence[str]
    drawn: bool
    profile: Profile
    home: Path

    def rows(self, split: str) -> NDArray[np.int64]:
        """Return the rows of a split."""
        return np.array([row for row, part in enumerate(self.split) if part == split], np.int64)

    def labels(self, split: str) -> NDArray[np.int32]:
        """Return the label of each picture of a split: as found in train, clean in the others."""
        place = {name: number for number, name in enumerate(self.names)}
        labels = self.listed.label if split == "train" else self.tested
        return np.array([place[labels[row]] for row in self.rows(split).tolist()], np.int32)

    @property
    def truth(self) -> NDArray[np.int32] | None:
        """The clean label of each training picture, -1 for none of the classes; None if unknown."""
        clean, rows = self.listed.clean, self.rows("train").tolist()
        if clean is None or not all(clean[row] for row in rows):
            return None
        place = {name: number for number, name in enumerate(self.names)}
        return np.array([place.get(clean[row], -1) for row in rows], np.int32)

    @property
    def edition(self) -> str:
        """The name on the board: what shares it has the same pictures, labels and splits."""
        place = self.listed.path.resolve()
        shown = place.name if self.kind == "folder" else place.stem
        name = re.sub(r"[^A-Za-z0-9_.]+", "-", shown).strip("-.")
        whole = digest([self._fingerprint(split) for split in SPLITS])
        return f"{self.kind}-{name[:NAME_CHARACTERS].strip('-.') or 'pictures'}-{whole[:8]}"

    def samples(self, split: str) -> Samples:
        """Return a split; raises NoLabelsError if it has no picture."""
        if split not in SPLITS or not (self.split.count(split)):
            raise NoLabelsError(f"{visible(self.listed.path)} has no pictures for {split}")
        rows = self.rows(split)
        looks, files = self.looks.take(rows), [self.listed.files[row] for row in rows.tolist()]
        nothing = np.full(len(rows), -1, np.int32)
        store = FolderStore(self.listed.root, files)
        return Samples(
            split=split,
            root=self.listed.root,
            files=Names.of(files),
            label=self.labels(split),
            source=np.zeros(len(rows), np.int8),
            query=nothing,
            rank=nothing,
            weight=self._weights(rows),
            subset=np.zeros(len(rows), np.int8),
            classes=tuple(map(_web_class, self.names)),
            source_names=(self.kind,),
            fingerprint=self._fingerprint(split),
            edition=self.edition,
            store=UprightStore(
                SeenStore(store, self.listed.root, looks.size, looks.digest, _AGAIN),
                Reading(looks.plain, np.minimum(looks.width, looks.height) > LARGE, looks.digest),
                self.home,
            ),
            read_texts=partial(self._texts, rows),
            read_context=lambda: digest([text.title for text in self._texts(rows)]),
        )

    def _weights(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        if self.listed.weight is None:
            return np.ones(len(rows), np.float32)
        return np.array(self.listed.weight, np.float32)[rows]

    def _texts(self, rows: NDArray[np.int64]) -> list[Text]:
        text = self.listed.text
        return [Text(title=visible(text[row]) if text else "") for row in rows.tolist()]

    def _fingerprint(self, split: str) -> str:
        """Return a digest of a split's pictures, labels, weights and clean labels; not of names."""
        rows = self.rows(split)
        content = hashlib.sha256(digest([split, list(map(ascii, self.names))]).encode())
        truth = self.truth if split == "train" else None
        for column in (self.looks.digest[rows], self.labels(split), self._weights(rows), truth):
            content.update(b"-" if column is None else np.ascontiguousarray(column).tobytes())
        return content.hexdigest()


def load(kind: str, data: DataSpec, home: Path) -> OwnPictures:
    """Read what ``--data folder:PATH`` or ``--data csv:FILE`` names, and look at every picture.

    Raises:
        DataError: There is nothing to train on, a picture or label is wrong, or an option unknown.
    """
    options = _options(kind, data.options)
    listed = read_listed(kind, data.path)
    looks = look(listed.root, listed.files, home)
    if looks.problems:
        what = _unreadable(listed, looks)
        if options["broken"] == "stop":
            raise DataError(
                f"{what}; repair or remove them, or leave them out: "
                f"--data '{kind}:{visible(listed.path)}?broken=skip'"
            )
        note(f"{what}; left out")
    return own_pictures(kind, listed, looks, options, home)


def read_listed(kind: str, path: str | None) -> Listed:
    """Read the folder or the table; raises DataError."""
    if not path:
        raise DataError(f"--data {kind} needs a path, for example --data {EXAMPLES[kind]}")
    try:
        place = Path(path).expanduser()
    except RuntimeError as error:
        raise DataError(f"--data {kind}:{visible(path)}: {error}; write the whole path") from error
    return read_folder(place) if kind == "folder" else read_table(place)


def own_pictures(
    kind: str, listed: Listed, looks: Looks, options: Mapping[str, str], home: Path
) -> OwnPictures:
    """Split the pictures that can be read, and check their labels; raises DataError."""
    texts = looks.texts()
    usable = (row for row in range(len(listed)) if row not in looks.problems)
    order = np.array(
        sorted(usable, key=lambda row: (listed.label[row], texts[row], listed.files[row])), np.int64
    )
    listed, looks = _take(listed, order), looks.take(order)
    names = class_names(listed)
    clean = listed.clean or [""] * len(listed)
    split: Sequence[str] = listed.split
    if not listed.has_splits:
        split = draw_splits(looks.texts(), listed.label, int(options["seed"]))
    pairs = zip(listed.label, clean, strict=True)
    tested = [known or label for label, known in pairs]
    refuse_strangers(listed, names, tested, split)
    trained = np.array([row for row, part in enumerate(split) if part == "train"], np.int64)
    if listed.weight is not None and not np.array(listed.weight)[trained].any():
        raise DataError(f"{visible(listed.path)}: the weight of every training picture is 0")
    device = device_here() if options["profile"] == "auto" else options["profile"]
    sides = np.minimum(looks.width, looks.height)[trained]
    read = np.where(sides > LARGE, SHORT_SIDE / sides, 1.0)  # a side of what is decoded, as a share
    megapixels = np.mean(looks.width[trained] / 1e3 * looks.height[trained] / 1e3 * read**2)
    return OwnPictures(
        kind=kind,
        listed=listed,
        looks=looks,
        split=tuple(split),
        names=names,
        tested=tested,
        drawn=not listed.has_splits,
        profile=fit(len(trained), len(names), int(np.median(sides)), float(megapixels), device),
        home=home,
    )


def _take(listed: Listed, rows: NDArray[np.int64]) -> Listed:
    columns: dict[str, Any] = {
        name: [column[row] for row in rows.tolist()]
        for name in ("files", "label", "split", "clean", "text", "weight", "lines")
        if (column := getattr(listed, name)) is not None
    }
    return replace(listed, **columns)


def _options(kind: str, given: Mapping[str, str]) -> dict[str, str]:
    for name, text in given.items():
        if name not in OPTIONS:
            raise DataError(unknown(f"option of --data {kind}", name, OPTIONS))
        if name in CHOICES and text not in CHOICES[name]:
            raise DataError(unknown(f"choice of --data {kind}: {name}", text, CHOICES[name]))
    options = OPTIONS | dict(given)
    seed = options["seed"]
    if not (seed.isascii() and seed.isdigit() and len(seed) < 10):
        raise DataError(f"--data {kind}: seed={seed!r} is not a whole number from 0; try seed=1")
    return options


def _unreadable(listed: Listed, looks: Looks) -> str:
    row, problem = min(looks.problems.items())
    return (
        f"{len(looks.problems)} of {len(listed)} pictures cannot be read, the first: "
        f"{listed.where(row)}: {problem}"
    )


def _web_class(name: str) -> WebClass:
    return WebClass(wnid=name if _WNID.fullmatch(name) else "", lemmas=visible(name))
