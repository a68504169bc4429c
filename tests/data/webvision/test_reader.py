"""The reader on a small tree of WebVision 1.0, written by hand."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from harness.data.webvision import WebVision1, as_split, missing_files, read_split
from harness.data.webvision.lists.editions import WEBVISION1
from harness.errors import DataError, NoLabelsError
from harness.samples import Text
from harness.spec import DataSpec, RunSpec

TREE = Path(__file__).parents[1] / "trees" / "webvision1"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the tree with a picture, be it empty, at every line of its lists."""
    copy = tmp_path / "webvision"
    shutil.copytree(TREE, copy)
    lines = (copy / "info" / "train_filelist_all.txt").read_text().split("\n")
    judged = (copy / "info" / "val_filelist.txt").read_text().split("\n")
    pictures = [line.split()[0] for line in lines if line]
    pictures += [f"val_images_256/{line.split()[0]}" for line in judged if line]
    for picture in pictures:
        (copy / picture).parent.mkdir(parents=True, exist_ok=True)
        (copy / picture).touch()
    return copy


def change(path: Path, old: str, new: str) -> Path:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    return path


def test_train_has_google_then_flickr(root: Path) -> None:
    samples = read_split(root, "train")
    assert samples.files[0] == "google/q0001/fO-sCvBzZnJH5M.jpg"
    assert samples.files[5] == "flickr/q0001/2680197397.jpg"
    assert samples.label.tolist() == [0, 0, 2, 1, 2, 0, 2, 2, 1]
    assert samples.source.tolist() == [0] * 5 + [1] * 4
    assert samples.query.tolist() == [1, 1, 3, 2, 3, 1, 3, 3, 2]
    assert samples.rank.tolist() == [0, 1, 0, 0, 1, 0, 0, 1, 0]
    assert samples.weight.tolist() == [1.0] * 9
    assert samples.edition == "WebVision 1.0"


def test_classes_have_words_and_wordnets_gloss(root: Path) -> None:
    tench = read_split(root, "train").classes[0]
    assert tench.wnid == "n01440764"
    assert tench.lemmas == "tench, Tinca tinca"
    assert tench.gloss.startswith("freshwater dace-like game fish")


def test_glosses_that_the_data_bring_are_preferred(root: Path) -> None:
    (root / "info" / "glosses.txt").write_text("n01440764 a fish of ours\n")
    assert [cls.gloss for cls in read_split(root, "val").classes] == ["a fish of ours", "", ""]


def test_the_query_of_every_sample(root: Path) -> None:
    flickr = root / "info" / "queries_flickr.txt"
    flickr.write_text("3 jaguar+cat\n1 tench\n")
    found = ["tench", "tench", "jaguar panther", "goldfish", "jaguar panther"]
    found += ["tench", "jaguar cat", "jaguar cat", ""]  # the list does not know query 2
    assert read_split(root, "train").searched() == found
    turned = read_split(root, "train", sources=["flickr", "google"], classes=[2])
    assert turned.searched() == ["jaguar cat"] * 2 + ["jaguar panther"] * 2
    assert read_split(root, "val").searched() == [""] * 4
    flickr.unlink()
    with pytest.raises(DataError, match=r"queries_flickr\.txt"):
        read_split(root, "train").searched()


def test_texts_join_by_position_from_one(root: Path) -> None:
    samples = read_split(root, "train")
    assert samples.texts() == [
        Text("Tench - Wikipedia", "The tench or doctor fish"),
        Text("", "tench caught at night"),
        Text("Jaguar XK"),
        Text(),
        Text(),
        Text("big tench", "lake", ("tench", "fish")),
        Text(),
        Text("jag��ar", "", ("jaguar", "car", "red")),
        Text("goldfish"),
    ]


def test_a_selection_keeps_texts_with_their_pictures(root: Path) -> None:
    samples = read_split(root, "train", sources=("flickr",), classes=range(2, 3))
    assert samples.files.tolist() == ["flickr/q0003/4417299302.jpg", "flickr/q0003/882915.jpg"]
    assert samples.label.tolist() == [0, 0]
    assert samples.num_classes == 1
    assert samples.source_names == ("flickr",)
    assert [text.tags for text in samples.texts()] == [(), ("jaguar", "car", "red")]


