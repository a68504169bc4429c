"""The check of a data set whose pictures stay in their archives: as one in folders, and more."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from harness.cli.data_check import check as check_command
from harness.data.webvision.check.one_pass import check
from harness.data.webvision.check.report import Report
from harness.data.webvision.index.build import build_index

TREE = Path(__file__).parents[2] / "trees" / "webvision1"
GOOGLE, FLICKR, VAL = (f"{name}.tar" for name in ("google", "flickr", "val"))


def jpeg(size: tuple[int, int] = (300, 256)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size).save(file, "JPEG")
    return file.getvalue()


def write_tar(path: Path, contents: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


@pytest.fixture
def contents() -> dict[str, dict[str, bytes]]:
    """A small picture for every line, by archive, and the metadata."""
    train = (TREE / "info" / "train_filelist_all.txt").read_text().splitlines()
    val = (TREE / "info" / "val_filelist.txt").read_text().splitlines()
    names = [line.split()[0] for line in train]
    found = {
        GOOGLE: {name: jpeg() for name in names if name.startswith("google")},
        FLICKR: {name: jpeg() for name in names if name.startswith("flickr")},
        VAL: {f"val_images_256/{line.split()[0]}": jpeg() for line in val},
    }
    for path in TREE.glob("*/q*.json"):
        found[f"{path.parent.name}.tar"][f"{path.parent.name}/{path.name}"] = path.read_bytes()
    return found


@pytest.fixture
def root(tmp_path: Path, contents: dict[str, dict[str, bytes]]) -> Path:
    """The tree's lists, and everything else in archives; indexed."""
    folder = tmp_path / "webvision"
    shutil.copytree(TREE / "info", folder / "info")
    for name, members in contents.items():
        write_tar(folder / name, members)
    build_index(folder)
    return folder


def said(report: Report, level: str) -> list[str]:
    return [finding.text for finding in report.findings if finding.level == level]


def test_it_finds_what_it_finds_in_folders(
    root: Path, tmp_path: Path, contents: dict[str, dict[str, bytes]]
) -> None:
    unpacked = tmp_path / "unpacked"
    shutil.copytree(TREE / "info", unpacked / "info")
    for members in contents.values():
        for name, content in members.items():
            (unpacked / name).parent.mkdir(parents=True, exist_ok=True)
            (unpacked / name).write_bytes(content)
    plain, archived = check(unpacked), check(root)
    assert not archived.stops_a_run
    assert said(archived, "error") == said(archived, "warning") == []
    assert archived.sources == plain.sources
    assert archived.classes == plain.classes
    assert archived.eval_splits == plain.eval_splits
    assert archived.images == plain.images
    assert archived.ranks == plain.ranks
    for mine, theirs in zip(archived.texts, plain.texts, strict=True):
        assert mine == replace(theirs, position_base=None)
    assert (plain.layout, archived.layout) == ("as downloaded", "in indexed archives")
    assert plain.archives == ()
    assert [(c.name, c.entries, c.state) for c in archived.archives] == [
        (FLICKR, 4, "as indexed"),
        (GOOGLE, 5, "as indexed"),
        (VAL, 4, "as indexed"),
    ]


def test_without_a_picture_read_the_rest_is_the_same(root: Path) -> None:
    report, whole = check(root, images="none"), check(root)
    assert report.images == ()
    assert replace(report, images=whole.images) == whole


def change_archive(root: Path) -> None:
    time = (root / GOOGLE).stat().st_mtime_ns + 10**9
    os.utime(root / GOOGLE, ns=(time, time))


def lose_archive(root: Path) -> None:
    (root / GOOGLE).unlink()


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [(change_archive, "google.tar has changed since"), (lose_archive, "google.tar cannot be read")],
)
def test_an_archive_that_is_not_as_indexed_stops_a_run(
    root: Path, spoil: Callable[[Path], None], expected: str
) -> None:
    spoil(root)
    report = check(root)
    errors = said(report, "error")
    assert any(
        expected in text and text.endswith(f"; run harness data index {root}") for text in errors
    )
    assert any(text.startswith("train: 5 of 9 pictures looked for are missing") for text in errors)
    assert any(f"train_filelist_google.txt, line 1: {root / GOOGLE}, offset" in t for t in errors)
    train, val = report.images
    assert (train.missing, train.decoded, val.missing, val.decoded) == (5, 4, 0, 4)
    states = {count.name: (count.entries, count.state) for count in report.archives}
    assert states[GOOGLE] == (5, "changed or gone")
    assert states[FLICKR] == (4, "as indexed")


