"""One data set in folders, in indexed archives and packed: the same columns, the same refusals."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.data.webvision import WebVision1
from harness.data.webvision.index.build import build_index
from harness.data.webvision.pack.write import Packing, pack
from harness.errors import DataError
from harness.samples import COLUMNS, Samples
from harness.spec import DataSpec, RunSpec

TREE = Path(__file__).parent / "trees" / "webvision1"
FOLDERS = ("google", "flickr", "val_images_256", "test_images_256")
SPLITS = ("train", "val", "test")
LAYOUTS = ("indexed", "packed")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The hand-written tree with a file at every line of its lists that begins like a JPEG."""
    folder = tmp_path / "tree"
    shutil.copytree(TREE, folder)
    for name, below in (
        ("train_filelist_all", ""),
        ("val_filelist", "val_images_256/"),
        ("test_filelist", "test_images_256/"),
    ):
        for line in (folder / "info" / f"{name}.txt").read_text().splitlines():
            put(folder / f"{below}{line.split()[0]}")
    return folder


def put(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\xff\xd8\xff\xe0" + os.fsencode(path.name))


def archived(root: Path, layout: str) -> Path:
    """The same in archives: indexed where they lie, or packed by us."""
    output = root.parent / layout
    if layout == "packed":
        pack(root, output, Packing(short_side=None))
        return output
    output.mkdir()
    shutil.copytree(root / "info", output / "info")
    for folder in FOLDERS:
        with tarfile.open(output / f"{folder}.tar", "w") as archive:
            archive.add(root / folder, folder)
            if (root / "litter").exists():
                for name in (f"__MACOSX/{folder}/._a.jpg", f"{folder}/._q0001.json", "Thumbs.db"):
                    archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    if (root / "litter").exists():
        (output / "._google.tar").write_bytes(b"\x00\x05\x16\x07")
        (output / ".DS_Store").touch()
    built = build_index(output)
    if (root / "litter").exists():
        assert not built.unlisted
    return output


def load(root: Path, split: str, options: dict[str, str]) -> Samples:
    spec = RunSpec(plugin="any", data=DataSpec(name="webvision1", path=str(root), options=options))
    return WebVision1().load_samples(spec, split)


def outcome(root: Path, split: str, options: dict[str, str]) -> Any:
    """What a run is given: columns, texts and queries, or the refusal without the folder's name."""
    try:
        samples = load(root, split, options)
    except DataError as error:
        return type(error).__name__, without_place(error, root)
    found: dict[str, Any] = {name: np.asarray(getattr(samples, name)).tolist() for name in COLUMNS}
    assert samples.fingerprint == load(root, split, options).fingerprint
    return found | {"classes": samples.classes, "edition": samples.edition, **words(samples)}


def words(samples: Samples) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("texts", "searched"):
        try:
            found[name] = getattr(samples, name)()
        except DataError:
            found[name] = "refused"
    return found


def without_place(error: DataError, root: Path) -> str:
    return str(error).replace(f"{root}/.harness-index", "ROOT").replace(str(root), "ROOT")


def nothing(_root: Path) -> None:
    """The data set as it is."""


def drop(*names: str) -> Callable[[Path], None]:
    def remove(root: Path) -> None:
        for name in names:
            for path in root.glob(name):
                path.unlink()

    return remove


def label_test(root: Path) -> None:
    (root / "info" / "test_labels.txt").write_text("test000001.jpg 2\ntest000002.jpg 0\n")


def label_test_in_another_order(root: Path) -> None:
    (root / "info" / "test_labels.txt").write_text("test000002.jpg 2\ntest000001.jpg 0\n")


def as_windows_saves_it(root: Path) -> None:
    label_test(root)
    for path in (root / "info").glob("*.txt"):
        text = path.read_bytes().replace(b" ", b"\t").replace(b"\n", b"\r\n")
        path.write_bytes(b"\xef\xbb\xbf\r\n" + text + b" \r\n")


def name_in_latin_1(root: Path) -> None:
    folder = root / "google" / "q0001"
    (folder / "3SqzY_kPbLQ1tM.jpg").rename(folder / os.fsdecode(b"caf\xe9 1.jpg"))
    for name in ("google", "all"):
        path = root / "info" / f"train_filelist_{name}.txt"
        path.write_bytes(path.read_bytes().replace(b"3SqzY_kPbLQ1tM", b"caf\xe9 1"))


def litter(root: Path) -> None:
    (root / "litter").touch()
    for name in ("info/._synsets.txt", "google/q0001/._a.jpg", "google/._q0001.json", ".DS_Store"):
        (root / name).write_bytes(b"\x00\x05\x16\x07")


def append(name: str, line: str) -> Callable[[Path], None]:
    def write(root: Path) -> None:
        with (root / "info" / f"{name}.txt").open("a") as file:
            file.write(line)

    return write


def list_train_twice(root: Path) -> None:
    drop("info/train_meta_list_*")(root)
    append("train_filelist_flickr", "flickr/q0001/2680197397.jpg 0\n")(root)


SITUATIONS = [
    nothing,
    drop("info/test_filelist.txt"),
    drop("info/val_filelist.txt"),
    drop("info/test_filelist.txt", "info/val_filelist.txt"),
    drop("info/train_filelist_flickr.txt"),
    drop("info/train_meta_list_*", "google/*.json", "flickr/*.json"),
    drop("google/q0001/*.jpg"),
    drop("info/queries_*"),
    label_test,
    label_test_in_another_order,
    as_windows_saves_it,
    name_in_latin_1,
    litter,
    list_train_twice,
    append("val_filelist", "val000001.jpg 2\n"),
    append("val_filelist", "val000001.jpg 0\n"),
    append("val_filelist", "val000009.jpg x\n"),
    append("train_filelist_google", "google/q0001/a.jpg 3\n"),
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("spoil", SITUATIONS, ids=range(len(SITUATIONS)))
def test_a_run_is_given_the_same(root: Path, layout: str, spoil: Callable[[Path], None]) -> None:
    spoil(root)
    asked = [("train", {}), ("train", {"source": "google"}), ("val", {}), ("test", {})]
    asked += [("train", {"classes": "1-2"}), ("val", {"classes": "1-2"})]
    plain = [outcome(root, split, options) for split, options in asked]
    try:
        place = archived(root, layout)
    except DataError as error:
        said = without_place(error, root.parent / layout).replace(str(root), "ROOT")
        assert ("DataError", said) in plain or "cannot be read" in said
        return
    for (split, options), expected in zip(asked, plain, strict=True):
        found = outcome(place, split, options)
        if split == "train" and isinstance(expected, tuple):
            assert found[0] == expected[0], (split, options)  # each names what repairs it there
        else:
            assert found == expected, (split, options)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_fingerprint_follows_the_lists_in_every_layout(root: Path, layout: str) -> None:
    before = load(root, "train", {}), load(archived(root, layout), "train", {})
    shutil.rmtree(root.parent / layout)
    path = root / "info" / "train_filelist_google.txt"
    path.write_text(path.read_text().replace("aa0kRj2_-mmQhM.jpg 2", "aa0kRj2_-mmQhM.jpg 1"))
    after = load(root, "train", {}), load(archived(root, layout), "train", {})
    for old, new in zip(before, after, strict=True):
        assert old.fingerprint != new.fingerprint
