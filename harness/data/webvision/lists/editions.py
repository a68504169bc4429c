"""The editions of WebVision as data: folders, lists and numbering of each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.errors import DataError, unknown
from harness.store.reading import look_for, read_part

Base = Literal[0, 1]


@dataclass(frozen=True, kw_only=True)
class Source:
    """One search engine: the suffix of its lists, and the folders that may hold its pictures."""

    name: str
    folders: tuple[str, ...]  # as at the start of the lines of its list


@dataclass(frozen=True, kw_only=True)
class EvalSplit:
    """A split used only for scoring: the possible places of its list and its flat folder.

    The first that exists is used; if none does, errors name the first.
    """

    lists: tuple[str, ...]
    folders: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Edition:
    """One edition on disk; all paths are relative to the root of the data set.

    ``query_base`` and ``class_base`` are the first numbers of the columns of
    queries_synsets_map.txt, used if the numbers themselves do not show it. ``ilsvrc_numbers`` is
    whether class numbers are those of the usual ILSVRC-12 lists, which number its WordNet ids in
    sorted order.
    """

    name: str  # as in --data
    title: str  # as on the leaderboard
    num_classes: int
    num_queries: int
    query_digits: int
    sources: tuple[Source, ...]
    query_lists: tuple[str, ...]
    val: EvalSplit
    test: EvalSplit
    layout: str
    public_test_labels: bool = False
    query_base: Base = 1
    class_base: Base = 1
    ilsvrc_numbers: bool = True
    rearranged: bool = False  # the official preprocess.py may have sorted it into train/<wnid>/
    kept: range | None = None  # the labels of a subset; None: all

    @property
    def source_names(self) -> tuple[str, ...]:
        """The sources in the order in which they are read."""
        return tuple(source.name for source in self.sources)

    def source(self, name: str) -> Source:
        """Return the source called ``name``; raises DataError if the edition does not have it."""
        for source in self.sources:
            if source.name == name:
                return source
        raise DataError(unknown("source of WebVision", name, self.source_names))

    def eval_split(self, split: Literal["val", "test"]) -> EvalSplit:
        """Return the places of the list and the pictures of ``split``."""
        return self.val if split == "val" else self.test


# Source: the layout is that of the public loaders and tools for WebVision 1.0.
WEBVISION1 = Edition(
    name="webvision1",
    title="WebVision 1.0",
    num_classes=1_000,
    num_queries=1_631,
    query_digits=4,
    sources=(
        Source(name="google", folders=("google",)),
        Source(name="flickr", folders=("flickr",)),
    ),
    query_lists=("queries_google.txt", "queries_flickr.txt"),
    val=EvalSplit(lists=("info/val_filelist.txt",), folders=("val_images_256", "val_images")),
    test=EvalSplit(lists=("info/test_filelist.txt",), folders=("test_images_256", "test_images")),
    layout=(
        "WebVision 1.0 is laid out as ROOT/info/*.txt (train_filelist_google.txt, synsets.txt, "
        "...), ROOT/google/q0001/*.jpg, ROOT/flickr/q0001/*.jpg and ROOT/val_images_256/*.jpg; "
        "name that ROOT and unpack info.tar in it"
    ),
)

# Source: the organisers' download.sh and preprocess.py of the 2018 and 2020 challenges; the bases
# of the query map are those of a public tool that joins the maps of 1.0 and 2.0.
WEBVISION2 = Edition(
    name="webvision2",
    title="WebVision 2.0",
    num_classes=5_000,
    num_queries=12_597,
    query_digits=5,
    sources=(
        Source(name="google", folders=("google_images_resized", "google")),
        Source(name="flickr", folders=("flickr_images_resized", "flickr")),
    ),
    query_lists=("queries.txt",),
    val=EvalSplit(
        lists=("info/val_filelist.txt", "val_filelist.txt", "meta/val.txt"),
        folders=("val_images_resized", "val"),
    ),
    test=EvalSplit(
        lists=("info/test_filelist.txt", "test_filelist.txt", "webvision2018_test/meta/val.txt"),
        folders=("test_images_resized", "webvision2018_test/val"),
    ),
    layout=(
        "WebVision 2.0 is laid out as ROOT/info/*.txt (train_filelist_google.txt, synsets.txt, "
        "...), ROOT/google_images_resized/q00001/*.jpg, ROOT/flickr_images_resized/q00001/*.jpg "
        "and ROOT/val_images_resized/*.jpg, or after preprocess.py as ROOT/meta/*.txt, "
        "ROOT/train/n01440764/*.jpg and ROOT/val/*.jpg; name that ROOT and unpack info.tar in it"
    ),
    class_base=0,
    ilsvrc_numbers=False,
    rearranged=True,
)

# Source: DivideMix's loader, which most papers on mini-WebVision use: Google only, labels below
# 50, and the same classes of val.
MINI_WEBVISION = Edition(
    name="mini-webvision",
    title="mini-WebVision",
    num_classes=WEBVISION1.num_classes,
    num_queries=WEBVISION1.num_queries,
    query_digits=WEBVISION1.query_digits,
    sources=WEBVISION1.sources[:1],
    query_lists=WEBVISION1.query_lists[:1],
    val=WEBVISION1.val,
    test=WEBVISION1.test,
    layout=WEBVISION1.layout,
    kept=range(50),
)

EDITIONS = {edition.name: edition for edition in (WEBVISION1, WEBVISION2, MINI_WEBVISION)}

_FIRST_LINE = re.compile(rb"(?:\xef\xbb\xbf)?\s*([a-z_]+)/q([0-9]{1,6})/")


def detect_edition(root: Path) -> Edition:
    """Tell 1.0 from 2.0 by the first line of a training list, or by the files of preprocess.py.

    Raises:
        DataError: There is no list.
    """
    for source in WEBVISION1.sources:
        try:
            path = root / "info" / f"train_filelist_{source.name}.txt"
            first = _FIRST_LINE.match(read_part(path, 4096))
        except OSError:
            continue
        if first:
            return WEBVISION2 if _is_second(first[1].decode(), len(first[2])) else WEBVISION1
    if look_for(root / "meta" / "train.txt") or look_for(root / "info" / "queries.txt"):
        return WEBVISION2
    if (root / "info").is_dir():
        return WEBVISION1
    raise DataError(
        f"{root} does not hold an edition of WebVision: it has neither info/ nor meta/train.txt; "
        f"{WEBVISION1.layout}"
    )


def _is_second(folder: str, digits: int) -> bool:
    return "images_resized" in folder or digits == WEBVISION2.query_digits
