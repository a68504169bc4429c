"""Folders of pictures: what counts as one, and which side it is on."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from harness.data.own_pictures.load import read_listed
from harness.errors import DataError, HarnessError, NoLabelsError
from harness.samples import Samples


def everything(own) -> dict[str, str]:
    """The split of each file by its name."""
    return dict(zip(own.listed.files, own.split, strict=True))


def test_a_folder_for_each_class_is_split_in_fixed_shares_of_each(two_classes, read):
    own = read(two_classes)
    assert (own.drawn, list(own.names)) == (True, ["bird", "cat"])
    for split, count in (("train", 14), ("val", 2), ("test", 4)):
        samples = own.samples(split)
        assert np.bincount(samples.label).tolist() == [count, count]
        names = [Path(file).parent.name for file in samples.files.tolist()]
        assert [own.names[label] for label in samples.label] == names
        assert [wanted.lemmas for wanted in samples.classes] == ["bird", "cat"]


def test_the_drawn_split_follows_from_the_content_alone(two_classes, tmp_path, read):
    first = read(two_classes)
    other = tmp_path / "elsewhere" / "pets"
    shutil.copytree(two_classes, other)
    for place, path in enumerate(sorted(other.rglob("*.png"))):
        path.rename(path.with_name(f"{99 - place}.png"))
    second = read(other)
    assert first.edition == second.edition == f"folder-pets-{first.edition[-8:]}"
    for split in ("train", "val", "test"):
        one, two = first.samples(split), second.samples(split)
        assert one.fingerprint == two.fingerprint
        assert pixels(one) == pixels(two)
    assert everything(read(two_classes, seed="1")) != everything(first)
    assert read(two_classes, seed="1").edition != first.edition


def pixels(samples: Samples) -> list[bytes]:
    return [samples.store.read(row) for row in range(len(samples))]


def test_equal_files_are_never_on_both_sides(two_classes, read):
    for number in range(20):
        for copy in ("bird/copy", "cat/copy"):  # one of them is a wrong label
            source = two_classes / "bird" / f"{number:02}.png"
            shutil.copy(source, two_classes / f"{copy}{number}.png")
    own = read(two_classes)
    sides: dict[bytes, set[str]] = {}
    for file, split in everything(own).items():
        sides.setdefault((two_classes / file).read_bytes(), set()).add(split)
    assert {len(found) for found in sides.values()} == {1}
    assert set(own.split) == {"train", "val", "test"}


@pytest.mark.parametrize(
    ("counts", "splits"),
    [
        ((1, 9), {"bird": ["train"]}),
        ((2, 9), {"bird": ["test", "train"]}),
        ((3, 9), {"bird": ["test", "train", "val"]}),
    ],
)
def test_a_small_class_is_trained_before_it_is_tested(counts, splits, tmp_path, save, read):
    files = [
        f"{name}/{number}.png"
        for name, count in zip(("bird", "cat"), counts, strict=True)
        for number in range(count)
    ]
    found = everything(read(save(tmp_path / "pets", files)))
    assert {"bird": sorted(s for f, s in found.items() if f.startswith("bird"))} == splits


def test_a_class_whose_pictures_all_belong_to_another_is_trained_too(tmp_path, save, read):
    root = save(tmp_path / "pets", [f"bird/{number}.png" for number in range(20)])
    (root / "cat").mkdir()
    own = read(save(root, ["dog/0.png", "dog/1.png"], 90))
    tested = [f for f, s in everything(own).items() if s == "test" and f.startswith("bird")]
    shutil.copy(root / tested[0], root / "cat" / "0.png")
    assert set(read(root).samples("train").label.tolist()) == {0, 1, 2}


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_given_splits_are_taken_as_they_are(val, tmp_path, save, read):
    parts = ("train", val, "test")
    files = [f"{part}/{name}/{n}.png" for part in parts for name in "ab" for n in range(2)]
    own = read(save(tmp_path / "letters", files))
    assert own.drawn is False
    for part, split in zip(parts, ("train", "val", "test"), strict=True):
        found = own.samples(split).files.tolist()
        assert sorted(found) == [file for file in files if file.startswith(f"{part}/")]


def test_a_split_that_is_not_given_is_not_scored(tmp_path, save, read):
    own = read(save(tmp_path / "a", ["train/x/0.png", "train/y/0.png", "val/x/1.png"]))
    assert len(own.samples("val")) == 1
    for split in ("test", "ilsvrc"):
        with pytest.raises(NoLabelsError, match=f"no pictures for {split}"):
            own.samples(split)


def test_train_alone_is_split(tmp_path, save, read):
    files = [f"Train/{name}/{n}.png" for name in "xy" for n in range(10)]
    own = read(save(tmp_path / "a", files))
    assert own.drawn is True
    assert len(own.samples("test")) == 4


def test_train_and_test_may_be_classes(tmp_path, save, read):
    files = [f"{name}/{n}.png" for name in ("train", "test", "bus") for n in range(5)]
    assert list(read(save(tmp_path / "things", files)).names) == ["bus", "test", "train"]


def test_what_is_hidden_or_not_a_picture_is_passed_over(two_classes, read, save):
    before = read(two_classes)
    save(two_classes, [".hidden/x.png", "__MACOSX/bird/x.png", "bird/.x.png", "bird/._00.png"], 50)
    for file in ("Thumbs.db", ".DS_Store", "cat/desktop.ini", "cat/notes.txt", "README"):
        (two_classes / file).write_bytes(b"no picture")
    after = read(two_classes)
    assert after.edition == before.edition
    assert dict(after.listed.passed_over) == {".txt": 1, "without suffix": 1}


def test_links_are_followed_and_circles_end(two_classes, save, read, tmp_path):
    save(tmp_path / "more", ["deep/er/0.png"], 70)
    (two_classes / "cat" / "more").symlink_to(tmp_path / "more")
    (two_classes / "cat" / "up").symlink_to(two_classes)
    (two_classes / "cat" / "here").symlink_to(".")
    (two_classes / "bird" / "gone").symlink_to("nowhere")
    files = read(two_classes).listed.files
    assert "cat/more/deep/er/0.png" in files
    assert len(files) == 41


def test_names_in_any_encoding_are_read(two_classes, save, read):
    save(two_classes, ["Käfer/ü 1?#%.png", "Käfer/2\n.png"], 60)
    latin = os.fsencode(two_classes) + b"/caf\xe9"
    os.mkdir(latin)  # noqa: PTH102 - a name that is not UTF-8
    shutil.copy(two_classes / "Käfer" / "2\n.png", latin + b"/\xff.png")
    own = read(two_classes)
    train = own.samples("train")
    assert [known.lemmas for known in train.classes] == ["Käfer", "bird", "caf\\xe9", "cat"]
    assert all(pixels(own.samples(split)) for split in ("train", "val", "test"))


def test_an_accent_may_be_spelt_in_two_ways(tmp_path, save, read):
    files = ["train/caf\u00e9/0.png", "train/tea/0.png", "test/cafe\u0301/1.png", "test/tea/1.png"]
    own = read(save(tmp_path / "drinks", files))
    assert list(own.names) == ["caf\u00e9", "tea"]
    assert own.samples("test").label.tolist() == [0, 1]


def test_numbers_are_ordered_as_numbers(tmp_path, save, read):
    own = read(save(tmp_path / "digits", [f"{n}/0.png" for n in (10, 9, 2)]))
    assert list(own.names) == ["2", "9", "10"]


def test_a_changed_picture_changes_the_data_and_stops_a_run_that_has_begun(two_classes, read):
    before = read(two_classes)
    train = before.samples("train")
    file = train.files[0]
    content = (two_classes / file).read_bytes()
    status = (two_classes / file).stat()
    (two_classes / file).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(two_classes / file, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(DataError, match=r"different content.*start the same command again"):
        train.store.read(0)
    assert read(two_classes).edition != before.edition


def test_pictures_are_read_once(two_classes, read, monkeypatch):
    read(two_classes)
    monkeypatch.setattr("harness.data.own_pictures.looks.decode", lambda _: pytest.fail("again"))
    read(two_classes)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], "holds no pictures; lay it out as"),
        (["0.png", "1.png"], r"only other files \(2 outside the folders of classes\)"),
        (["a/0.png", "a/1.png"], "has only one class, 'a'"),
        (["train/a/0.png", "train/b/0.png", "c/0.png"], "has 'c' beside train/; put it into"),
        (["train/a/0.png", "train/b/0.png", "val/a/1.png", "valid/a/2.png"], "both mean val"),
        (
            ["train/cat/0.png", "train/dog/0.png", "test/Cat/1.png"],
            r"test/Cat/1.png: test has a label that train does not have: unknown label 'Cat'; "
            "did you mean 'cat'. of train: cat, dog",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(files, words, tmp_path, save, call):
    root = save(tmp_path / "own", files)
    root.mkdir(exist_ok=True)
    ended = call("plan", "--plugin", "baseline", "--data", f"folder:{root}")
    assert re.search(words, ended.error)
    assert str(root) in ended.error


def test_a_path_that_leads_nowhere_is_said_in_one_line(tmp_path, call, monkeypatch):
    (tmp_path / "file").write_text("")
    for path, words in (
        ("", "--data folder needs a path, for example --data folder:/data/pictures"),
        (f":{tmp_path}/none", "none does not exist; name a folder laid out as PATH/CLASS"),
        (f":{tmp_path}/file", "file is not a folder"),
        (":~nobody-of-this-name/x", "write the whole path"),
        (f":{tmp_path}?sed=1", "unknown option of --data folder 'sed'; did you mean 'seed'?"),
        (f":{tmp_path}?seed=x", "seed='x' is not a whole number from 0"),
        (f":{tmp_path}?broken=ignore", "unknown choice of --data folder: broken 'ignore'"),
    ):
        ended = call("run", "--plugin", "baseline", "--data", f"folder{path}")
        assert words in ended.error


def test_broken_pictures_stop_a_run_unless_they_are_to_be_left_out(two_classes, read, call):
    (two_classes / "cat" / "20.jpg").write_bytes(b"<html>404</html>")
    (two_classes / "cat" / "21.png").write_bytes((two_classes / "cat/00.png").read_bytes()[:-60])
    (two_classes / "cat" / "22.webp").write_bytes(b"")
    ended = call("run", "--plugin", "baseline", "--data", f"folder:{two_classes}")
    assert "3 of 43 pictures cannot be read, the first: " in ended.error
    assert "cat/20.jpg: cannot be decoded: not a picture; repair or remove" in ended.error
    assert len(read(two_classes, broken="skip").listed) == 40


def test_a_home_and_relative_paths_are_found(two_classes, read, monkeypatch):
    monkeypatch.setenv("HOME", str(two_classes.parent))
    monkeypatch.chdir(two_classes.parent)
    whole = read(two_classes)
    for path in ("~/pets", "pets", "./pets/", "../" + two_classes.parent.name + "/pets"):
        assert sorted(read_listed("folder", path).files) == sorted(whole.listed.files)


def test_a_folder_that_cannot_be_opened_is_named(two_classes, read, monkeypatch):
    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("harness.data.own_pictures.tree.os.scandir", refuse)
    with pytest.raises(HarnessError, match=r"cannot read .*Permission denied.*readable"):
        read(two_classes)
