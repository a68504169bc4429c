"""ILSVRC-12's validation pictures in every layout that people have, joined by WordNet id."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.data.synthweb import SynthWeb
from harness.data.webvision import WebVision1, WebVision2
from harness.errors import DataError, NoLabelsError
from harness.samples import Samples
from harness.spec import DataSpec, RunSpec

TREES = Path(__file__).parents[1] / "trees"
TENCH, GOLDFISH, SHARK, JAGUAR = "n01440764", "n01443537", "n01484850", "n02128925"


def load(pictures: Path, tree: str = "webvision1", options: str = "") -> Samples:
    reader = {"webvision1": WebVision1, "webvision2": WebVision2}[tree]
    data = DataSpec.parse(f"{tree}:{TREES / tree}?ilsvrc={pictures}{options}")
    return reader().load_samples(RunSpec(plugin="baseline", data=data), "ilsvrc")


def lay(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def shown(samples: Samples) -> dict[str, str]:
    return {
        file: samples.classes[label].wnid
        for file, label in zip(samples.files.tolist(), samples.label.tolist(), strict=True)
    }


@pytest.fixture
def by_wnid(tmp_path: Path) -> Path:
    names = [f"{TENCH}/b.JPEG", f"{TENCH}/a.JPEG", f"{GOLDFISH}/c.jpg", f"{JAGUAR}/d.png"]
    others = [f"{SHARK}/e.JPEG", f"{TENCH}/.hidden.JPEG", f"{TENCH}/read.me", "notes/x.JPEG"]
    return lay(tmp_path / "val", *names, *others)


def test_folders_by_wnid(by_wnid: Path) -> None:
    samples = load(by_wnid)
    assert samples.split == "ilsvrc"
    assert samples.edition == "WebVision 1.0"
    assert samples.root == by_wnid
    assert samples.num_classes == 3
    assert shown(samples) == {
        f"{TENCH}/a.JPEG": TENCH,
        f"{TENCH}/b.JPEG": TENCH,
        f"{GOLDFISH}/c.jpg": GOLDFISH,
        f"{JAGUAR}/d.png": JAGUAR,
    }
    assert set(samples.query) == set(samples.rank) == {-1}
    assert (
        samples.fingerprint == load(by_wnid).fingerprint != load(by_wnid, "webvision2").fingerprint
    )


def test_labels_are_those_of_the_runs_own_vocabulary(by_wnid: Path) -> None:
    assert load(by_wnid).label.tolist() == [0, 0, 1, 2]
    assert load(by_wnid, "webvision2").label.tolist() == [3, 3, 1, 0]
    assert load(by_wnid, "webvision2").num_classes == 4
    chosen = load(by_wnid, options="&classes=1-2")
    assert chosen.label.tolist() == [0, 1]
    assert chosen.edition == "WebVision 1.0, classes 1-2"


def test_folders_by_number_are_the_editions_classes(tmp_path: Path) -> None:
    val = lay(tmp_path / "val", "0/a.JPEG", "1/b.JPEG", "2/c.JPEG")
    assert shown(load(val)) == {"0/a.JPEG": TENCH, "1/b.JPEG": GOLDFISH, "2/c.JPEG": JAGUAR}
    assert load(val, options="&classes=2").label.tolist() == [0]
    lay(val, "3/d.JPEG")
    with pytest.raises(
        DataError, match=r"val, folder 3: class number 3 is out of range; WebVision"
    ):
        load(val)


def test_numbers_mean_nothing_in_the_second_edition(tmp_path: Path) -> None:
    val = lay(tmp_path / "val", "0/a.JPEG")
    said = r"val, folder 0: class number 0 means one class in ILSVRC-12 and another in WebVision 2"
    with pytest.raises(DataError, match=said):
        load(val, "webvision2")


@pytest.mark.parametrize("place", ["beside", "inside", "named", "above"])
def test_flat_pictures_with_a_list(tmp_path: Path, place: str) -> None:
    names = [f"ILSVRC2012_val_0000000{k}.JPEG" for k in range(1, 5)]
    val = lay(tmp_path / "imagenet" / "val", *names)
    path = (val if place == "inside" else val.parent) / "imagenet_val.txt"
    path.write_text(f"{names[0]} 2\n{names[1]} 0\n{names[2]} {GOLDFISH}\n{names[3]} {SHARK}\n")
    asked = {"named": path, "above": val.parent}
    samples = load(asked.get(place, val))
    assert samples.root == val
    assert shown(samples) == {names[0]: JAGUAR, names[1]: TENCH, names[2]: GOLDFISH}


def test_a_list_may_name_folders(by_wnid: Path) -> None:
    path = by_wnid.parent / "mine.txt"
    path.write_text(f"{TENCH}/a.JPEG 0\n{GOLDFISH}/c.jpg 1\n{JAGUAR}/d.png 2\n")
    assert load(path).files.tolist() == [f"{TENCH}/a.JPEG", f"{GOLDFISH}/c.jpg", f"{JAGUAR}/d.png"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a.JPEG", r"imagenet_val\.txt, line 2: 'a.JPEG' is not like 'ILSVRC2012_val_00000001"),
        ("a.JPEG tench", r"imagenet_val\.txt, line 2: .* is not like"),
        ("../a.JPEG 0", r"imagenet_val\.txt, line 2: .* points outside the data folder"),
        ("/etc/passwd 0", r"imagenet_val\.txt, line 2: .* points outside the data folder"),
        ("a/b/c.JPEG 0", r"imagenet_val\.txt, line 2: .* is not like"),
        (
            "a.JPEG 3",
            r"imagenet_val\.txt, line 2: class number 3 is out of range; WebVision 1\.0 h",
        ),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    val = lay(tmp_path / "val", "b.JPEG")
    (val / "imagenet_val.txt").write_text(f"b.JPEG 0\n{line}\n")
    with pytest.raises(DataError, match=said):
        load(val)


def test_a_part_of_the_set_is_refused(by_wnid: Path) -> None:
    shutil.rmtree(by_wnid / GOLDFISH)
    with pytest.raises(
        DataError, match=r"1 of 3 classes have no picture .* first is n01443537 gol"
    ):
        load(by_wnid)
    assert load(by_wnid, options="&classes=0,2").label.tolist() == [0, 0, 1]


def test_classes_that_the_set_has_not_are_refused(by_wnid: Path) -> None:
    with pytest.raises(
        DataError, match=r"1 of 1 classes have no picture .* first is n02472293 homo"
    ):
        load(by_wnid, "webvision2", "&classes=2")


def test_pictures_that_are_listed_but_not_there_are_named(tmp_path: Path) -> None:
    val = lay(tmp_path / "val", "a.JPEG", "b.JPEG")
    (val / "val.txt").write_text("a.JPEG 0\nb.JPEG 1\nc.JPEG 2\n")
    with pytest.raises(DataError, match=r"val\.txt, line 3: .c.JPEG. is not in .*1 of 3 pictures"):
        load(val)


def test_an_empty_or_missing_folder_says_what_belongs_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere cannot be read: No such file .* names a folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"holds no pictures in folders and no list; ilsvrc= names"):
        load(lay(tmp_path / "flat", "ILSVRC2012_val_00000001.JPEG"))


def test_two_kinds_of_folders_are_refused(by_wnid: Path) -> None:
    lay(by_wnid, "0/a.JPEG")
    with pytest.raises(
        DataError, match=r"by WordNet id \(n01440764\) and by number \(0\); keep one"
    ):
        load(by_wnid)


def test_it_is_not_a_split_unless_asked_for() -> None:
    spec = RunSpec(plugin="baseline", data=DataSpec.parse(f"webvision1:{TREES / 'webvision1'}"))
    with pytest.raises(NoLabelsError, match="add ilsvrc=FOLDER to --data"):
        WebVision1().load_samples(spec, "ilsvrc")


def test_drawn_data_have_none(tiny_home: Path) -> None:
    spec = RunSpec(plugin="baseline", data=DataSpec.parse("synthweb:tiny"), home=tiny_home)
    with pytest.raises(NoLabelsError):
        SynthWeb().load_samples(spec, "ilsvrc")
