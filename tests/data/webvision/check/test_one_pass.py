"""The check of a data set: every figure worked out by hand on small trees, every fault found."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.data.webvision.check import images
from harness.data.webvision.check.images import variant_of
from harness.data.webvision.check.names import hash_names
from harness.data.webvision.check.one_pass import check
from harness.data.webvision.check.report import Report
from harness.errors import DataError

TREES = Path(__file__).parents[2] / "trees"


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """WebVision 1.0's tree with a small picture for every line."""
    return with_pictures("webvision1", tmp_path, "val_images_256")


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """WebVision 2.0's tree with a small picture for every line."""
    return with_pictures("webvision2", tmp_path, "val_images_resized")


def with_pictures(tree: str, tmp_path: Path, val: str) -> Path:
    root = tmp_path / tree
    shutil.copytree(TREES / tree, root)
    names = [line.split()[0] for line in lines(root / "info" / "train_filelist_all.txt")]
    names += [f"{val}/{line.split()[0]}" for line in lines(root / "info" / "val_filelist.txt")]
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (300, 256)).save(root / name, "JPEG")
    return root


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def edit(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))


def said(report: Report, level: str) -> list[str]:
    return [finding.text for finding in report.findings if finding.level == level]


def test_a_sound_set_has_no_complaint(first: Path) -> None:
    report = check(first)
    assert said(report, "error") == said(report, "warning") == []
    assert not report.stops_a_run
    assert report.edition == "webvision1"
    assert report.disagreements == {}
    assert [(c.source, c.entries, c.files, c.shared_names) for c in report.sources] == [
        ("google", 5, 5, 1),
        ("flickr", 4, 4, 0),
        ("all", 9, 9, 1),
    ]
    assert [c.entries for c in report.classes] == [
        {"google": 2, "flickr": 1},
        {"google": 1, "flickr": 1},
        {"google": 2, "flickr": 2},
    ]
    assert report.imbalance == 2.0
    assert report.ranks == {"google": [3, 2], "flickr": [3, 1]}
    assert [(c.split, c.entries, c.labelled) for c in report.eval_splits] == [
        ("val", 4, True),
        ("test", 2, False),
    ]
    assert report.bases is not None
    assert (report.bases.query, report.bases.synset) == (1, 1)
    assert [(c.split, c.missing, c.decoded, c.variant) for c in report.images] == [
        ("train", 0, 9, "short side 256"),
        ("val", 0, 4, "short side 256"),
    ]


def test_text_shares_are_per_source(first: Path) -> None:
    google, flickr = check(first, images="none").texts
    assert (google.title, google.description, google.tags) == (0.4, 0.4, 0.0)
    assert (flickr.title, flickr.description, flickr.tags) == (0.75, 0.25, 0.5)
    assert google.position_base == flickr.position_base == 1
    assert google.other_ids == flickr.other_ids == 0


def test_the_second_edition_counts_its_collisions(second: Path) -> None:
    report = check(second)
    assert not report.stops_a_run
    assert report.edition == "webvision2"
    assert [(c.source, c.entries, c.files, c.shared_names) for c in report.sources] == [
        ("google", 5, 4, 1),
        ("flickr", 4, 4, 1),
        ("all", 9, 8, 2),
    ]
    assert report.classes[0].files == 3
    assert report.bases is not None
    assert (report.bases.query, report.bases.synset, report.bases.synset_told_by) == (1, 0, "min 0")
    assert any(
        "1 would be overwritten there, the first by" in note for note in said(report, "note")
    )
    assert any("train_filelist_google.txt, line 2" in note for note in said(report, "note"))


def test_the_same_path_twice_is_a_repeated_line(first: Path) -> None:
    path = first / "info" / "train_filelist_flickr.txt"
    path.write_text(path.read_text() + "flickr/q0002/51120034.jpg 1\n")
    flickr = check(first, images="none").sources[1]
    assert (flickr.entries, flickr.files, flickr.repeated_lines) == (5, 4, 1)


def test_after_preprocessing_the_line_is_still_found() -> None:
    report = check(TREES / "webvision2_prepared", images="none")
    assert report.layout == "after preprocess.py"
    assert not report.stops_a_run
    assert [c.entries for c in report.sources] == [5, 4, 9]
    assert any("meta/train.txt, line 6" in note for note in said(report, "note"))
    assert report.ranks == {}
    assert report.bases is None
    assert len(said(report, "warning")) == 2  # no metadata lists


def test_the_mini_set_counts_its_part(tmp_path: Path) -> None:
    (tmp_path / "info").mkdir()
    listed = {
        "synsets": "".join(f"n{k:08d} class {k}\n" for k in range(60)),
        "train_filelist_google": "".join(f"google/q{k + 1:04d}/a.jpg {k}\n" for k in range(60)),
        "val_filelist": "".join(f"val{k + 1:06d}.jpg {k}\n" for k in range(60)),
    }
    for name, text in listed.items():
        (tmp_path / "info" / f"{name}.txt").write_text(text)
    report = check(tmp_path, edition="mini-webvision", images="none")
    assert not report.stops_a_run
    assert [(c.source, c.entries, c.shared_names) for c in report.sources] == [("google", 50, 1)]
    assert len(report.classes) == 50
    assert [(c.split, c.entries) for c in report.eval_splits] == [("val", 50), ("test", 0)]