def test_val_is_flat(root: Path) -> None:
    samples = read_split(root, "val")
    assert samples.files[1] == "val_images_256/val000002.jpg"
    assert samples.label.tolist() == [2, 0, 1, 2]
    assert set(samples.query) == set(samples.rank) == {-1}
    assert set(samples.source) == set(samples.subset) == {0}
    assert samples.texts() == [Text()] * 4


def test_test_labels_are_read_where_they_are(root: Path) -> None:
    with pytest.raises(DataError, match=r"not public .* score val instead"):
        read_split(root, "test")
    labels = root / "info" / "test_labels.txt"
    labels.write_text("test000001.jpg 2\ntest000002.jpg 0\n")
    assert read_split(root, "test").label.tolist() == [2, 0]
    labels.write_text("test000002.jpg 2\ntest000001.jpg 0\n")
    with pytest.raises(DataError, match=r"test_labels\.txt, line 1: .*must name the same pict"):
        read_split(root, "test")


def test_windows_line_ends_are_read(root: Path) -> None:
    path = root / "info" / "val_filelist.txt"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_split(root, "val").label.tolist() == [2, 0, 1, 2]


def test_fingerprint_follows_lists_and_selection(root: Path) -> None:
    first = read_split(root, "train").fingerprint
    assert first == read_split(root, "train").fingerprint
    others = {
        read_split(root, "val").fingerprint,
        read_split(root, "train", sources=("google",)).fingerprint,
        read_split(root, "train", classes=range(2)).fingerprint,
        read_split(root, "train", edition="mine").fingerprint,
    }
    change(root / "info" / "train_filelist_google.txt", "5M.jpg 0", "5M.jpg 1")
    others.add(read_split(root, "train").fingerprint)
    assert len(others | {first}) == 6


@pytest.mark.parametrize("name", ["synsets", "train_filelist_google", "train_filelist_flickr"])
def test_a_missing_list_is_named_with_the_layout(root: Path, name: str) -> None:
    (root / "info" / f"{name}.txt").unlink()
    with pytest.raises(DataError, match=rf"info/{name}\.txt is missing: .*laid out as ROOT/info"):
        read_split(root, "train")


@pytest.mark.parametrize(
    ("list_name", "old", "new", "said"),
    [
        ("train_filelist_google", "M.jpg 2", "M.jpg two", r"google\.txt, line 3: .* is not like"),
        ("train_filelist_google", "M.jpg 2", "M.jpg 3", r"google\.txt, line 3: label 3 is out of"),
        ("train_filelist_google", "M.jpg 2", "M.jpg -1", r"google\.txt, line 3: .* is not like"),
        ("train_filelist_google", "M.jpg 2", "M.jpg 2 2", r"google\.txt, line 3: .* is not like"),
        ("train_filelist_google", "google/q0002", "flickr/q0002", r"line 4: .* is not like"),
        ("train_filelist_google", "q0001/3Sqz", "q0001/../3Sqz", r"line 2: .* outside the data"),
        ("train_filelist_google", "google/q0002/f", "/etc/f", r"line 4: .* outside the data fol"),
        ("train_filelist_google", "q0002/fO-sCvBzZnJH5M.jpg", "q0002/..", r"line 4: .* outside"),
        ("train_filelist_flickr", "flickr/q0003/882915.jpg 2\n", "\n\nx\n", r"line 5: 'x' is not"),
        ("val_filelist", "val000003.jpg 1", "../val3.jpg 1", r"val_filelist\.txt, line 3: .* outs"),
        ("val_filelist", "val000003.jpg 1", "val000003.jpg", r"val_filelist\.txt, line 3: .* is n"),
        ("val_filelist", "val000003.jpg 1", "val000003.jpg 9", r"line 3: label 9 is out of range"),
        ("synsets", "n01443537 gold", "goldfish gold", r"synsets\.txt, line 2: .* is not like"),
    ],
)
def test_a_wrong_line_is_named(root: Path, list_name: str, old: str, new: str, said: str) -> None:
    change(root / "info" / f"{list_name}.txt", old, new)
    with pytest.raises(DataError, match=said):
        read_split(root, "val" if list_name == "val_filelist" else "train")


