"""Checks a data set in one pass: what exists, what collides, and what would stop a run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from harness.data.webvision.check.archives import Archives, find_archives, is_indexed, lists_root
from harness.data.webvision.check.eval_splits import check_eval_split
from harness.data.webvision.check.images import Alone, Images, Step, Together
from harness.data.webvision.check.lists import (
    Disagreements,
    compare_meta,
    compare_queries,
    compare_with_all,
    count_classes,
    read_list,
)
from harness.data.webvision.check.names import PREPARED, TrainList, count_source, overwritten_rows
from harness.data.webvision.check.parts import Pass, Progress
from harness.data.webvision.check.pictures import EvalName, count_eval_images, count_train_images
from harness.data.webvision.check.report import (
    ArchiveCount,
    ClassCount,
    EvalCount,
    Findings,
    ImageCount,
    IndexBases,
    Report,
    SourceCount,
    TextCount,
)
from harness.data.webvision.check.texts import count_texts
from harness.data.webvision.lists.classes import Synsets, read_synsets
from harness.data.webvision.lists.columns import (
    is_rearranged,
)
from harness.data.webvision.lists.editions import EDITIONS, Edition, detect_edition
from harness.data.webvision.lists.parse import Listing
from harness.data.webvision.lists.queries import MAP_NAME
from harness.data.webvision.lists.texts import meta_list, read_places
from harness.errors import DataError, unknown
from harness.store.reading import is_there

ALONE = Alone()
EVAL_SPLITS: tuple[EvalName, ...] = ("val", "test")


def check(
    root: Path,
    *,
    edition: str = "auto",
    images: Images = "sample",
    progress: Progress = lambda _what, _done, _whole: None,
    home: Path | None = None,
    ranks: Together = ALONE,
) -> Report:
    """Read every list, the metadata and some or all pictures of the data set at ``root``.

    ``images`` "sample" looks for a spread of 2,000 pictures of each split and decodes 200 of them;
    "all" decodes every picture, "none" no picture. ``progress`` is called with (what, done, in
    all). With "all", digests of the pictures are saved below ``home``. Several ``ranks`` call this
    with equal arguments; each reads the lists and its share of the pictures, and gets a report that
    is complete in rank 0 and differs only in what it says of digests in the others.

    Raises:
        DataError: ``root`` is not a folder or holds no edition of WebVision, or ``edition`` is
            unknown.
    """
    findings = Findings()
    archives: Archives | None = None
    with findings.noting():
        archives = find_archives(root, findings)
    if archives is None and is_indexed(root):
        images = "none"  # the index cannot be read, so a run would stop before reading pictures
    place = lists_root(root, archives)
    known = edition_of(place, edition)
    torn = Disagreements(findings)
    at = Pass(root, place, known, images, progress, findings, torn, archives, home, ranks)
    synsets: Synsets | None = None
    with findings.noting():
        synsets = read_synsets(place, known)
    lists = read_lists(place, known, synsets, findings, progress) if synsets else []
    bases = _compare(at, lists, synsets) if synsets else None
    texts = _count_texts(at, lists)
    eval_splits: list[EvalCount] = []
    pictures: list[ImageCount | None] = []
    with findings.noting():
        pictures += [count_train_images(at, lists)] if lists else []
    for split in EVAL_SPLITS if synsets else ():
        with findings.noting():
            columns, count = check_eval_split(at, split, synsets, lists)
            eval_splits.append(count)
            pictures.append(count_eval_images(at, split, columns))
    return Report(
        root=str(root),
        edition=known.name,
        layout=_layout(at),
        num_classes=len(synsets.wnids) if synsets else 0,
        sources=_count_sources(lists, findings),
        classes=_count_classes(at, lists, synsets) if synsets and lists else (),
        eval_splits=tuple(eval_splits),
        bases=bases,
        disagreements=dict(at.torn),
        texts=tuple(texts),
        images=tuple(count for count in pictures if count),
        archives=_count_archives(at),
        ranks={found.source: np.bincount(found.rank).tolist() for found in lists if found.ranked},
        findings=findings.in_order(),
    )


def _layout(at: Pass) -> str:
    if at.archives:
        return "in indexed archives"
    return "after preprocess.py" if is_rearranged(at.place, at.edition) else "as downloaded"


def _count_archives(at: Pass) -> tuple[ArchiveCount, ...]:
    with at.findings.noting():
        return at.archives.counts() if at.archives else ()
    return ()


def edition_of(root: Path, name: str) -> Edition:
    """Return the edition called ``name``; for "auto", detect it from the lists in ``root``."""
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; name the one that holds info/ of WebVision")
    if name == "auto":
        return detect_edition(root)
    if name not in EDITIONS:
        raise DataError(unknown("edition", name, ("auto", *EDITIONS)))
    return EDITIONS[name]


def read_lists(
    root: Path, edition: Edition, synsets: Synsets, findings: Findings, progress: Progress
) -> list[TrainList]:
    """Read the training list of every source; a list with an error is reported and left out."""
    lists = []
    for number, source in enumerate(edition.source_names):
        progress("lists", number, len(edition.sources))
        with findings.noting():
            lists.append(read_list(root, edition, source, synsets))
    return lists


def _compare(at: Pass, lists: Sequence[TrainList], synsets: Synsets) -> IndexBases | None:
    """Compare the lists of all pictures with the sources' lists, and labels with queries."""
    kept = at.edition.kept
    if kept and len(synsets.wnids) < kept.stop:
        at.findings.add(
            "error",
            f"{synsets.path} has {len(synsets.wnids)} classes, {at.edition.title} needs "
            f"{kept.stop} of WebVision 1.0: name a folder that holds it",
        )
    elif len(synsets.wnids) != at.edition.num_classes:
        at.findings.add(
            "note",
            f"{synsets.path} has {len(synsets.wnids)} classes, {at.edition.title} has "
            f"{at.edition.num_classes}",
        )
    if _is_whole(at.edition, lists):
        with at.findings.noting():
            compare_with_all(at.place, at.edition, lists, at.torn)
    path = at.place / "info" / MAP_NAME
    if not is_there(path):
        at.findings.add("note", f"{path} is missing: labels cannot be compared with their queries")
        return None
    with at.findings.noting():
        return compare_queries(at.place, at.edition, lists, synsets, at.torn)
    return None


