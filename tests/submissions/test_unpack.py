"""Zips and folders that nobody has looked at: what is wrong is named, and nothing is taken."""

from __future__ import annotations

import io
import os
import shutil
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.submissions import names

Members = dict[str, bytes]
Refused = Callable[..., str]
Zipped = Callable[..., Path]


def add(path: Path, name: str, data: bytes = b"{}", mode: int = 0o100644, **more: int) -> Path:
    info = zipfile.ZipInfo("x")
    info.filename = name  # as it is: the constructor would correct it
    info.external_attr = mode << 16
    for key, value in more.items():
        setattr(info, key, value)
    with zipfile.ZipFile(path, "a") as whole:
        whole.writestr(info, data)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "../outside.json",
        "/etc/passwd",
        "records/../../outside.json",
        "records/baseline-seed0-0123456789abcdef/../../../outside.npz",
        "records\\..\\outside.json",
        "C:/outside.json",
        "records/.hidden-seed0-0123456789abcdef.json",
        "records/baseline-seed0-0123456789abcdef.json.exe",
        "records/baseline-seed0-0123456789abcdef\x1b[2J.json",
        "records/" + "a" * 300 + "-seed0-0123456789abcdef.json",
        "verified.json",
        "plugins/evil.py",
        "records/link/",
    ],
)
def test_a_name_that_no_submission_has_is_refused(
    members: Members, zipped: Zipped, refused: Refused, tmp_path: Path, name: str
) -> None:
    line = refused(add(zipped(members), name, b"", 0 if name.endswith("/") else 0o100644))
    assert "of a submission" in line
    assert "\x1b" not in line
    assert not (tmp_path / "outside.json").exists()


@pytest.mark.parametrize("kind", ["link", "pipe", "device", "folder"])
def test_a_member_that_is_not_a_plain_file_is_refused(
    members: Members, zipped: Zipped, refused: Refused, kind: str
) -> None:
    modes = {"link": stat.S_IFLNK, "pipe": stat.S_IFIFO, "device": stat.S_IFCHR}
    name = "records/baseline-seed0-0123456789abcdef.json"
    mode = modes.get(kind, stat.S_IFDIR) | 0o777
    line = refused(add(zipped(members), name, b"/etc/passwd", mode))
    assert f"'{name}' is {'a link, not a file' if kind == 'link' else 'not a plain file'}" in line