def test_a_broken_picture_is_named_with_list_line_archive_and_offset(
    root: Path, contents: dict[str, dict[str, bytes]]
) -> None:
    name = "val_images_256/val000002.jpg"
    write_tar(root / VAL, {**contents[VAL], name: jpeg()[:-60]})
    build_index(root)
    report = check(root)
    (error,) = said(report, "error")
    first = len(jpeg()) + 511 & ~511
    place = f"val_filelist.txt, line 2: {root / VAL}, offset {512 + first + 512}, {name} cannot be"
    assert error.startswith("val: 1 of 4 pictures cannot be decoded, the first: ")
    assert place in error
    assert place in report.images[1].places[0]


def test_a_picture_in_none_of_the_archives(
    root: Path, contents: dict[str, dict[str, bytes]]
) -> None:
    lost = "flickr/q0003/882915.jpg"
    kept = {name: content for name, content in contents[FLICKR].items() if name != lost}
    write_tar(root / FLICKR, kept)
    build_index(root)
    report = check(root)
    (error,) = said(report, "error")
    assert f"line 3: {lost}, not in any archive, is missing" in error
    assert report.images[0].missing == 1


def test_both_sizes_are_told(root: Path, contents: dict[str, dict[str, bytes]]) -> None:
    large = [name for name in contents[GOOGLE] if "q0001/" in name]
    write_tar(root / GOOGLE, contents[GOOGLE] | dict.fromkeys(large, jpeg((500, 375))))
    build_index(root)
    report = check(root)
    assert report.images[0].variant == "mixed: 7 of 9 have short side 256"
    assert any("mixed" in text for text in said(report, "warning"))


def test_members_that_come_twice_or_are_not_listed_are_noted(root: Path) -> None:
    names = ["google/q0001/new.jpg", "flickr/q0003/882915.jpg"]
    write_tar(root / "more.tar", dict.fromkeys(names, jpeg()))
    report = check(root)
    assert not report.stops_a_run
    assert report.archives[-1].name == "more.tar"
    assert report.archives[-1].state == "not indexed"
    build_index(root)
    notes = said(check(root), "note")
    for expected in (
        "members that occur twice, of which the last counts: 1 in more.tar",
        "members that no list names: 1 in more.tar; the first is google/",
    ):
        assert any(expected in note for note in notes)


def test_other_lists_than_the_indexed_ones_stop_a_run(root: Path) -> None:
    path = root / "info" / "train_filelist_google.txt"
    path.write_text(path.read_text().replace("M.jpg 1", "M.jpg 01"))
    report = check(root)
    assert f"{path} has changed since it was indexed" in said(report, "error")[0]
    assert report.images == ()
    assert "pictures are not checked: the lists have changed since indexing" in said(report, "note")


def test_an_index_without_texts_is_a_warning(root: Path) -> None:
    build_index(root, texts=False)
    report = check(root)
    assert report.texts == ()
    assert not report.stops_a_run
    assert said(report, "warning") == [
        f"the index has no texts of {source}; methods that read texts stop there"
        for source in ("google", "flickr")
    ]


def test_lists_inside_info_tar(root: Path) -> None:
    whole = check(root)
    with tarfile.open(root / "info.tar", "w") as archive:
        archive.add(root / "info", "info")
    shutil.rmtree(root / "info")
    build_index(root)
    report = check(root)
    assert not report.stops_a_run
    assert replace(report, findings=()) == replace(whole, findings=())


def test_an_index_that_cannot_be_read_stops_a_run(root: Path) -> None:
    (root / ".harness-index" / "index.json").write_text("{")
    report = check(root)
    assert "index.json cannot be read" in said(report, "error")[0]
    assert report.images == ()


def test_a_damaged_column_stops_a_run(root: Path) -> None:
    (column,) = (root / ".harness-index").glob("columns-*/val/shard.npy")
    column.write_bytes(b"")
    report = check(root)
    assert any("shard.npy is damaged or missing" in text for text in said(report, "error"))


def test_archives_without_an_index_are_noted(root: Path) -> None:
    shutil.rmtree(root / ".harness-index")
    report = check(root)
    assert report.stops_a_run
    (note,) = (text for text in said(report, "note") if "holds archives" in text)
    assert f"after harness data index {root} runs read them without unpacking" in note


def test_the_command_shows_the_archives_and_its_status(root: Path) -> None:
    # As below the whole command: click keeps the first help option that it makes.
    names = ["-h", "--help"]
    done = CliRunner().invoke(check_command, [str(root)], help_option_names=names)
    assert done.exit_code == 0, done.output
    assert "WebVision 1.0, in indexed archives, 3 classes" in done.output
    assert "google.tar" in done.output
    lose_archive(root)
    done = CliRunner().invoke(check_command, [str(root), "--json"])
    assert done.exit_code == 1
    assert json.loads(done.output)["archives"][1]["state"] == "changed or gone"
