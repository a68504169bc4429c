"""Plans a crawl: the entries that each query returns, and what their pictures show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from harness.data.synthweb.classes import DrawnClass, vocabulary
from harness.data.synthweb.others import OUTSIDE
from harness.data.synthweb.scenes import Picture

Kind = Literal["clean", "confused", "outside", "second_sense"]
Source = Literal["google", "flickr"]

SOURCES: tuple[Source, ...] = ("google", "flickr")
GOOGLE_SHARE = 0.45
# Size of the largest class over the smallest; at least 30 is wanted.
IMBALANCE = 33
# Share of entries that do not show the class, on average over ranks.
WRONG = {"google": 0.22, "flickr": 0.39}
# Share of those that show none of the classes; the rest show a class of the same group.
OUTSIDE_SHARE = 0.25
# Share of those in the same group that show one fixed neighbour.
NEIGHBOUR_SHARE = 0.75
DUPLICATES = 0.06
LEAST_CLEAN = 2
CLEAN_PER_CLASS = 10  # pictures of the split "clean"
QUERY_SHARES = (0.5, 0.3, 0.2)
CLEAN_STREAM = 5  # of random numbers; the crawl, its pictures, val, test and texts have 0 to 4


@dataclass(frozen=True, kw_only=True)
class Preset:
    """How much is drawn: ``groups`` groups of ``per_group`` classes, images per split."""

    groups: int
    per_group: int
    train: int
    val: int
    test: int

    @property
    def images(self) -> int:
        """All pictures of the three splits."""
        return self.train + self.val + self.test


class Query(NamedTuple):
    """A search: its words, and the label of its results."""

    words: str
    label: int


class Entry(NamedTuple):
    """One line of a query's results. ``truth`` is -1 if the picture shows none of the classes."""

    source: Source
    query: int
    name: str
    label: int
    truth: int
    kind: Kind
    picture: Picture

    @property
    def file(self) -> str:
        """The picture's path, relative to the root."""
        return f"{self.source}/q{self.query + 1:04d}/{self.name}.jpg"


class EvalImage(NamedTuple):
    """One picture of val or test, with its true label."""

    file: str
    label: int
    picture: Picture


@dataclass(frozen=True, kw_only=True)
class Crawl:
    """The whole data set before anything is drawn; entries by source, query and rank."""

    classes: tuple[DrawnClass, ...]
    queries: tuple[Query, ...]
    train: tuple[Entry, ...]
    val: tuple[EvalImage, ...]
    test: tuple[EvalImage, ...]


def plan_crawl(preset: Preset, seed: int) -> Crawl:
    """Plan everything that depends on ``seed``, without drawing."""
    classes = vocabulary(preset.groups, preset.per_group)
    queries = tuple(
        Query(words, label) for label, cls in enumerate(classes) for words in _searches(cls)
    )
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, 0))))
    sizes = _long_tail(preset.train, len(classes), rng)
    train: list[Entry] = []
    for label, size in enumerate(sizes):
        own = [number for number, query in enumerate(queries) if query.label == label]
        train += _entries(classes, label, own, size, rng, first=len(train), seed=seed)
    train = _list_twice(train, rng)
    train.sort(key=lambda entry: (SOURCES.index(entry.source), entry.query))
    return Crawl(
        classes=classes,
        queries=queries,
        train=tuple(train),
        val=_plan_eval("val", classes, preset.val, seed),
        test=_plan_eval("test", classes, preset.test, seed),
    )


def plan_clean(preset: Preset, seed: int) -> Crawl:
    """Plan the split "clean" of the crawl of this ``seed``: its pictures are in ``val``.

    New pictures as the web draws them, from Google and Flickr in the crawl's shares, all with the
    right label; ``CLEAN_PER_CLASS`` of each class. Nothing else of the crawl changes.
    """
    classes = vocabulary(preset.groups, preset.per_group)
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, CLEAN_STREAM))))
    labels = rng.permutation(np.repeat(np.arange(len(classes)), CLEAN_PER_CLASS))
    pictures = []
    for number, label in enumerate(labels):
        thing = (classes[label].group, classes[label].member)
        source = SOURCES[int(rng.random() >= GOOGLE_SHARE)]
        picture = Picture(thing, source, (seed, CLEAN_STREAM, number))
        pictures.append(EvalImage(f"clean{number + 1:06d}.jpg", int(label), picture))
    return Crawl(classes=classes, queries=(), train=(), val=tuple(pictures), test=())


def _searches(cls: DrawnClass) -> list[str]:
    """The words typed for a class: its name, its name with a word beside it, its second name."""
    names = [lemma.replace(" ", "+") for lemma in cls.lemmas.split(", ")[:2]]
    parent = cls.parent.replace(" ", "+")
    return [names[0], f"{names[0]}+{parent}", *names[1:]]