def test_a_bomb_is_refused_before_a_byte_of_it_is_unpacked(
    members: Members, zipped: Zipped, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    (record,) = (name for name in members if names.id_of(name))
    zeros = bytes(65 << 20)
    line = refused(zipped({**members, record: zeros}))
    assert f"{record} has {65 << 20} bytes, more than" in line
    npz = next(name for name in members if name.endswith(".npz"))
    monkeypatch.setattr(names, "MOST_WHOLE", 1 << 20)
    assert "it would take" in refused(zipped({**members, npz: zeros}))
    monkeypatch.setattr(names, "MOST_FILES", 3)
    assert f"it has {len(members)} files, more than 3" in refused(zipped(members))


def test_a_bomb_inside_of_the_predictions_is_refused(
    members: Members, zipped: Zipped, refused: Refused
) -> None:
    """The header of an array announces 2^60 values; no memory is asked for."""
    import hashlib
    import json

    from harness.store.seals import sealed_record

    (record,) = (name for name in members if names.id_of(name))
    content = json.loads(members[record])
    del content["digest"], content["cost"]["digest"]
    npz = next(name for name in members if name.endswith("val-1-view-last.npz"))
    header = b"{'descr': '<i4', 'fortran_order': False, 'shape': (1152921504606846976,), }\n"
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w") as whole:
        whole.writestr("labels.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    for score in content["scores"]:
        if score["predictions_sha256"] == hashlib.sha256(members[npz]).hexdigest():
            score["predictions_sha256"] = hashlib.sha256(bomb.getvalue()).hexdigest()
    forged = {**members, record: sealed_record(content).encode(), npz: bomb.getvalue()}
    assert "labels.npy does not have the (1152921504606846976,) values" in refused(zipped(forged))


def test_a_size_that_is_announced_too_small_is_refused(
    members: Members, zipped: Zipped, refused: Refused
) -> None:
    path = zipped(members)
    data = bytearray(path.read_bytes())
    start = data.index(b"PK\x01\x02")  # the first entry of the table of contents
    data[start + 24 : start + 28] = (10).to_bytes(4, "little")
    path.write_bytes(data)
    assert "it is cut short or damaged" in refused(path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_zip_that_is_cut_short_is_refused(
    members: Members, zipped: Zipped, refused: Refused, share: float
) -> None:
    path = zipped(members)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert ("it is cut short" if share else "it is not a zip") in refused(path)


def test_a_byte_that_flipped_is_found(members: Members, zipped: Zipped, refused: Refused) -> None:
    path = zipped(members)
    data = bytearray(path.read_bytes())
    data[300] ^= 1
    path.write_bytes(data)
    assert "it is cut short or damaged" in refused(path)


def test_what_is_not_a_zip_is_refused(refused: Refused, tmp_path: Path, packed: Path) -> None:
    text = tmp_path / "a.zip"
    text.write_text("hello, this is not a zip at all")
    assert "it is not a zip" in refused(text)
    longer = tmp_path / "b.zip"
    longer.write_bytes(packed.read_bytes() + b"more")
    assert "has bytes after its end" in refused(longer)
    empty = tmp_path / "c.zip"
    zipfile.ZipFile(empty, "w").close()
    assert "it contains no record" in refused(empty)
    os.mkfifo(tmp_path / "d.zip")
    assert "not a plain file but a pipe" in refused(tmp_path / "d.zip")


def test_a_zip_of_the_64_bit_kind_is_refused(
    refused: Refused, packed: Path, tmp_path: Path
) -> None:
    data = packed.read_bytes()
    locator = b"PK\x06\x07" + bytes(16)
    path = tmp_path / "a.zip"
    path.write_bytes(data[:-22] + locator + data[-22:])
    assert "64-bit" in refused(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_that_is_in_a_zip_twice_is_refused(
    members: Members, zipped: Zipped, refused: Refused
) -> None:
    (record,) = (name for name in members if names.id_of(name))
    assert f"{record} is in it twice" in refused(add(zipped(members), record))
    other = record.replace("baseline", "Baseline")
    assert f"{other} is in it twice" in refused(add(zipped(members), other))


def test_an_encrypted_member_and_an_unknown_method_are_refused(
    members: Members, zipped: Zipped, refused: Refused
) -> None:
    path = zipped(members)
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    flags = bytes(data)
    data[entry + 8] |= 1
    path.write_bytes(data)
    assert "is encrypted" in refused(path)
    data = bytearray(flags)
    data[entry + 10] = zipfile.ZIP_LZMA
    path.write_bytes(data)
    assert "is packed by method 14" in refused(path)


def test_predictions_of_no_record_are_refused(
    members: Members, zipped: Zipped, refused: Refused
) -> None:
    (record,) = (name for name in members if names.id_of(name))
    del members[record]
    assert "it contains no record" in refused(zipped(members))
    stray = "records/other-seed0-0123456789abcdef/val.npz"
    assert f"{stray} belongs to no record" in refused(zipped({record: b"", stray: b""}))


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A folder with one run, as someone's clone of a board has it."""
    folder = tmp_path / "clone"
    shutil.copytree(finished / "records", folder / "records")
    for path in folder.glob("records/*seed1*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder


def test_a_folder_is_taken_with_its_other_files_left(
    folder: Path, call: Callable[..., Any], harness_home: Path
) -> None:
    (folder / "README.md").write_text("our board")
    assert call("leaderboard", "--add", str(folder)).status == 0
    assert len(list((harness_home / "records").glob("*.json"))) == 1
    assert not (harness_home / "README.md").exists()


@pytest.mark.parametrize("where", ["record", "predictions", "beside", "records", "dangling"])
def test_links_of_a_folder_are_not_followed(
    folder: Path, refused: Refused, tmp_path: Path, where: str
) -> None:
    (record,) = folder.glob("records/*.json")
    paths = {
        "record": record,
        "predictions": next(record.with_suffix("").iterdir()),
        "beside": record.with_suffix(""),
        "records": folder / "records",
        "dangling": next(record.with_suffix("").iterdir()),
    }
    path = paths[where]
    path.rename(tmp_path / "real")
    path.symlink_to(tmp_path / ("nothing" if where == "dangling" else "real"))
    assert "is a link, not a f" in refused(folder)


def test_other_things_in_a_folder_are_refused(folder: Path, refused: Refused) -> None:
    (record,) = folder.glob("records/*.json")
    os.mkfifo(record.with_suffix("") / "val.npz")
    assert "val.npz is not a plain file" in refused(folder)
    (record.with_suffix("") / "val.npz").unlink()
    (record.with_suffix("") / "run.py").write_text("")
    assert "run.py' is not the name of a file of a submission" in refused(folder)


def test_an_empty_folder_is_refused(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "it contains no record" in refused(tmp_path / "empty")


def test_a_file_that_is_not_there_is_said(refused: Refused, tmp_path: Path) -> None:
    assert "it cannot be read: No such file" in refused(tmp_path / "nothing.zip")