def break_list(root: Path) -> None:
    edit(root / "info" / "train_filelist_flickr.txt", "882915.jpg 2", "882915.jpg two")


def break_label(root: Path) -> None:
    edit(root / "info" / "train_filelist_google.txt", "3Sqz", "../3Sqz")


def break_synsets(root: Path) -> None:
    (root / "info" / "synsets.txt").unlink()


def break_val(root: Path) -> None:
    edit(root / "info" / "val_filelist.txt", "val000003.jpg 1", "val000003.jpg 3")


def break_map(root: Path) -> None:
    edit(root / "info" / "queries_synsets_map.txt", "1 1", "1 0")


def break_queries(root: Path) -> None:
    (root / "info" / "queries_flickr.txt").unlink()


def empty_class(root: Path) -> None:
    for source in ("google", "flickr"):
        path = root / "info" / f"train_filelist_{source}.txt"
        edit(path, ".jpg 1\n", ".jpg 0\n")


def break_json(root: Path) -> None:
    (root / "google" / "q0003.json").write_text('[{"id": ')


def lose_json(root: Path) -> None:
    (root / "flickr" / "q0002.json").unlink()


def shorten_json(root: Path) -> None:
    (root / "flickr" / "q0003.json").write_text('[{"id": "882915"}]')


def shorten_meta_list(root: Path) -> None:
    edit(root / "info" / "train_meta_list_google.txt", "google/q0002.json 1\n", "")


def count_from_zero(root: Path) -> None:
    path = root / "info" / "train_meta_list_google.txt"
    places = ((1, 1), (1, 2), (3, 0), (2, 0), (3, 1))
    path.write_text("".join(f"google/q000{query}.json {place}\n" for query, place in places))


def lose_train_pictures(root: Path) -> None:
    (root / "google/q0002/fO-sCvBzZnJH5M.jpg").unlink()


def break_val_picture(root: Path) -> None:
    path = root / "val_images_256" / "val000002.jpg"
    path.write_bytes(path.read_bytes()[:-60])


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (
            break_list,
            "train_filelist_flickr.txt, line 3: 'flickr/q0003/882915.jpg two' is not like",
        ),
        (break_label, "train_filelist_google.txt, line 2: 'google/q0001/../3Sqz"),
        (break_synsets, "synsets.txt is missing: WebVision 1.0 is laid out as"),
        (break_val, "val_filelist.txt, line 3: label 3 is out of range"),
        (break_map, "queries_synsets_map.txt, line 3: synset 3 contradicts line 1"),
        (break_queries, "queries_flickr.txt is missing"),
        (empty_class, "1 of 3 classes have no training sample, the first is n01443537 goldfish"),
        (break_json, "google/q0003.json is not JSON"),
        (lose_json, "flickr/q0002.json is missing"),
        (
            shorten_json,
            "train_meta_list_flickr.txt, line 2: q0003.json 3 points outside the file's 1",
        ),
        (
            shorten_meta_list,
            "train_meta_list_google.txt has 4 lines, train_filelist_google.txt has 5",
        ),
        (count_from_zero, "train_meta_list_google.txt counts its positions from 0, not from 1"),
        (
            lose_train_pictures,
            "train_filelist_google.txt, line 4: google/q0002/fO-sCvBzZnJH5M.jpg is mi",
        ),
        (
            break_val_picture,
            "val_filelist.txt, line 2: val_images_256/val000002.jpg cannot be decoded: ",
        ),
    ],
)
def test_what_would_stop_a_run_is_named(
    first: Path, spoil: Callable[[Path], None], expected: str
) -> None:
    spoil(first)
    report = check(first)
    assert report.stops_a_run
    assert any(expected in text for text in said(report, "error")), report.findings
    assert not any("\n" in finding.text for finding in report.findings)
    json.dumps(report.as_json())


def lacking(root: Path) -> None:
    edit(root / "info" / "train_filelist_all.txt", "google/q0003/Bn8fYQz-a0x1oM.jpg 2\n", "")


def added(root: Path) -> None:
    path = root / "info" / "train_filelist_all.txt"
    edit(path, "google/q0002/fO", "google/q0002/new.jpg 0\ngoogle/q0002/fO")


def relabelled(root: Path) -> None:
    edit(root / "info" / "train_filelist_all.txt", "2680197397.jpg 0", "2680197397.jpg 2")


def other_query(root: Path) -> None:
    edit(root / "info" / "train_filelist_google.txt", "M.jpg 1", "M.jpg 0")