def test_an_empty_list_is_refused(root: Path) -> None:
    (root / "info" / "train_filelist_google.txt").write_text("\n")
    with pytest.raises(DataError, match=r"google\.txt is empty; its lines should be like"):
        read_split(root, "train")


def test_broken_bytes_in_a_list_are_a_wrong_name_not_a_crash(root: Path) -> None:
    path = root / "info" / "val_filelist.txt"
    path.write_bytes(path.read_bytes().replace(b"val000003", b"val\xff\xfe03"))
    with pytest.raises(DataError, match=r"val_filelist\.txt.*1 of 4 pictures looked for are mis"):
        missing_files(read_split(root, "val"))


def test_a_class_without_samples_is_named(root: Path) -> None:
    change(root / "info" / "train_filelist_google.txt", "M.jpg 1", "M.jpg 0")
    with pytest.raises(DataError, match=r"1 of 3 classes .* from google, .* n01443537 goldfish"):
        read_split(root, "train", sources=("google",))
    assert len(read_split(root, "train", sources=("google",), allow_empty=True)) == 5
    assert len(read_split(root, "train")) == 9


def test_classes_outside_the_vocabulary_are_refused(root: Path) -> None:
    with pytest.raises(DataError, match=r"classes 0-49 were asked for, .* has 0-2"):
        read_split(root, "train", classes=range(50))


def test_unknown_source_and_split_are_refused(root: Path) -> None:
    with pytest.raises(DataError, match="unknown source of WebVision 'gogle'; did you mean 'goog"):
        read_split(root, "train", sources=("gogle",))
    with pytest.raises(DataError, match="unknown split 'valid'; did you mean 'val'"):
        as_split("valid")


def test_missing_pictures_are_counted_and_placed(root: Path) -> None:
    samples = read_split(root, "train")
    assert missing_files(samples) == []
    (root / "flickr/q0003/882915.jpg").unlink()
    said = r"train_filelist_flickr\.txt, line 3: .*; 1 of 9 pictures looked for are missing"
    with pytest.raises(DataError, match=said):
        missing_files(samples)


def test_one_missing_picture_in_a_hundred_is_let_pass(root: Path) -> None:
    few = read_split(root, "val")
    many = np.repeat(np.arange(3), [100, 99, 1])
    (root / few.files[2]).unlink()
    columns = {name: getattr(few, name)[many] for name in ("files", "label", "source", "query")}
    columns |= {name: getattr(few, name)[many] for name in ("rank", "weight", "subset")}
    assert missing_files(few.assign(**columns)) == [few.files[2]]


def test_a_large_list_is_looked_at_by_a_spread(root: Path) -> None:
    few = read_split(root, "val")
    many = np.repeat(np.arange(4), 5_001)
    (root / few.files[0]).unlink()
    names = ("files", "label", "source", "query", "rank", "weight", "subset")
    large = few.assign(**{name: getattr(few, name)[many] for name in names})
    with pytest.raises(DataError, match=r"line 1: .*; 10 of 40 pictures looked for are missing"):
        missing_files(large, sample_of=40)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("google/q0001.json", None, r"q0001\.json is missing, and this run needs texts"),
        ("google/q0001.json", '[{"id": ', r"q0001\.json is not JSON"),
        ("google/q0001.json", "[" * 200_000, r"q0001\.json is not JSON"),
        ("google/q0001.json", '{"id": 1}', r"q0001\.json holds a dict, not a list"),
        ("flickr/q0003.json", "[{}]", r"flickr\.txt, line 2: flickr/q0003\.json 3 points outside"),
        ("info/train_meta_list_google.txt", None, r"meta_list_google\.txt is missing: WebVision"),
        ("info/train_meta_list_google.txt", "../x.json 1\n", r"line 1: .* outside the data folder"),
        (
            "info/train_meta_list_flickr.txt",
            "flickr/q0001.json 1\n",
            r"flickr\.txt has 1 lines, train",
        ),
        (
            "info/train_meta_list_google.txt",
            "google/q0001.json 1\n",
            r"google\.txt has 1 lines, train",
        ),
    ],
)
def test_broken_texts_are_named_when_asked_for(
    root: Path, file: str, content: str | None, said: str
) -> None:
    if content is None:
        (root / file).unlink()
    else:
        (root / file).write_text(content)
    samples = read_split(root, "train")
    with pytest.raises(DataError, match=said):
        samples.texts()


