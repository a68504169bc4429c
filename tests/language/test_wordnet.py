"""The noun net against timm's ImageNet table, scipy's shortest paths and WordNet as printed."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import shortest_path
from timm.data import ImageNetInfo

from harness.data.synthweb.classes import vocabulary
from harness.errors import DataError
from harness.language import wordnet as nouns
from harness.language.wordnet import Nouns, load_nouns

DOG, CANINE, DOMESTIC, WOLF, PUPPY = (
    *("n02084071", "n02083346", "n01317541"),
    *("n02114100", "n01322604"),
)


def table(*rows: tuple[str, str]) -> str:
    """A net of synsets whose hypernyms are given by their last digits."""
    return "\n".join(
        f"n{int(own):08d}\tword {own}\t{' '.join(f'n{int(t):08d}' for t in tops.split())}\tgloss"
        for own, tops in rows
    )


def ids(*numbers: int) -> list[str]:
    return [f"n{number:08d}" for number in numbers]


# 1 is the root of 2, 3 and 4; 5 and 6 are kinds of 2; 7 of 3; 8 of both 3 and 4; 9 of 4.
SMALL = Nouns(
    table(
        *[("1", ""), ("2", "1"), ("3", "1"), ("4", "1"), ("5", "2"), ("6", "2"), ("7", "3")],
        *[("8", "3 4"), ("9", "4")],
    )
)


def test_a_synset_as_wordnet_prints_it():
    dog = load_nouns().synset(DOG)
    assert dog.lemmas == ("dog", "domestic dog", "Canis familiaris")
    assert dog.hypernyms == (CANINE, DOMESTIC)
    assert dog.gloss.startswith("a member of the genus Canis (probably descended from the common")
    assert dog.gloss.endswith('; "the dog barked all night"')


def test_an_instance_has_a_hypernym_too():
    paris = load_nouns().synset("n08932568")
    assert paris.lemmas[0] == "Paris"
    assert "national capital" in load_nouns().synset(paris.hypernyms[0]).lemmas


def test_only_the_root_has_no_hypernym_and_none_is_unknown():
    net = load_nouns()
    assert len(net) == 82_115
    synsets = [net.synset(wnid) for wnid in net.wnids()]
    assert [synset.lemmas for synset in synsets if not synset.hypernyms] == [("entity",)]
    assert all(top in net for synset in synsets for top in synset.hypernyms)
    assert all(synset.gloss and all(synset.lemmas) for synset in synsets)


def test_all_of_imagenet_has_timms_lemmas_and_definitions():
    info, net = ImageNetInfo("imagenet22k"), load_nouns()
    wnids = info.label_names()
    assert len(wnids) == 21_841
    for wnid in wnids:
        synset = net.synset(wnid)
        lemmas, told = ", ".join(synset.lemmas), info.label_name_to_description(wnid, detailed=True)
        assert told.startswith(f"{lemmas}: ")
        definition = told.removeprefix(f"{lemmas}: ")  # without the gloss's examples
        assert synset.gloss.startswith(definition)
        assert synset.gloss.removeprefix(definition).strip(" ;:,")[:1] in ("", '"'), synset


def test_the_vocabulary_of_synthweb_is_wordnets():
    for known in vocabulary(20, 5):
        synset = load_nouns().synset(known.wnid)
        assert (", ".join(synset.lemmas), synset.gloss.partition('; "')[0]) == (
            known.lemmas,
            known.gloss,
        )


@pytest.mark.parametrize("ask", ["synset", "path_lengths", "nearest"])
def test_an_id_of_another_version_is_one_line(ask):
    questions = {
        "synset": lambda: SMALL.synset("n99999999"),
        "path_lengths": lambda: SMALL.path_lengths(["n00000002", "n99999999"]),
        "nearest": lambda: SMALL.nearest(["n99999999", "n00000002"], 1),
    }
    with pytest.raises(DataError, match="such as 'n99999999'; other versions") as raised:
        questions[ask]()
    assert "\n" not in str(raised.value)


def test_path_lengths_by_hand():
    assert SMALL.path_lengths(ids(5, 6, 7, 8, 9)).tolist() == [
        [0, 2, 4, 4, 4],
        [2, 0, 4, 4, 4],
        [4, 4, 0, 2, 4],  # 7 to 9 by 3, 1 and 4, or by 3, 8 and 4
        [4, 4, 2, 0, 2],  # 8 has two hypernyms
        [4, 4, 4, 2, 0],
    ]


def test_a_path_may_go_down_and_up_again():
    """Through a synset with two hypernyms, which no tree has; 4 steps where the root is 6 away."""
    net = Nouns(
        table(("1", ""), ("2", "1"), ("3", "1"), ("4", "2"), ("5", "3"), ("6", "4 5"), ("7", "4"),
              ("8", "5"))
    )  # fmt: skip
    assert net.path_lengths(ids(7, 8))[0, 1] == 4
    assert net.path_lengths(ids(7, 6, 8))[0].tolist() == [0, 2, 4]


def test_nearest_by_hand():
    near = SMALL.nearest(ids(5, 6, 7, 8, 9), 2)
    assert near.tolist() == [[1, 2], [0, 2], [3, 0], [2, 4], [3, 0]]


def test_equally_near_ones_come_by_wnid_whatever_the_order_of_the_classes():
    classes = ids(9, 7, 5, 8, 6)
    near = SMALL.nearest(classes, 4)
    named = {
        classes[row]: [classes[place] for place in places]
        for row, places in enumerate(near.tolist())
    }
    assert named[ids(5)[0]] == ids(6, 7, 8, 9)
    assert named[ids(8)[0]] == ids(7, 9, 5, 6)


@pytest.mark.parametrize(
    ("classes", "count", "shape"), [(3, 9, (3, 2)), (1, 4, (1, 0)), (3, 0, (3, 0))]
)
def test_fewer_others_than_asked_for_are_all_given(classes, count, shape):
    assert SMALL.nearest(ids(5, 6, 7)[:classes], count).shape == shape


def test_no_classes_have_no_neighbours():
    assert SMALL.path_lengths([]).shape == (0, 0)
    assert SMALL.nearest([], 5).shape == (0, 0)


@pytest.fixture(scope="module")
def some_wnids():
    names = ImageNetInfo("imagenet22k").label_names()
    chosen = np.random.default_rng(0).choice(names, 50, replace=False)
    return [DOG, CANINE, DOMESTIC, WOLF, PUPPY, *map(str, chosen)]


def scipys_lengths(wnids):
    """Shortest paths over the whole net, which scipy knows as a graph."""
    net = load_nouns()
    row = {wnid: number for number, wnid in enumerate(net.wnids())}
    edges = np.array([(row[w], row[top]) for w in row for top in net.synset(w).hypernyms])
    graph = csr_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(len(row),) * 2)
    asked = [row[wnid] for wnid in wnids]
    return shortest_path(graph, directed=False, unweighted=True, indices=asked)[:, asked]


def test_path_lengths_are_scipys(some_wnids, monkeypatch):
    lengths = load_nouns().path_lengths(some_wnids)
    np.testing.assert_array_equal(lengths, scipys_lengths(some_wnids))
    assert lengths[0, :5].tolist() == [0, 1, 1, 2, 1]
    monkeypatch.setattr(nouns, "SOURCES_AT_ONCE", 20)
    np.testing.assert_array_equal(load_nouns().path_lengths(some_wnids), lengths)


def test_nearest_is_the_first_by_length_and_wnid(some_wnids, monkeypatch):
    monkeypatch.setattr(nouns, "ROWS_AT_ONCE", 7)
    lengths = load_nouns().path_lengths(some_wnids)
    near = load_nouns().nearest(some_wnids, 5)
    for row, wnid in enumerate(some_wnids):
        others = [(lengths[row, n], some_wnids[n], n) for n in range(len(lengths)) if n != row]
        assert near[row].tolist() == [n for *_, n in sorted(others)[:5]], wnid


def test_wordnets_licence_lies_beside_its_table():
    folder = Path(nouns.__file__).parent
    licence = (folder / "nouns.LICENSE").read_text()
    assert "WordNet 3.0 Copyright 2006 by Princeton University.  All rights reserved." in licence
    assert "provided that you agree to comply" in licence
    packed = (folder / "nouns.tsv.gz").read_bytes()
    assert packed[4:8] == bytes(4)  # no date, so that it is made again byte by byte
    assert len(packed) < 3_400_000
    assert gzip.decompress(packed).count(b"\n") == 82_114
