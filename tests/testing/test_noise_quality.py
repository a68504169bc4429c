"""How well weights tell clean labels from wrong ones, worked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.data.synthweb.truth import TRUTH, true_content, with_true_labels
from harness.errors import DataError
from harness.samples import Samples, Targets, WebClass
from harness.testing.noise_quality import noise_quality, qualities

#         clean  clean  wrong  clean  none   clean  wrong  clean
LABEL = [0, 0, 0, 0, 0, 1, 1, 2]
CONTENT = [0, 0, 1, 0, -1, 1, 2, 2]
WEIGHT = [1.0, 1.0, 0.5, 0.5, 0.5, 1.0, 0.0, 1.0]
SUBSET = [0, 0, 1, 1, 1, 0, 0, -1]


def make(root: Path = Path(), weight=None, subset=None) -> Samples:
    size = len(LABEL)
    return Samples(
        split="train",
        root=root,
        files=np.array([f"{row}.jpg" for row in range(size)]),
        label=np.array(LABEL, np.int32),
        source=np.zeros(size, np.int8),
        query=np.zeros(size, np.int32),
        rank=np.arange(size, dtype=np.int32),
        weight=np.ones(size, np.float32) if weight is None else np.array(weight, np.float32),
        subset=np.zeros(size, np.int8) if subset is None else np.array(subset, np.int8),
        classes=tuple(WebClass(f"n{k}", str(k)) for k in range(4)),
    )


TRUTHS = np.array(CONTENT, np.int32)


def test_by_hand() -> None:
    found = noise_quality("task", make(weight=WEIGHT, subset=SUBSET), TRUTHS)
    assert found.stage == "task"
    assert found.clean == 5 / 8
    assert found.kept == 6 / 8  # the last but one has weight 0, the last was left out
    assert found.precision == pytest.approx(4 / 6)
    assert found.recall == pytest.approx(4 / 5)
    # Clean ones have 1, 1, .5, 1, 0, wrong ones .5, .5, 0: of 15 pairs 10.5 are in order.
    pairs = [(c > w) + 0.5 * (c == w) for c in (1, 1, 0.5, 1, 0) for w in (0.5, 0.5, 0)]
    assert found.auc == pytest.approx(np.mean(pairs))
    # One class of four is the rarest quarter: the one without any entry.
    assert found.rare_clean_lost is None


def test_rare_classes_are_the_quarter_with_the_fewest_entries() -> None:
    samples = make(weight=WEIGHT, subset=SUBSET)
    samples = samples.assign(classes=samples.classes[:3])
    assert noise_quality("task", samples, TRUTHS).rare_clean_lost == 1.0


@pytest.mark.parametrize("content", [LABEL, [-1] * 8], ids=["all clean", "none clean"])
def test_there_is_no_roc_of_one_kind_only(content: list[int]) -> None:
    found = noise_quality("task", make(weight=WEIGHT), np.array(content, np.int32))
    assert found.auc is None
    assert found.clean in (0.0, 1.0)


def test_a_label_that_is_the_only_target_counts_by_its_weight() -> None:
    label = np.array(LABEL, np.int32)[:, None]
    trusted = np.array(WEIGHT, np.float32)[:, None]
    by_target = make().assign(targets=Targets(label, trusted))
    by_weight = make(weight=WEIGHT)
    assert noise_quality("s", by_target, TRUTHS) == noise_quality("s", by_weight, TRUTHS)
    assert [q.stage for q in qualities(make(), {"s": by_target}, TRUTHS)] == ["s"]
    # A pseudo label is another one: its weight does not judge the label found.
    other = make().assign(targets=Targets((label + 1) % 4, trusted))
    assert qualities(make(), {"s": other}, TRUTHS) == []


def test_there_is_no_roc_of_equal_weights_nor_shares_of_nothing() -> None:
    assert noise_quality("task", make(), TRUTHS).auc is None
    nothing = noise_quality("task", make(subset=[-1] * 8), TRUTHS)
    assert (nothing.auc, nothing.kept, nothing.precision, nothing.recall) == (None, 0, None, 0)


def write_truth(root: Path, rows: list[tuple[str, int]]) -> None:
    (root / TRUTH).parent.mkdir(parents=True)
    lines = ["file,truth", *(f"{file},{truth}" for file, truth in rows)]
    (root / TRUTH).write_text("\n".join(lines) + "\n")


def test_only_stages_that_handled_noise_are_scored(tmp_path: Path) -> None:
    write_truth(tmp_path, [(f"{row}.jpg", truth) for row, truth in enumerate(CONTENT)])
    plain = make(tmp_path)
    handled = {
        "initial": plain,
        "weighed": make(tmp_path, weight=WEIGHT),
        "parted": make(tmp_path, subset=SUBSET),
    }
    assert [found.stage for found in qualities(plain, handled, true_content(plain))] == [
        "weighed",
        "parted",
    ]
    np.testing.assert_array_equal(true_content(plain), TRUTHS)


def test_without_a_truth_nothing_is_scored(tmp_path: Path) -> None:
    assert true_content(make(tmp_path)) is None
    assert qualities(make(tmp_path), {"weighed": make(tmp_path, weight=WEIGHT)}, None) == []


def test_a_truth_that_misses_an_entry_is_an_error(tmp_path: Path) -> None:
    write_truth(tmp_path, [("0.jpg", 0)])
    with pytest.raises(DataError, match=r"has no entry for '1.jpg'"):
        true_content(make(tmp_path))


def test_an_oracle_is_trained_on_what_the_pictures_show(tmp_path: Path) -> None:
    write_truth(tmp_path, [(f"{row}.jpg", content) for row, content in enumerate(CONTENT)])
    found = make(tmp_path)
    oracle = with_true_labels(found)
    assert oracle.label.tolist() == [0, 0, 1, 0, 0, 1, 2, 2]
    assert oracle.subset.tolist() == [0, 0, 0, 0, -1, 0, 0, 0]
    assert oracle.fingerprint != found.fingerprint
    with pytest.raises(DataError, match="has no true labels"):
        with_true_labels(make(tmp_path / "elsewhere"))
