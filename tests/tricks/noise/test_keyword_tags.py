from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from harness.errors import PluginError
from harness.samples import Text
from harness.tricks.noise.keyword_tags import KeywordTags, choose_keywords

IMAGES = [
    ["photo", "crane", "lake"],
    ["photo", "crane", "bird", "crane"],
    ["photo", "bird", "lake", "tower"],
    ["photo", "crane"],
    ["zebra"],
    [],
]


def choose(images, *, least_images=1, most_common=0.0, max_keywords=100, per_image=5):
    return choose_keywords(
        images,
        least_images=least_images,
        most_common=most_common,
        max_keywords=max_keywords,
        per_image=per_image,
    )


def words(names, targets):
    return [
        [names[place] for place, weight in zip(*row, strict=True) if weight]
        for row in zip(*targets, strict=True)
    ]


def test_a_small_vocabulary_by_hand():
    """photo is in 4 images, crane in 3, bird and lake in 2, tower and zebra in 1."""
    names, targets = choose(IMAGES)
    assert names == ("photo", "crane", "bird", "lake", "tower", "zebra")
    assert targets.classes[:2, :3].tolist() == [[0, 1, 3], [0, 1, 2]]
    assert targets.weights.tolist()[1] == [1, 1, 1, 0, 0]
    assert words(names, targets) == [[*dict.fromkeys(image)] for image in IMAGES]


def test_the_least_and_the_most_common_are_dropped():
    names, targets = choose(IMAGES, least_images=2, most_common=0.25)  # 1 of 4
    assert names == ("crane", "bird", "lake")
    assert words(names, targets) == [["crane", "lake"], ["crane", "bird"], ["bird", "lake"],
                                     ["crane"], [], []]  # fmt: skip
    assert choose(IMAGES, least_images=2, most_common=0.24)[0][0] == "photo"


def test_only_so_many_keywords_are_kept_and_only_so_many_an_image():
    names, targets = choose(IMAGES, most_common=0.2, max_keywords=3, per_image=1)
    assert names == ("crane", "bird", "lake")  # the alphabet decides
    assert targets.classes.shape == targets.weights.shape == (6, 1)
    assert words(names, targets) == [["crane"], ["crane"], ["bird"], ["crane"], [], []]


def test_the_order_of_the_images_does_not_matter():
    random = np.random.default_rng(0)
    vocabulary = [f"word{number}" for number in range(60)]
    images = [
        [vocabulary[int(place)] for place in random.zipf(1.5, size) if place < 60]
        for size in random.integers(0, 12, 400)
    ]
    order = random.permutation(len(images))
    cuts = {"least_images": 3, "most_common": 0.1, "max_keywords": 20, "per_image": 4}
    names, targets = choose(images, **cuts)
    shuffled_names, shuffled = choose([images[place] for place in order], **cuts)
    assert shuffled_names == names
    np.testing.assert_array_equal(shuffled.classes, targets.classes[order])
    np.testing.assert_array_equal(shuffled.weights, targets.weights[order])

    counts = Counter(word for image in images for word in set(image))
    common = [(-count, word) for word, count in counts.items() if count >= 3]
    kept = [word for _, word in sorted(common)][int(0.1 * len(common)) :][:20]
    assert list(names) == kept
    expected = [[w for w in dict.fromkeys(image) if w in kept][:4] for image in images]
    assert words(names, targets) == expected


TEXTS = [
    Text("crane at the lake", "a photo of a tower", ("crane", "bird")),
    Text("crane", "", ("bird", "photo")),
    Text("", "a beautiful photo of a lake"),
    Text("", "", ("bird", "photo")),
    Text("of the and", "", ()),
    Text("crane", "a photo of a lake", ("bird",)),
]


@pytest.fixture
def told(make_samples):
    return make_samples([0, 0, 1, 1, 2, 2], num_classes=3, read_texts=lambda: TEXTS)


def test_images_are_tagged_by_title_then_tags_then_description(told):
    tagged = KeywordTags(tagger="textblob", least_images=2, most_common=0, per_image=3)(told)
    assert tagged.target_names == ("photo", "bird", "crane", "lake")
    assert tagged.num_outputs == 4
    assert words(tagged.target_names, tagged.targets) == [
        ["crane", "lake", "bird"], ["crane", "bird", "photo"], ["photo", "lake"],
        ["bird", "photo"], [], ["crane", "bird", "photo"],
    ]  # fmt: skip
    assert tagged.subset.tolist() == [0, 0, 0, 0, -1, 0]
    np.testing.assert_array_equal(tagged.label, told.label)
    assert told.targets is None


def test_images_that_were_left_out_stay_out_and_are_not_counted(told):
    first = told.assign(subset=np.array([-1, 1, 0, 0, 0, 0], np.int8))
    tagged = KeywordTags(tagger="textblob", least_images=2, most_common=0)(first)
    assert tagged.target_names == ("photo", "bird", "crane", "lake")
    assert tagged.subset.tolist() == [-1, 1, 0, 0, -1, 0]
    assert not tagged.targets.weights[0].any()
    assert KeywordTags(tagger="textblob", least_images=4)(first).target_names == ("photo",)


def test_without_a_keyword_one_line_says_why(make_samples):
    with pytest.raises(PluginError, match="in 5 or more of the 2 texts; lower least_images"):
        KeywordTags(tagger="textblob")(make_samples([0, 1]))


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"least_images": 0}, "least_images must be an int > 0, got 0"),
        ({"max_keywords": 0}, "max_keywords must be an int > 0, got 0"),
        ({"per_image": 0}, "per_image must be an int > 0, got 0"),
        ({"most_common": 1.0}, r"most_common must be in \[0, 1\), got 1.0"),
        ({"most_common": float("nan")}, r"most_common must be in \[0, 1\), got nan"),
    ],
)
def test_bad_cut_offs_are_refused(bad, said):
    with pytest.raises(PluginError, match=said):
        KeywordTags(tagger="textblob", **bad)