def _is_whole(edition: Edition, lists: Sequence[TrainList]) -> bool:
    """Whether the lists of all sources were read, as the organisers wrote them."""
    sources = len(edition.sources)
    return len(lists) == sources > 1 and lists[0].path.name != PREPARED


def _count_sources(lists: Sequence[TrainList], findings: Findings) -> tuple[SourceCount, ...]:
    if not lists:
        return ()
    counts = [count_source(found.source, [found]) for found in lists]
    if len(lists) > 1:
        counts.append(count_source("all", lists))
    whole = counts[-1]
    if whole.files < whole.entries:
        row = int(np.flatnonzero(overwritten_rows(lists))[0])
        for found in lists:
            if row < len(found.label):
                break
            row -= len(found.label)
        findings.add(
            "note",
            f"{whole.entries} entries are {whole.files} files if each class has one folder; "
            f"{whole.entries - whole.files} would be overwritten there, the first by "
            f"{found.where(row)}",
        )
    return tuple(counts)


def _count_classes(
    at: Pass, lists: Sequence[TrainList], synsets: Synsets
) -> tuple[ClassCount, ...]:
    counts = count_classes(lists, synsets, at.edition)
    empty = [known for known in counts if not known.total]
    if empty:
        at.findings.add(
            "error",
            f"{len(empty)} of {len(counts)} classes have no training sample, the first is "
            f"{empty[0].wnid} {empty[0].words}",
        )
    return counts


def _count_texts(at: Pass, lists: Sequence[TrainList]) -> list[TextCount]:
    """Read all metadata of the sources that have a metadata list."""
    counts: list[TextCount] = []
    places: list[Listing] = []
    for found in lists:
        path = meta_list(at.place, found.source)
        if not is_there(path):
            at.findings.add(
                "warning", f"{path} is missing; methods that read texts stop there: unpack info.tar"
            )
            continue
        with at.findings.noting():
            whole = read_places(path, found.entries, at.edition, found.source)
            places.append(whole.take(found.rows))
            step = partial(at.progress, f"texts of {found.source}")
            if at.archives is None:
                counts.append(count_texts(at.root, found, path, places[-1], at.findings, step))
            elif at.archives.current:
                counts += _packed_texts(at, at.archives, found, step)
    if _is_whole(at.edition, lists) and len(places) == len(lists):
        with at.findings.noting():
            compare_meta(at.place, lists, places, at.torn)
    return counts


def _packed_texts(at: Pass, archives: Archives, found: TrainList, step: Step) -> list[TextCount]:
    count = archives.texts(found, step)
    if count:
        return [count]
    text = f"the index has no texts of {found.source}; methods that read texts stop there"
    at.findings.add("warning", text)
    return []
