"""Two sides image by image: worked by hand, held to scipy's tests, and refused."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from harness.assembly.activation import Activation
from harness.errors import HarnessError
from harness.scores import PLAIN
from harness.spec import DataSpec, RunSpec
from harness.statistics.paired import mcnemar
from harness.store.record import Data, ResultRecord
from harness.studies.class_names import class_names
from harness.studies.comparison import Side, compare_runs
from harness.studies.pairs import Run
from harness.studies.plots import draw_comparison

Keep = Callable[..., Run]


@pytest.fixture
def keep(tmp_path: Path, small_record: ResultRecord) -> Keep:
    """Keep a record whose predictions are right where ``right`` says, under the plain view."""

    def kept(
        name: str,
        right: Sequence[bool],
        labels: Sequence[int],
        *,
        seed: int = 0,
        files: Sequence[str] | None = None,
        split: str = "test",
        **data: Any,
    ) -> Run:
        label = np.asarray(labels, np.int32)
        others = label[:, None] + np.arange(1, 6)
        others[np.asarray(right, bool), 0] = label[np.asarray(right, bool)]
        buffer = io.BytesIO()
        names = [f"{n}.jpg" for n in range(len(label))] if files is None else list(files)
        np.savez(buffer, files=np.array(names), labels=label, classes=others.astype(np.int32))
        record = small_record.model_copy(
            update={
                "id": f"{name}-seed{seed}",
                "seed": seed,
                "data": small_record.data.model_copy(update=data),
                "scores": (
                    small_record.scores[0].model_copy(
                        update={
                            "split": split,
                            "protocol": PLAIN,
                            "predictions_sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
                        }
                    ),
                ),
            }
        )
        path = tmp_path / "records" / record.id / f"{split}-1-view-last.npz"
        path.parent.mkdir(parents=True)
        path.write_bytes(buffer.getvalue())
        return Run(record, tmp_path)

    return kept


LABELS = [0, 0, 0, 0, 1, 1, 2, 2]
BEFORE = [0, 0, 0, 1, 1, 1, 1, 0]
AFTER = [1, 1, 0, 1, 0, 1, 0, 1]


def test_one_seed_by_hand(keep: Keep) -> None:
    before, after = keep("old", BEFORE, LABELS), keep("new", AFTER, LABELS)
    found = compare_runs(
        Side("old", (before,)), Side("new", (after,)), names=("tench", "crane", "egret")
    )
    assert (found.split, found.protocol, found.images) == ("test", "1 view", 8)
    assert (found.improved, found.reduced, found.unchanged) == (1, 1, 1)
    assert found.pairs == ((((0, 0), 4 / 8, 5 / 8, 3, 2, 1.0)),)
    assert found.difference.estimate == pytest.approx(1 / 8)
    tench, crane, egret = found.categories
    assert (tench.name, tench.images, tench.before, tench.after) == ("tench", 4, 1 / 4, 3 / 4)
    assert (tench.difference, tench.gained, tench.lost) == (1 / 2, 2, 0)
    assert tench.p_value == mcnemar(2, 0) == 0.5
    assert (crane.difference, egret.difference) == (-1 / 2, 0)
    assert found.top(5, positive=True) == (tench,)
    assert found.top(5, positive=False) == (crane,)
    assert found.top(0, positive=True) == ()


def test_the_categories_of_one_seed_are_scipys_tests_on_counts(keep: Keep) -> None:
    random = np.random.default_rng(0)
    labels = random.integers(7, size=200)
    before, after = random.random((2, 200)) < 0.5
    found = compare_runs(
        Side("old", (keep("old", before, labels),)), Side("new", (keep("new", after, labels),))
    )
    p_values = []
    for own in found.categories:
        old, new = before[labels == own.label], after[labels == own.label]
        assert (own.images, own.gained, own.lost) == (
            len(old), (new & ~old).sum(), (old & ~new).sum(),
        )  # fmt: skip
        changed = stats.binomtest(own.gained, own.gained + own.lost)
        assert own.p_value == pytest.approx(changed.pvalue)
        p_values.append(own.p_value)
        bootstrap = stats.bootstrap(
            (new.astype(int) - old.astype(int),), np.mean, method="percentile", rng=random
        ).confidence_interval
        assert (own.low, own.high) == pytest.approx((bootstrap.low, bootstrap.high), abs=0.08)
    assert [own.q_value for own in found.categories] == pytest.approx(
        stats.false_discovery_control(p_values)
    )
    differences = [own.difference for own in found.categories]
    assert found.improved == sum(difference > 0 for difference in differences)
    assert found.reduced == sum(difference < 0 for difference in differences)
    assert found.improved + found.reduced + found.unchanged == 7
    assert [one.difference for one in found.top(3, positive=True)] == sorted(
        (d for d in differences if d > 0), reverse=True
    )[:3]


def test_seeds_are_joined_image_by_image(keep: Keep) -> None:
    # Of three seeds only 1 and 2 are shared. Image 0 gains in one of them, image 1 gains in one
    # and loses in the other, image 2 loses in both.
    labels = [0, 0, 1, 1]
    before = [
        keep("old", [0, 0, 0, 0], labels, seed=0),
        keep("old", [0, 0, 1, 1], labels, seed=1),
        keep("old", [0, 1, 1, 1], labels, seed=2),
    ]
    after = [
        keep("new", [0, 1, 0, 1], labels, seed=1),
        keep("new", [1, 0, 0, 1], labels, seed=2),
        keep("new", [1, 1, 1, 1], labels, seed=3),
    ]
    found = compare_runs(Side("old", tuple(before)), Side("new", tuple(after)))
    assert [pair.seeds for pair in found.pairs] == [(1, 1), (2, 2)]
    first, second = found.categories
    assert (first.difference, first.gained, first.lost) == (1 / 4, 1, 0)
    assert (second.difference, second.gained, second.lost) == (-1 / 2, 0, 1)
    assert (second.low, second.high) == (-1.0, 0.0)
    assert found.difference.estimate == pytest.approx(-1 / 8)
    assert found.difference.seeds == 2


def test_single_runs_need_no_common_seed_but_methods_do(keep: Keep) -> None:
    zero, one, two = (keep("m", AFTER, LABELS, seed=seed) for seed in range(3))
    found = compare_runs(Side("a", (zero,)), Side("b", (one,)))
    assert found.pairs[0].seeds == (0, 1)
    assert found.unchanged == 3
    with pytest.raises(HarnessError, match=r"'a' \(seeds 0, 1\) and 'b' \(seeds 2\) share no seed"):
        compare_runs(Side("a", (zero, one)), Side("b", (two,)))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"edition": "other v1"}, "ran on synthweb-tiny v1, new-seed0 on other v1"),
        ({"fingerprint": "x" * 20}, "different copies of synthweb-tiny v1 .* fingerprint f, new-s"),
        ({"split": "val"}, "unknown score 'test, 1 view'; both runs have: nothing"),
        ({"tested": {"test": "x"}}, "scored on different images or labels of test; run one"),
        ({"files": [f"{n}.png" for n in range(8)]}, "scored on different images"),
    ],
)
def test_what_cannot_be_compared_is_one_line(keep: Keep, changed: dict, words: str) -> None:
    before, after = keep("old", BEFORE, LABELS), keep("new", AFTER, LABELS, **changed)
    with pytest.raises(HarnessError, match=words) as error:
        compare_runs(Side("old", (before,)), Side("new", (after,)))
    assert "\n" not in str(error.value)


def test_the_split_is_the_first_that_both_have(keep: Keep) -> None:
    sides = [Side(n, (keep(n, AFTER, LABELS, split="val"),)) for n in ("old", "new")]
    assert compare_runs(*sides).split == "val"
    assert compare_runs(*sides, split="val").split == "val"
    with pytest.raises(HarnessError, match="'test, 1 view'; did you mean 'val, 1 view'"):
        compare_runs(*sides, split="test")


def test_class_names_are_those_of_this_very_copy(tiny_home: Path) -> None:
    spec = RunSpec(plugin="baseline", data=DataSpec(name="synthweb", path="tiny"), home=tiny_home)
    samples = Activation(spec).hooks.load_samples(spec, "train")
    data = Data(
        plugin="synthweb",
        edition="synthweb-tiny v1",
        fingerprint=samples.fingerprint,
        classes=6,
        train_samples=300,
    )
    assert class_names(data, tiny_home)[1:3] == ("flamingo", "American egret")
    assert class_names(data.model_copy(update={"fingerprint": "x"}), tiny_home) == ()
    assert class_names(data, tiny_home / "nowhere") == ()


@pytest.mark.parametrize("form", ["svg", "png"])
def test_the_same_comparison_is_the_same_picture(keep: Keep, tmp_path: Path, form: str) -> None:
    pytest.importorskip("matplotlib")
    sides = [Side(n, (keep(n, r, LABELS),)) for n, r in (("$old_", BEFORE), ("new", AFTER))]
    found = compare_runs(*sides, names=("a $tench", "crane", "egret"))
    pictures = [tmp_path / f"{number}.{form}" for number in range(2)]
    for picture in pictures:
        draw_comparison(found, picture)
    assert pictures[0].read_bytes() == pictures[1].read_bytes()
    if form == "svg":
        text = pictures[0].read_text()
        assert "Categories: 1 improved, 1 reduced, 1 unchanged" in text
        assert "a $tench (0)" in text


def test_a_comparison_without_any_change_is_drawn_too(keep: Keep, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    sides = [Side(n, (keep(n, AFTER, LABELS),)) for n in ("old", "new")]
    draw_comparison(compare_runs(*sides), tmp_path / "same.svg")
    assert (tmp_path / "same.svg").stat().st_size > 1_000
