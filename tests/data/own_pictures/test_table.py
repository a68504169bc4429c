"""Tables of pictures: columns, lines and what is wrong with them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

FILES = [f"pictures/{number:02}.png" for number in range(24)]


def labels(number: int) -> str:
    return "ab"[number % 2]


@pytest.fixture
def pictures(tmp_path, save) -> Path:
    """The folder of the table, with the pictures beside it."""
    return save(tmp_path / "own", FILES)


def write(folder: Path, lines: list[str], name: str = "table.csv") -> Path:
    path = folder / name
    path.write_text("\n".join([*lines, ""]))
    return path


def listing(*more: str, header: str = "path,label") -> list[str]:
    """A table of all pictures, each line continued by what ``more`` holds in turn."""
    more = more or ("",)
    rows = (f"{file},{labels(n)}{more[n % len(more)]}" for n, file in enumerate(FILES))
    return [header, *rows]


def test_path_and_label_are_enough(pictures, read):
    own = read(write(pictures, listing()))
    train = own.samples("train")
    assert own.drawn is True
    assert (len(train), len(own.samples("val")), len(own.samples("test"))) == (18, 2, 4)
    assert [labels(int(Path(file).stem)) for file in train.files.tolist()] == [
        "ab"[label] for label in train.label
    ]
    assert train.weight.tolist() == [1.0] * 18
    assert own.truth is None
    assert own.edition == f"csv-table-{own.edition[-8:]}"


def test_all_columns_are_read(pictures, read):
    header = "Path, Label ,split,clean_label,text,weight,photographer"
    lines = listing(
        ",train,a,\"red, round\",0.5,Ann", ",train,b,,2,Ben", ",test,b,x,,Cid", ",val,b,y,1,Dee",
        header=header,
    )  # fmt: skip
    own = read(write(pictures, lines))
    train, test = own.samples("train"), own.samples("test")
    number = {file: place for place, file in enumerate(FILES)}
    rows = [number[file] for file in train.files.tolist()]
    assert set(rows) == {n for n in range(24) if n % 4 < 2}
    assert train.weight.tolist() == [0.5 if n % 4 == 0 else 2.0 for n in rows]
    assert own.truth.tolist() == train.label.tolist() == [n % 2 for n in rows]
    texts = [text.title for text in train.texts()]
    assert texts == ["red, round" if n % 4 == 0 else "" for n in rows]
    assert train.context_fingerprint() != train.fingerprint
    assert test.label.tolist() == [1] * 6, "a clean label is what a test is scored against"


def test_a_clean_label_outside_the_classes_matches_none(pictures, read):
    header = "path,label,split,clean_label"
    own = read(write(pictures, listing(",train,a", ",train,?", ",test,a", header=header)))
    assert set(own.truth.tolist()) == {0, -1}
    own = read(write(pictures, listing(",train,a", ",train,", ",test,a", header=header)))
    assert own.truth is None, "what is not known for all is not scored"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_tables_of_spreadsheets_are_read(separator, mark, end, pictures, read):
    text = end.join([*listing(), "", ""]).replace(",", separator)
    (pictures / "table.csv").write_bytes(mark + text.encode())
    assert len(read(pictures / "table.csv").listed) == 24


def test_paths_may_be_absolute_or_at_home_or_of_any_bytes(pictures, tmp_path, read, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    odd = os.fsencode(pictures) + b"/\xe9.png"
    shutil.copy(pictures / FILES[2], odd)
    lines = listing()
    lines[1] = lines[1].replace("pictures", str(pictures / "pictures"))
    lines[2] = lines[2].replace("pictures", "~/own/pictures")
    content = "\n".join(lines).encode().replace(FILES[2].encode(), b"\xe9.png")
    (pictures / "table.csv").write_bytes(content)
    own, plain = read(pictures / "table.csv"), read(write(pictures, listing(), "other.csv"))
    for split in ("train", "val", "test"):
        assert own.samples(split).fingerprint == plain.samples(split).fingerprint


def test_weights_and_clean_labels_are_part_of_the_data(pictures, read):
    plain = read(write(pictures, listing()))
    header = "path,label,clean_label,weight"
    editions = {plain.edition}
    for more in (",,1", ",a,1", ",,2"):
        own = read(write(pictures, listing(more, header=header)))
        editions.add(own.edition)
    assert len(editions) == 4 - 1, "an unknown clean label and a weight of 1 change nothing"


LISTED = listing()


WEIGHTS, SPLITS = "path,label,weight", "path,label,split"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "lists no pictures; write a line path,label"),
        (["path,label"], "lists no pictures"),
        (["file,label", "a.png,a"], "first line: no column 'path'"),
        (["path,class", "a.png,a"], "first line: no column 'label'"),
        (["path,label,label", "a.png,a,a"], "column label is repeated"),
        (["path,label,clean_lable", "x,a,a"], "'clean_lable' is not known; call it clean_label"),
        ([*LISTED, "x.png"], "line 26 has 1 cells, the first line 2"),
        ([*LISTED, "x.png,a,b"], "line 26 has 3 cells, the first line 2; put quotes"),
        ([*LISTED, 'x.png,"a'], "line 26: unexpected end of data"),
        ([*LISTED, ",a"], "line 26: path is empty"),
        ([*LISTED, "x.png, "], "line 26: label is empty"),
        ([*LISTED, "none.png,a"], "none.png: No such file or directory"),
        ([*LISTED, "pictures,a"], "/pictures: Is a directory"),
        ([*LISTED, f"{FILES[0]},b"], "listed before, in line 2, with another label: 'a', now 'b'"),
        (listing(",1", ",-1", header=WEIGHTS), "line 3: weight -1 must be finite and not below 0"),
        (listing(",nan", header=WEIGHTS), "line 2: weight nan must be finite"),
        (listing(",heavy", header=WEIGHTS), "line 2: weight 'heavy' is not a number"),
        (listing(",0", header=WEIGHTS), "the weight of every training picture is 0"),
        (listing(",train", ",", header=SPLITS), "line 3: split is empty, but other lines"),
        (listing(",trian", header=SPLITS), "unknown split 'trian'; did you mean 'train'?"),
        ([line.replace(",b", ",a") for line in LISTED], "has only one class, 'a'"),
        (listing(",test", header=SPLITS), "has no training pictures"),
        (
            listing(",train,a", ",train,b", ",test,c", header="path,label,split,clean_label"),
            "test has a label that train does not have: unknown label 'c'; of train: a, b",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(lines, words, pictures, call):
    path = write(pictures, lines)
    ended = call("run", "--plugin", "baseline", "--data", f"csv:{path}")
    assert words in ended.error
    assert "table.csv" in ended.error


def test_other_files_than_tables_are_said_in_one_line(pictures, call):
    (pictures / "wide.csv").write_text("\n".join(LISTED), encoding="utf-16")
    for path, words in (
        ("", "--data csv needs a path, for example --data csv:/data/pictures.csv"),
        (f":{pictures}", f"name a table with columns path,label, or write folder:{pictures}"),
        (f":{pictures}/none.csv", "none.csv does not exist; name a table"),
        (f":{pictures}/wide.csv", "is not UTF-8 text, probably UTF-16; save it as UTF-8"),
        (f":{pictures}/{FILES[0]}", "is not UTF-8 text"),
    ):  # fmt: skip
        ended = call("plan", "--plugin", "baseline", "--data", f"csv{path}")
        assert words in ended.error


def test_a_table_may_repeat_a_line(pictures, read):
    own = read(write(pictures, [*LISTED, LISTED[1]]))
    split = dict(zip(own.listed.lines, own.split, strict=True))
    assert split[2] == split[26]


def test_the_profile_fits_the_pictures_and_follows_from_them_alone(pictures, read):
    own = read(write(pictures, listing()))
    assert own.profile == read(write(pictures, listing(), "copy.csv")).profile
    assert (own.profile.input_size, own.profile.batch_size) == (40, 8)
    assert own.profile.epochs_share == 1.0
    large = read(write(pictures, listing()), profile="gpu").profile
    assert large.backbone == "resnet18"
