"""Whole runs on a stranger's pictures, and what the commands on data sets say of them."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from harness.conformance import check_plugin
from harness.runner import run
from harness.spec import DataSpec, Override, RunSpec

FORMS = ("jpg", "png", "webp", "gif", "bmp", "tif", "avif", "jp2")
SHAPES = ("bar", "disc")


def draw_shapes(root: Path, count: int, size: tuple[int, int] = (160, 120)) -> Path:
    """Draw ``count`` pictures each of a bar and a disc on noise, in every usual format."""
    random = np.random.default_rng(0)
    for name in SHAPES:
        (root / name).mkdir(parents=True)
        for number in range(count):
            noise = random.integers(0, 120, (15, 20, 3), np.uint8)
            picture = Image.fromarray(noise).resize(size)
            left, top = random.integers(5, 60, 2).tolist()
            box = (left, top, left + 55, top + (55 if name == "disc" else 12))
            pen = ImageDraw.Draw(picture)
            colour = tuple(random.integers(140, 256, 3).tolist())
            pen.ellipse(box, colour) if name == "disc" else pen.rectangle(box, colour)
            picture.save(root / name / f"{number:03}.{FORMS[number % len(FORMS)]}")
    return root


@pytest.fixture(scope="module")
def shapes(tmp_path_factory) -> Path:
    """Two classes of 80 pictures; do not change them."""
    return draw_shapes(tmp_path_factory.mktemp("own") / "shapes", 80)


@pytest.mark.slow
def test_the_baseline_learns_a_strangers_pictures(shapes, call, harness_home):
    asked = ("run", "--plugin", "baseline", "--data", f"folder:{shapes}", "--engine", "torch")
    asked += ("--stage", "epochs=10")  # of the profile's 75: finds 31 of 32 with any of four seeds
    ended = call(*asked)
    assert ended.status == 0, ended.err
    (record,) = (json.loads(p.read_text()) for p in (harness_home / "records").glob("*.json"))
    scores = {score["protocol"]: score for score in record["scores"] if score["split"] == "test"}
    assert scores["10 views"]["top1"] > 0.8
    assert scores["10 views"]["images"] == 32
    assert record["stages"][0]["values"]["backbone"] == "test_resnet"
    for named in ("folder-shapes", f"folder:{shapes}", record["data"]["edition"]):
        assert "folder:shapes · test" in call("leaderboard", "--data", named).out
    assert call(*asked).status == 0
    assert len(list((harness_home / "records").glob("*.json"))) == 1


@pytest.mark.slow
def test_noise_handling_is_scored_by_the_clean_labels_of_a_table(shapes, tmp_path, harness_home):
    flipped = np.random.default_rng(1).random(160) < 0.3
    files = sorted(shapes.rglob("*.*"))
    with (tmp_path / "shapes.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "clean_label", "text"])
        for path, wrong in zip(files, flipped, strict=True):
            clean = path.parent.name
            label = SHAPES[1 - SHAPES.index(clean)] if wrong else clean
            table.writerow([path, label, clean, f"a photograph of a {clean}"])
    record = run(
        RunSpec(
            plugin="malong_curriculum",
            data=DataSpec(name="csv", path=str(tmp_path / "shapes.csv")),
            overrides=(Override("", "epochs", "2"), Override("", "input_size", "32")),
            engine="torch",
            home=harness_home,
        )
    )
    assert record.data.edition.startswith("csv-shapes-")
    assert record.noise
    assert 0.6 < record.noise[0].clean < 0.8


@pytest.mark.parametrize("kind", ["folder", "csv"])
def test_both_keep_the_contract(kind, shapes, tmp_path, harness_home):
    path = shapes
    if kind == "csv":
        path = tmp_path / "shapes.csv"
        rows = [f"{file},{file.parent.name}" for file in sorted(shapes.rglob("*.*"))]
        path.write_text("\n".join(["path,label", *rows]))
    assert check_plugin(kind, data=DataSpec(name=kind, path=str(path)), home=harness_home) == []


def test_check_says_what_is_there(two_classes, call):
    shutil.copy(two_classes / "bird/00.png", two_classes / "cat/wrong.png")
    shutil.copy(two_classes / "cat/00.png", two_classes / "cat/again.png")
    (two_classes / "cat" / "notes.txt").write_text("")
    ended = call("data", "check", str(two_classes))
    assert ended.status == 0
    assert (
        "pets: 42 pictures, 2 classes, splits drawn from their content; on the board" in ended.out
    )
    assert "short sides: 40 to 40 pixels" in ended.out
    for line in (
        "warning: 2 equal pictures have different labels",
        "note: 2 pictures are equal to others",
        "note: files that are not read as pictures: 1 .txt",
    ):
        assert line in ended.out.splitlines()
    assert ended.out.endswith("nothing here would stop a run\n")


def test_check_lists_every_picture_that_cannot_be_read(two_classes, call):
    for number in range(3):
        (two_classes / "cat" / f"x{number}.jpg").write_bytes(b"no picture")
    ended = call("data", "check", f"folder:{two_classes}", "--json")
    assert ended.status == 1
    report = json.loads(ended.out)
    assert [line.rpartition("/")[2] for line in report["unreadable"]] == [
        f"x{number}.jpg: cannot be decoded: not a picture" for number in range(3)
    ]
    assert report["stops_a_run"] is True
    assert report["classes"]["cat"] == {"train": 14, "val": 2, "test": 4}
    text = call("data", "check", str(two_classes))
    assert text.status == 1
    assert "error: 3 of 43 pictures cannot be read; ?broken=skip leaves them out" in text.out


def test_check_reads_all_again_if_asked(two_classes, call, monkeypatch):
    call("data", "check", str(two_classes))
    monkeypatch.setattr(
        "harness.data.own_pictures.looks.decode", lambda _: pytest.fail("decoded again")
    )
    assert call("data", "check", str(two_classes)).status == 0
    with pytest.raises(pytest.fail.Exception, match="decoded again"):
        call("data", "check", str(two_classes), "--images", "all")


def test_check_finds_pictures_that_are_trained_on_and_scored(tmp_path, save, call):
    root = save(tmp_path / "own", ["train/a/0.png", "train/b/1.png", "test/a/2.png"])
    shutil.copy(root / "train/b/1.png", root / "test" / "a" / "3.png")
    ended = call("data", "check", f"folder:{root}")
    assert "warning: 1 pictures of val and test are in train as well" in ended.out


def test_check_of_a_table_counts_clean_labels(two_classes, call):
    lines = [f"pets/{name}/{n:02}.png,{name},bird" for name in ("bird", "cat") for n in range(20)]
    path = two_classes.parent / "pets.csv"
    path.write_text("\n".join(["path,label,clean_label", *lines]))
    ended = call("data", "check", str(path))
    assert "training labels that equal the clean label: 50.0%" in ended.out
    path.write_text(path.read_text().replace("cat,bird", "cat,"))
    ended = call("data", "check", f"csv:{path}")
    assert "note: 14 of 28 training pictures have a clean label" in ended.out


@pytest.mark.parametrize("form", ["svg", "png"])
def test_stats_draws_them(form, two_classes, tmp_path, call):
    pytest.importorskip("matplotlib")
    output = tmp_path / f"own.{form}"
    for _ in range(2):
        ended = call("data", "stats", str(two_classes), "--output", str(output))
        assert ended.out == f"wrote {output}\n"
    assert output.stat().st_size > 5_000