def other_meta(root: Path) -> None:
    edit(root / "info" / "train_meta_list_google.txt", "q0003.json 1", "q0001.json 1")


@pytest.mark.parametrize(
    ("spoil", "kinds", "expected"),
    [
        (
            lacking,
            {"filelist_all_lacks": 1},
            "google.txt, line 3: train_filelist_all.txt has no such",
        ),
        (
            added,
            {"filelist_all_only": 1},
            "train_filelist_all.txt, line 4: no source's list has",
        ),
        (
            relabelled,
            {"filelist_all_other_label": 1},
            "train_filelist_all.txt, line 6: label 2, but the",
        ),
        (
            other_query,
            {"filelist_all_other_label": 1, "query_map_other_label": 1},
            "google.txt, line 4: label 0, but queries_synsets_map.txt gives query 2 to class 1",
        ),
        (
            other_meta,
            {"meta_list_other_query": 1, "meta_list_all_only": 1, "meta_list_all_lacks": 1},
            "train_meta_list_google.txt, line 3: query 1, the picture's is 3",
        ),
    ],
)
def test_lines_that_disagree_between_lists_are_counted(
    first: Path, spoil: Callable[[Path], None], kinds: dict[str, int], expected: str
) -> None:
    spoil(first)
    report = check(first, images="none")
    assert report.disagreements == kinds
    assert any(expected in text for text in said(report, "warning")), report.findings


def test_the_list_of_all_may_have_another_order(first: Path) -> None:
    path = first / "info" / "train_filelist_all.txt"
    path.write_text("\n".join(reversed(lines(path))) + "\n")
    assert check(first, images="none").disagreements == {}


def test_no_metadata_at_all_is_a_warning(first: Path) -> None:
    for path in [*first.glob("google/*.json"), *first.glob("flickr/*.json")]:
        path.unlink()
    report = check(first, images="none")
    assert not report.stops_a_run
    assert ["so are all 3 of google" in text for text in said(report, "warning")] == [True, False]


def test_a_text_of_another_picture_is_a_warning(first: Path) -> None:
    edit(first / "google" / "q0003.json", "Bn8fYQz-a0x1oM", "other")
    report = check(first, images="none")
    assert report.texts[0].other_ids == 1
    assert said(report, "warning") == ["texts of google: 1 pictures have the text of another id"]


def test_without_a_map_nothing_stops(first: Path) -> None:
    (first / "info" / "queries_synsets_map.txt").unlink()
    report = check(first, images="none")
    assert not report.stops_a_run
    assert report.bases is None


def test_pictures_of_both_sizes_are_told(first: Path) -> None:
    for path in first.glob("*/q0001/*.jpg"):
        Image.new("RGB", (500, 375)).save(path, "JPEG")
    report = check(first, images="all")
    assert report.images[0].variant == "mixed: 6 of 9 have short side 256"
    assert any("mixed" in text for text in said(report, "warning"))


def test_variants() -> None:
    assert variant_of(Counter()) == "unknown"
    assert variant_of(Counter({256: 99, 255: 1})) == "short side 256"
    assert variant_of(Counter({64: 5})) == "short side 64"
    assert variant_of(Counter({375: 9, 500: 9, 333: 9})) == "original"


def test_a_sample_is_a_spread(first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "LOOK_FOR", 4)
    monkeypatch.setattr(images, "DECODE", 2)
    (first / "google/q0001/fO-sCvBzZnJH5M.jpg").write_bytes(b"no picture")
    train = check(first).images[0]
    assert (train.listed, train.looked_for, train.decoded, train.unreadable) == (9, 4, 2, 1)
    assert check(first, images="all").images[0].looked_for == 9


def test_steps_are_told(first: Path) -> None:
    told: list[tuple[str, int, int]] = []
    check(first, progress=lambda *step: told.append(step))
    assert ("texts of google", 3, 3) in told
    assert ("pictures of train", 9, 9) in told


def test_an_unknown_edition_is_refused(first: Path) -> None:
    with pytest.raises(DataError, match="unknown edition 'webvision3'; did you mean 'webvision"):
        check(first, edition="webvision3")


def test_names_of_any_length_are_hashed_alike() -> None:
    short = hash_names(np.array([b"a/x.jpg", b"b/x.jpg"]), only_base=True)
    wide = hash_names(np.array([b"x.jpg", b"a/b/c/d/e/y.jpg", b"x.jp"]), only_base=True)
    assert short[0] == short[1] == wide[0]
    assert len({*wide.tolist()}) == 3
    assert hash_names(np.array([b"a/x.jpg"]))[0] != hash_names(np.array([b"b/x.jpg"]))[0]


def test_the_mini_set_needs_fifty_classes(first: Path) -> None:
    report = check(first, edition="mini-webvision", images="none")
    assert any("has 3 classes, mini-WebVision needs 50" in text for text in said(report, "error"))
