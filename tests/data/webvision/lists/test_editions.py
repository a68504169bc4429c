"""The editions: told apart, read by one reader, and joined by WordNet id."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from harness.data.pictures.names import Names
from harness.data.webvision import MiniWebVision, WebVision1, WebVision2, read_split
from harness.data.webvision.lists.classes import (
    format_class_numbers,
    map_classes,
    parse_class_numbers,
    read_classes,
)
from harness.data.webvision.lists.editions import (
    EDITIONS,
    MINI_WEBVISION,
    WEBVISION1,
    WEBVISION2,
    detect_edition,
)
from harness.errors import DataError, NoLabelsError
from harness.samples import Samples, Text
from harness.spec import DataSpec, RunSpec

TREES = Path(__file__).parents[2] / "trees"
READERS = {"webvision1": WebVision1, "webvision2": WebVision2, "mini-webvision": MiniWebVision}


def load(tmp_path: Path, data: str, split: str = "train") -> Samples:
    asked = DataSpec.parse(data)
    spec = RunSpec(plugin="baseline", data=asked, home=tmp_path)
    return READERS[asked.name]().load_samples(spec, split)


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """2.0 as downloaded, with a picture, be it empty, for every line of its lists."""
    root = tmp_path / "webvision2"
    shutil.copytree(TREES / "webvision2", root)
    names = [line.split()[0] for line in read(root / "info" / "train_filelist_all.txt")]
    val = read(root / "info" / "val_filelist.txt")
    names += [f"val_images_resized/{line.split()[0]}" for line in val]
    return touch(root, names)


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """2.0 after preprocess.py, without info/."""
    root = tmp_path / "prepared"
    shutil.copytree(TREES / "webvision2_prepared", root)
    names = [f"train/{line.split()[0]}" for line in read(root / "meta" / "train.txt")]
    names += [f"val/{line.split()[0]}" for line in read(root / "meta" / "val.txt")]
    return touch(root, names)


@pytest.fixture
def fifty_one(tmp_path: Path) -> Path:
    """51 classes with one picture each from Google and from Flickr, and one in val."""
    root = tmp_path / "webvision"
    lists: dict[str, list[str]] = {
        "synsets": [f"n{k:08d} class {k}" for k in range(51)],
        "glosses": ["n00000000 nothing"],
        "train_filelist_google": [f"google/q{k + 1:04d}/{k}M.jpg {k}" for k in range(51)],
        "train_filelist_flickr": [f"flickr/q{k + 1:04d}/{k}.jpg {k}" for k in range(51)],
        "val_filelist": [f"val{k + 1:06d}.jpg {k}" for k in range(51)],
    }
    (root / "info").mkdir(parents=True)
    for name, lines in lists.items():
        (root / "info" / f"{name}.txt").write_text("\n".join(lines) + "\n")
    names = [line.split()[0] for line in lists["train_filelist_google"]]
    return touch(root, names + [f"val_images_256/{line[:13]}" for line in lists["val_filelist"]])


def read(path: Path) -> list[str]:
    return path.read_text().splitlines()


def touch(root: Path, names: list[str]) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_the_figures_are_the_published_ones() -> None:
    assert [edition.num_classes for edition in EDITIONS.values()] == [1_000, 5_000, 1_000]
    assert [edition.num_queries for edition in EDITIONS.values()] == [1_631, 12_597, 1_631]
    assert MINI_WEBVISION.source_names == ("google",)
    assert MINI_WEBVISION.kept == range(50)
    with pytest.raises(DataError, match="did you mean 'google'"):
        WEBVISION2.source("gogle")


def test_editions_are_recognised_by_their_lists(tmp_path: Path) -> None:
    assert detect_edition(TREES / "webvision1") is WEBVISION1
    assert detect_edition(TREES / "webvision2") is WEBVISION2
    assert detect_edition(TREES / "webvision2_prepared") is WEBVISION2
    with pytest.raises(
        DataError, match="not hold an edition of WebVision: it has neither info/ nor"
    ):
        detect_edition(tmp_path)
    (tmp_path / "info").mkdir()
    assert detect_edition(tmp_path) is WEBVISION1
    (tmp_path / "info" / "queries.txt").touch()
    assert detect_edition(tmp_path) is WEBVISION2
    (tmp_path / "info" / "train_filelist_google.txt").write_text("google/q00001/a.jpg 0\n")
    assert detect_edition(tmp_path) is WEBVISION2
    (tmp_path / "info" / "train_filelist_google.txt").write_text("google/q0001/a.jpg 0\n")
    assert detect_edition(tmp_path) is WEBVISION1


def test_the_second_edition_is_read(second: Path, tmp_path: Path) -> None:
    samples = load(tmp_path, f"webvision2:{second}")
    assert samples.edition == "WebVision 2.0"
    assert samples.files[0] == "google_images_resized/q00001/zzI9obeFLXNpZM.jpg"
    assert samples.label.tolist() == [0, 0, 1, 2, 3, 0, 0, 2, 1]
    assert samples.source.tolist() == [0] * 5 + [1] * 4
    assert samples.query.tolist() == [1, 2, 3, 4, 5, 1, 2, 4, 3]
    assert samples.rank.tolist() == [0] * 9
    assert samples.texts()[1] == Text("Black panther")
    assert samples.texts()[5] == Text("big cat", "", ("zoo", "jaguar", "nikon"))
    val = load(tmp_path, f"webvision2:{second}", "val")
    assert val.files[3] == "val_images_resized/val000004.jpg"
    assert val.label.tolist() == [3, 0, 1, 2]
    with pytest.raises(NoLabelsError, match="not public"):
        load(tmp_path, f"webvision2:{second}", "test")


def test_the_val_list_may_be_where_it_is_downloaded(second: Path, tmp_path: Path) -> None:
    (second / "info" / "val_filelist.txt").rename(second / "val_filelist.txt")
    assert load(tmp_path, f"webvision2:{second}", "val").label.tolist() == [3, 0, 1, 2]


def test_the_second_edition_after_preprocessing_is_read(prepared: Path, tmp_path: Path) -> None:
    samples = load(tmp_path, f"webvision2:{prepared}")
    assert samples.files[:2].tolist() == ["train/n02128925/zzI9obeFLXNpZM.jpg"] * 2
    assert samples.files[5] == "train/n02128925/26362919313.jpg"
    assert samples.label.tolist() == [0, 0, 1, 2, 3, 0, 0, 2, 1]
    assert samples.source.tolist() == [0] * 5 + [1] * 4
    assert set(samples.query) == set(samples.rank) == {-1}
    assert samples.classes[0].lemmas == "jaguar, panther, Panthera onca, Felis onca"
    assert load(tmp_path, f"webvision2:{prepared}", "val").files[0] == "val/val000001.jpg"
    flickr = load(tmp_path, f"webvision2:{prepared}?source=flickr&classes=0-2")
    assert flickr.label.tolist() == [0, 0, 2, 1]
    with pytest.raises(DataError, match=r"meta/train\.txt does not give their queries"):
        samples.texts()


def test_after_preprocessing_info_still_tells_query_and_text(
    second: Path, prepared: Path, tmp_path: Path
) -> None:
    for name in ("info", "google", "flickr"):
        shutil.copytree(second / name, prepared / name)
    samples = load(tmp_path, f"webvision2:{prepared}")
    assert samples.files[0] == "train/n02128925/zzI9obeFLXNpZM.jpg"
    assert samples.query.tolist() == [1, 2, 3, 4, 5, 1, 2, 4, 3]
    assert samples.texts() == load(tmp_path, f"webvision2:{second}").texts()
    (prepared / "train/n01440764/Q8mTq1h3WVxLoM.jpg").unlink()
    with pytest.raises(DataError, match=r"train_filelist_google\.txt, line 5: .train/n01440764/Q8"):
        load(tmp_path, f"webvision2:{prepared}")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("n02472293/zz", "n01440764/zz", r"meta/train\.txt, line 8: the folder is n01440764, but "),
        ("n01440764/Q8mTq1h3WVxLoM.jpg 3", "n01440764/../x 3", r"train\.txt, line 9: .* outside"),
        ("n01440764/Q8mTq1h3WVxLoM.jpg 3", "n01440764/x.jpg 4", r"line 9: label 4 is out of range"),
        ("n01440764/Q8mTq1h3WVxLoM.jpg 3", "q00001/x.jpg 3", r"line 9: 'q00001/x.jpg 3' is not l"),
    ],
)
def test_a_wrong_line_after_preprocessing_is_named(
    prepared: Path, tmp_path: Path, old: str, new: str, said: str
) -> None:
    path = prepared / "meta" / "train.txt"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DataError, match=said):
        load(tmp_path, f"webvision2:{prepared}")


def test_a_missing_list_of_the_second_edition_shows_its_layout(
    second: Path, tmp_path: Path
) -> None:
    (second / "info" / "train_filelist_flickr.txt").unlink()
    with pytest.raises(DataError, match=r"flickr\.txt is missing: WebVision 2\.0 is laid out as"):
        load(tmp_path, f"webvision2:{second}")


def test_a_list_of_the_other_edition_is_refused(second: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"google\.txt, line 1: 'google_images_.* is not like 'goo"):
        load(tmp_path, f"webvision1:{second}")


def test_the_mini_set_is_google_and_fifty_classes(fifty_one: Path, tmp_path: Path) -> None:
    samples = load(tmp_path, f"mini-webvision:{fifty_one}")
    assert samples.edition == "mini-WebVision"
    assert samples.num_classes == len(samples) == 50
    assert samples.source_names == ("google",)
    assert len(load(tmp_path, f"mini-webvision:{fifty_one}", "val")) == 50
    same = load(tmp_path, f"webvision1:{fifty_one}?classes=0-49&source=google")
    assert same.files.tolist() == samples.files.tolist()
    assert load(tmp_path, f"mini-webvision:{fifty_one}?classes=7,48-49").label.tolist() == [0, 1, 2]
    with pytest.raises(DataError, match=r"classes 50 were asked for, .* has 0-49"):
        load(tmp_path, f"mini-webvision:{fifty_one}?classes=50")
    with pytest.raises(DataError, match="unknown source of --data mini-webvision 'flickr'"):
        load(tmp_path, f"mini-webvision:{fifty_one}?source=flickr")


def test_the_mini_set_needs_fifty_classes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"classes 0-49 were asked for, .* has 0-2"):
        load(tmp_path, f"mini-webvision:{TREES / 'webvision1'}")


def test_editions_are_joined_by_wnid_never_by_number() -> None:
    first, _ = read_classes(TREES / "webvision1", WEBVISION1)
    later, _ = read_classes(TREES / "webvision2", WEBVISION2)
    places = map_classes([known.wnid for known in first], [known.wnid for known in later])
    assert places.tolist() == [3, 1, 0]
    assert [later[k].lemmas for k in places] == [known.lemmas for known in first]
    back = map_classes([known.wnid for known in later], [known.wnid for known in first])
    assert back.tolist() == [2, 1, -1, 0]
    with pytest.raises(DataError, match="n1 is listed twice among 2 classes"):
        map_classes(["n1"], ["n1", "n1"])


def test_numbers_of_classes_are_written_as_they_are_read() -> None:
    assert parse_class_numbers("77,0-2,5-5") == (0, 1, 2, 5, 77)
    assert format_class_numbers((0, 1, 2, 5, 77)) == "0-2,5,77"
    assert format_class_numbers((3, 1)) == "3,1"


def test_where_a_picture_is_listed(second: Path) -> None:
    samples = read_split(second, "val", edition=WEBVISION2)
    assert isinstance(samples.files, Names)
    assert samples.files.where(2).endswith("val_filelist.txt, line 3")
    assert samples.files[np.array([2, 1])].where(1).endswith("val_filelist.txt, line 2")
