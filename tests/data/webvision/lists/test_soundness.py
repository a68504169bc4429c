"""What makes scores wrong stops a run with one line, or is said before it begins."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.data.webvision import WebVision1
from harness.data.webvision.check.one_pass import check
from harness.data.webvision.lists.queries import read_queries
from harness.data.webvision.load import _note_once
from harness.errors import DataError
from harness.samples import Samples
from harness.spec import DataSpec, RunSpec

TREE = Path(__file__).parents[2] / "trees" / "webvision1"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the tree with an empty picture at every line of its lists."""
    copy = tmp_path / "webvision"
    shutil.copytree(TREE, copy)
    for name, folder in (("train_filelist_all", ""), ("val_filelist", "val_images_256/")):
        for line in (copy / "info" / f"{name}.txt").read_text().splitlines():
            picture = copy / f"{folder}{line.split()[0]}"
            picture.parent.mkdir(parents=True, exist_ok=True)
            picture.touch()
    _note_once.cache_clear()
    return copy


def load(root: Path, split: str, **options: str) -> Samples:
    spec = RunSpec(plugin="any", data=DataSpec(name="webvision1", path=str(root), options=options))
    return WebVision1().load_samples(spec, split)


def found(root: Path, level: str) -> list[str]:
    report = check(root, images="none")
    return [finding.text for finding in report.findings if finding.level == level]


def write(root: Path, name: str, text: str) -> None:
    (root / "info" / f"{name}.txt").write_text(text)


VAL = "val000001.jpg 2\nval000002.jpg 0\nval000003.jpg 1\nval000004.jpg 2\n"


@pytest.mark.parametrize(
    ("val", "said"),
    [
        (
            VAL + "val000001.jpg 2\n",
            r"line 5: 'val000001.jpg' is listed before, .*1, with the same",
        ),
        (
            VAL + "val000001.jpg 0\n",
            r"line 5: .* line 1, with label 2, here 0; a picture that is s",
        ),
        ("val000001.jpg 1\nval000002.jpg 3\n", r"line 2: label 3 .* counts them from 1, subtract"),
        ("val000001.jpg 0\nval000002.jpg 3\n", r"line 2: label 3 is out of .*, counted from 0$"),
    ],
)
def test_a_val_list_that_makes_scores_wrong_is_refused(root: Path, val: str, said: str) -> None:
    write(root, "val_filelist", val)
    with pytest.raises(DataError, match=said) as caught:
        load(root, "val")
    assert str(caught.value) in found(root, "error")


@pytest.mark.parametrize(
    ("val", "classes"),
    [("val000001.jpg 1\nval000002.jpg 2\n", None), ("val000001.jpg 1\n", "0-1")],
)
def test_labels_that_may_count_from_one_are_a_warning(
    root: Path, capsys: pytest.CaptureFixture[str], val: str, classes: str | None
) -> None:
    # Nothing proves it: the first class's lines may be what is missing.
    write(root, "val_filelist", val)
    options = {} if classes is None else {"classes": classes}
    assert load(root, "val", **options).label.min() == 1
    said = "has no picture in val; if the list counts its labels from 1, all scores are wrong"
    assert capsys.readouterr().err.count(said) == 1
    assert classes or [text for text in found(root, "warning") if said in text]


def test_a_selection_without_the_first_class_says_nothing(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(root, "val_filelist", "val000001.jpg 1\n")
    assert load(root, "val", classes="1").label.tolist() == [0]
    assert capsys.readouterr().err == ""


def test_a_class_without_val_pictures_is_said_once(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(root, "val_filelist", "val000001.jpg 0\nval000003.jpg 1\n")
    for _ in range(2):
        assert len(load(root, "val")) == 2
    said = "1 of 3 classes have no picture in val, the first is n02128925 jaguar"
    assert capsys.readouterr().err.count(said) == 1
    assert [text for text in found(root, "warning") if said in text]


def test_queries_that_count_from_zero_are_refused(root: Path) -> None:
    write(root, "queries_google", "0 tench\n1 goldfish\n2 jaguar\n")
    with pytest.raises(
        DataError, match=r"queries_google\.txt, line 1: query 0; queries count from"
    ):
        read_queries(root)


def relabel(root: Path, step: int) -> None:
    """Shift every label; the vocabulary gets another class at its other end."""
    for source in ("google", "flickr"):
        path = root / "info" / f"train_filelist_{source}.txt"
        rows = [line.rsplit(" ", 1) for line in path.read_text().splitlines()]
        path.write_text("".join(f"{name} {int(label) + step}\n" for name, label in rows))
    synsets = root / "info" / "synsets.txt"
    synsets.write_text(synsets.read_text() + "n01484850 great white shark\n")


def lose_query(root: Path) -> None:
    write(root, "queries_synsets_map", "1 1\n3 3\n")
    write(root, "queries_google", "1 tench\n3 jaguar\n")


def name_val_like_train(root: Path) -> None:
    path = root / "google" / "q0001"
    (path / "3SqzY_kPbLQ1tM.jpg").rename(path / "val000002.jpg")
    listed = root / "info" / "train_filelist_google.txt"
    listed.write_text(listed.read_text().replace("3SqzY_kPbLQ1tM.jpg", "val000002.jpg"))


@pytest.mark.parametrize(
    ("spoil", "level", "said"),
    [
        (lambda root: relabel(root, 1), "error", "counts its labels from one more than"),
        (lose_query, "warning", "queries_synsets_map.txt has no query 2"),
        (lose_query, "warning", "the list of the queries of google has no query 2"),
        (name_val_like_train, "warning", "1 pictures of val are named like a training picture of"),
    ],
)
def test_the_check_finds_lists_that_do_not_fit(
    root: Path, spoil: Callable[[Path], None], level: str, said: str
) -> None:
    assert not [text for text in found(root, level) if said in text]
    spoil(root)
    assert [text for text in found(root, level) if said in text], check(root).findings


def by_wnid(root: Path, count: int) -> Path:
    for wnid in ("n01440764", "n01443537", "n02128925"):
        (root / wnid).mkdir(parents=True)
        for number in range(count):
            (root / wnid / f"{number}.JPEG").touch()
        (root / wnid / "._0.JPEG").touch()
        (root / wnid / "@eaDir.JPEG").mkdir()
    return root


def test_ilsvrc_with_other_than_fifty_of_each_is_said(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = by_wnid(tmp_path / "whole", 50)
    assert len(load(root, "ilsvrc", ilsvrc=str(whole))) == 150
    assert capsys.readouterr().err == ""
    (whole / "n01443537" / "7.JPEG").unlink()
    load(root, "ilsvrc", ilsvrc=str(whole))
    assert "1 of 3 classes do not have the 50 pictures" in capsys.readouterr().err


def test_an_ilsvrc_picture_that_is_listed_twice_is_refused(root: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    (flat / "val.txt").write_text("a.JPEG 0\nb.JPEG 1\nc.JPEG 2\na.JPEG 1\n")
    with pytest.raises(DataError, match=r"val\.txt, line 4: 'a.JPEG' is listed before, .* line 1"):
        load(root, "ilsvrc", ilsvrc=str(flat))