def spec(text: str, home: Path) -> RunSpec:
    return RunSpec(plugin="baseline", data=DataSpec.parse(text), home=home)


def test_the_plugin_reads_what_the_user_typed(root: Path, tmp_path: Path) -> None:
    asked = spec(f"webvision1:{root}?classes=0-1&source=google", tmp_path)
    samples = WebVision1().load_samples(asked, "train")
    assert samples.label.tolist() == [0, 0, 1]
    assert samples.edition == "WebVision 1.0, classes 0-1, google only"
    assert WebVision1().load_samples(asked, "val").edition == samples.edition


@dataclass
class Wrong:
    typed: str
    said: str


@pytest.mark.parametrize(
    "wrong",
    [
        Wrong("webvision1", "needs a folder"),
        Wrong("webvision1:/nowhere", "/nowhere/info/synsets.txt is missing"),
        Wrong("webvision1:ROOT?clases=0-1", "did you mean 'classes'"),
        Wrong("webvision1:ROOT?classes=5-1", "is not a range; try classes=0-49"),
        Wrong("webvision1:ROOT?classes=all", "is not a range; try classes=0-49"),
        Wrong("webvision1:ROOT?source=bing", "unknown source"),
    ],
    ids=lambda wrong: wrong.typed,
)
def test_the_plugin_refuses_with_one_line(root: Path, tmp_path: Path, wrong: Wrong) -> None:
    asked = spec(wrong.typed.replace("ROOT", str(root)), tmp_path)
    with pytest.raises(DataError, match=wrong.said) as caught:
        WebVision1().load_samples(asked, "train")
    assert "\n" not in str(caught.value)


def test_the_plugin_looks_for_the_pictures(root: Path, tmp_path: Path) -> None:
    shutil.rmtree(root / "google" / "q0001")
    with pytest.raises(DataError, match="2 of 9 pictures looked for are missing"):
        WebVision1().load_samples(spec(f"webvision1:{root}", tmp_path), "train")


def test_the_reader_loads_without_torch_and_pandas() -> None:
    code = (
        "import sys, harness.data.webvision; print({'torch', 'pandas', 'PIL'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_selection_is_ranges_and_single_labels(root: Path, tmp_path: Path) -> None:
    samples = WebVision1().load_samples(spec(f"webvision1:{root}?classes=2,0", tmp_path), "train")
    assert samples.edition == "WebVision 1.0, classes 0,2"
    assert [known.wnid for known in samples.classes] == ["n01440764", "n02128925"]
    assert samples.label.tolist() == [0, 0, 1, 1, 0, 1, 1]
    assert samples.query.tolist() == [1, 1, 3, 3, 1, 3, 3]
    assert samples.texts()[3] == Text()
    assert samples.texts()[4].title == "big tench"


def test_a_selection_by_wnid_has_the_files_order(root: Path, tmp_path: Path) -> None:
    wanted = tmp_path / "wnids.txt"
    wanted.write_text("n02128925 jaguar\nn01440764\n")
    asked = spec(f"webvision1:{root}?wnids={wanted}&source=flickr", tmp_path)
    samples = WebVision1().load_samples(asked, "train")
    assert [known.wnid for known in samples.classes] == ["n02128925", "n01440764"]
    assert samples.label.tolist() == [1, 0, 0]
    assert samples.edition == "WebVision 1.0, 2 classes 09e3fa00, flickr only"
    assert WebVision1().load_samples(asked, "val").label.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("n02128925\nn09999999\n", r"wnids\.txt, line 2: n09999999 is not in .*synsets\.txt; 1 of"),
        ("n02128925\njaguar\n", r"wnids\.txt, line 2: 'jaguar' is not like 'n01440764'"),
        ("n02128925\nn02128925\n", r"wnids\.txt, line 2: n02128925 is on line 1 as well"),
        ("\n", r"wnids\.txt is empty"),
        (None, r"wnids\.txt is missing: wnids=FILE names a file"),
    ],
)
def test_a_broken_list_of_wnids_is_named(
    root: Path, tmp_path: Path, content: str | None, said: str
) -> None:
    wanted = tmp_path / "wnids.txt"
    if content is not None:
        wanted.write_text(content)
    with pytest.raises(DataError, match=said):
        WebVision1().load_samples(spec(f"webvision1:{root}?wnids={wanted}", tmp_path), "train")