def _long_tail(total: int, num_classes: int, rng: np.random.Generator) -> list[int]:
    """Split ``total`` into geometrically falling class sizes, assigned to classes at random."""
    shares = IMBALANCE ** -np.linspace(0, 1, num_classes)
    sizes = np.floor(total * shares / shares.sum()).astype(int)
    sizes[0] += total - sizes.sum()
    return [int(size) for size in rng.permutation(sizes)]


def _entries(  # noqa: PLR0913 - what one class's results depend on
    classes: tuple[DrawnClass, ...],
    label: int,
    queries: list[int],
    size: int,
    rng: np.random.Generator,
    *,
    first: int,
    seed: int,
) -> list[Entry]:
    """All results for one class, query by query, best ranked first."""
    shares = np.array(QUERY_SHARES[: len(queries)])
    from_google = int(rng.binomial(size, GOOGLE_SHARE))
    found: list[Entry] = []
    for source, part in zip(SOURCES, (from_google, size - from_google), strict=True):
        for query, count in zip(queries, rng.multinomial(part, shares / shares.sum()), strict=True):
            for rank in range(int(count)):
                truth, kind, thing = _shown(classes, label, source, rank / count, rng)
                picture = Picture(thing, source, (seed, 1, first + len(found)))
                name = _name(source, rng)
                found.append(Entry(source, query, name, label, truth, kind, picture))
    return _with_some_clean(found, classes[label])


def _with_some_clean(found: list[Entry], cls: DrawnClass) -> list[Entry]:
    """Make every class learnable: if too few results show it, change the first wrong ones."""
    lacking = LEAST_CLEAN - sum(entry.kind == "clean" for entry in found)
    wrong = [place for place, entry in enumerate(found) if entry.kind != "clean"]
    for place in wrong[: max(lacking, 0)]:
        entry = found[place]
        shown = entry.picture._replace(thing=(cls.group, cls.member))
        found[place] = entry._replace(truth=entry.label, kind="clean", picture=shown)
    return found


def _shown(
    classes: tuple[DrawnClass, ...],
    label: int,
    source: Source,
    depth: float,
    rng: np.random.Generator,
) -> tuple[int, Kind, tuple[int, int] | str]:
    """Draw what a result at ``depth`` (0: top of the list, 1: its end) shows."""
    cls = classes[label]
    if rng.random() < cls.other_share:
        return -1, "second_sense", cls.other_sense
    if rng.random() >= WRONG[source] * (0.4 + 1.2 * depth):
        return label, "clean", (cls.group, cls.member)
    if rng.random() < OUTSIDE_SHARE:
        return -1, "outside", str(rng.choice(list(OUTSIDE)))
    truth = _confused_with(classes, label, rng)
    return truth, "confused", (classes[truth].group, classes[truth].member)


def _confused_with(classes: tuple[DrawnClass, ...], label: int, rng: np.random.Generator) -> int:
    """Another class of the same group, mostly the next one (a search for tench finds carp)."""
    group = [number for number, cls in enumerate(classes) if cls.group == classes[label].group]
    place = group.index(label)
    if rng.random() < NEIGHBOUR_SHARE:
        return group[(place + 1) % len(group)]
    return int(rng.choice([number for number in group if number != label]))


def _list_twice(entries: list[Entry], rng: np.random.Generator) -> list[Entry]:
    """Replace some results by files of another query, of the same class or another."""
    alike: dict[tuple[Source, tuple[int, int] | str], list[Entry]] = {}
    for entry in entries:
        alike.setdefault((entry.source, entry.picture.thing), []).append(entry)
    listed = list(entries)
    taken = {(entry.source, entry.query, entry.name) for entry in entries}
    for place in rng.choice(len(entries), round(DUPLICATES * len(entries)), replace=False):
        entry = entries[place]
        same = alike[entry.source, entry.picture.thing]
        for number in rng.integers(len(same), size=8):
            other = same[number]
            key = (entry.source, entry.query, other.name)
            if other.query != entry.query and key not in taken:
                taken.add(key)
                listed[place] = entry._replace(name=other.name, picture=other.picture)
                break
    return listed


def _plan_eval(
    split: Literal["val", "test"], classes: tuple[DrawnClass, ...], total: int, seed: int
) -> tuple[EvalImage, ...]:
    """Plan ``total`` pictures in random order, with equal numbers of every class."""
    stream = 2 if split == "val" else 3
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, stream))))
    labels = rng.permutation(np.arange(total) % len(classes))
    return tuple(
        EvalImage(
            f"{split}{number + 1:06d}.jpg",
            int(label),
            Picture((classes[label].group, classes[label].member), "eval", (seed, stream, number)),
        )
        for number, label in enumerate(labels)
    )


def _name(source: Source, rng: np.random.Generator) -> str:
    """A file name like a search engine's: 14 characters, or Flickr's photo number."""
    if source == "flickr":
        return str(rng.integers(10**9, 10**10))
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return "".join(letters[place] for place in rng.integers(len(letters), size=14))