@pytest.mark.parametrize(
    "classes", ["0-1,1", "0,", "-1", "1-", "0-9999999", "", "0-999999,0-999999"]
)
def test_classes_that_are_not_ranges_are_refused(root: Path, tmp_path: Path, classes: str) -> None:
    with pytest.raises(DataError, match=r"is not a range; try classes=0-49 or classes=0-49,77"):
        WebVision1().load_samples(spec(f"webvision1:{root}?classes={classes}", tmp_path), "train")


def test_classes_and_wnids_exclude_each_other(root: Path, tmp_path: Path) -> None:
    asked = spec(f"webvision1:{root}?classes=0&wnids=x", tmp_path)
    with pytest.raises(DataError, match="give classes= or wnids=, not both"):
        WebVision1().load_samples(asked, "train")


def test_a_class_asked_for_twice_is_refused(root: Path) -> None:
    with pytest.raises(DataError, match="name a class twice"):
        read_split(root, "train", classes=(1, 1))


def test_a_class_listed_twice_is_named(root: Path) -> None:
    change(root / "info" / "synsets.txt", "n02128925", "n01440764")
    with pytest.raises(DataError, match=r"synsets\.txt, line 3: n01440764 is on line 1 as well"):
        read_split(root, "train")


def test_metadata_elsewhere_is_found(root: Path) -> None:
    before = read_split(root, "train").texts()
    for source, place in (("google", "meta/google"), ("flickr", "flickr_json")):
        (root / place).mkdir(parents=True)
        for file in (root / source).glob("*.json"):
            file.rename(root / place / file.name)
    assert read_split(root, "train").texts() == before


def test_a_huge_metadata_file_is_refused_unread(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.data.webvision.lists.texts.MAX_JSON_BYTES", 100)
    with pytest.raises(DataError, match=r"q0001\.json cannot be read: has .* bytes, more than 100"):
        read_split(root, "train").texts()


def test_a_huge_list_is_refused_unread(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.data.webvision.lists.parse.MAX_LIST_BYTES", 10)
    with pytest.raises(
        DataError, match=r"synsets\.txt cannot be read: has 120 bytes, more than 10"
    ):
        read_split(root, "train")


def test_a_position_of_zero_is_named(root: Path) -> None:
    change(root / "info" / "train_meta_list_google.txt", "q0001.json 2", "q0001.json 0")
    with pytest.raises(DataError, match=r"google\.txt, line 1: google/q0001\.json 0 points outs"):
        read_split(root, "train").texts()


def test_a_missing_test_list_does_not_hide_that_labels_are_not_public(root: Path) -> None:
    (root / "info" / "test_filelist.txt").unlink()
    with pytest.raises(NoLabelsError, match="not public"):
        read_split(root, "test")
    public = replace(WEBVISION1, public_test_labels=True)
    with pytest.raises(DataError, match=r"test_filelist\.txt is missing"):
        read_split(root, "test", edition=public)


def test_half_characters_in_texts_are_replaced(root: Path) -> None:
    entry = '[{}, {"id": "2", "title": "cat \\ud83d", "tags": ["\\udc00x"]}]'
    (root / "google" / "q0001.json").write_text(entry)
    change(root / "info" / "train_meta_list_google.txt", "q0001.json 3", "q0001.json 1")
    assert read_split(root, "train").texts()[0] == Text("cat ?", "", ("?x",))
