"""Walking the headers of real archives, written by two programs in all their formats."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from harness.data.tar.headers import TarWalk
from harness.errors import DataError

FORMATS = {
    "ustar": tarfile.USTAR_FORMAT,
    "gnu": tarfile.GNU_FORMAT,
    "pax": tarfile.PAX_FORMAT,
}
LONG = "google/" + "/".join(f"q{k:04d}" for k in range(18)) + "/a.jpg"  # over 100 characters
LONGER = "google/q0001/" + "x" * 200 + "/" + "y" * 120 + ".jpg"  # over 255: not in ustar
NAMES = {
    "google/q0001/fO-sCvBzZnJH5M.jpg": b"one",
    "google/q0001/empty.jpg": b"",
    "flickr/q0002/" + "n" * 87: b"n" * 512,  # a name of exactly 100 bytes
    "flickr/q0002/two..dots.jpg": b"d" * 513,
    "google/q0003/übung-写真.jpg": b"u" * 1000,
    LONG: b"l" * 100,
    LONGER: b"L" * 2000,
}


def write_tar(path: Path, files: dict[str, bytes], kind: str = "ustar") -> Path:
    with tarfile.open(path, "w", format=FORMATS[kind]) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def contents(path: Path) -> dict[str, bytes]:
    data = path.read_bytes()
    return {name.decode(): data[at : at + size] for name, at, size in TarWalk(path)}


def problem(path: Path) -> str:
    with pytest.raises(DataError) as raised:
        list(TarWalk(path))
    message = str(raised.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("kind", FORMATS)
def test_members_of_every_format_are_found(tmp_path: Path, kind: str) -> None:
    files = {name: data for name, data in NAMES.items() if kind != "ustar" or name != LONGER}
    path = write_tar(tmp_path / "a.tar", files, kind)
    assert contents(path) == files
    with tarfile.open(path) as archive:
        expected = [(m.name.encode(), m.offset_data, m.size) for m in archive]
    assert list(TarWalk(path)) == expected


def test_pax_times_before_every_member(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(
        path, "w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "x"}
    ) as archive:
        for number in range(5):
            member = tarfile.TarInfo(f"google/q0001/{number}.jpg")
            member.size, member.mtime = 3, 1.5
            archive.addfile(member, io.BytesIO(b"%03d" % number))
    assert contents(path) == {f"google/q0001/{k}.jpg": b"%03d" % k for k in range(5)}


@pytest.mark.skipif(shutil.which("tar") is None, reason="there is no tar program here")
@pytest.mark.parametrize("kind", ["v7", "oldgnu", "gnu", "ustar", "posix"])
def test_archives_of_the_tar_program(tmp_path: Path, kind: str) -> None:
    files = {name: data for name, data in NAMES.items() if kind not in ("v7", "ustar")}
    files |= {"google/q0001/a.jpg": b"a" * 700, "google/q0009/b.jpg": b"b" * 512}
    for name, data in files.items():
        file = tmp_path / "tree" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    path = tmp_path / "a.tar"
    subprocess.run(
        ["tar", f"--format={kind}", "-cf", path, "-C", tmp_path / "tree", "."], check=True
    )
    walk = TarWalk(path)
    found = {name.decode(): (at, size) for name, at, size in walk}
    assert found.keys() == files.keys()
    data = path.read_bytes()
    assert {name: data[at : at + size] for name, (at, size) in found.items()} == files
    assert walk.skipped == {
        "folders": len({p for p in (tmp_path / "tree").rglob("*") if p.is_dir()}) + 1
    }


def test_links_folders_pipes_and_unknown_kinds_are_skipped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    kinds = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]
    with tarfile.open(path, "w") as archive:
        for number, kind in enumerate([*kinds, b"V", tarfile.REGTYPE]):
            member = tarfile.TarInfo(f"google/{number}.jpg")
            member.type, member.linkname = kind, "somewhere"
            archive.addfile(member)
    walk = TarWalk(path)
    assert [name for name, _, _ in walk] == [b"google/6.jpg"]
    assert walk.skipped == {
        "symbolic links": 1,
        "hard links": 1,
        "folders": 1,
        "pipes": 1,
        "devices": 1,
        "others": 1,
    }


@pytest.mark.skipif(shutil.which("tar") is None, reason="there is no tar program here")
@pytest.mark.parametrize("kind", ["gnu", "posix"])
def test_files_with_holes_are_stepped_over(tmp_path: Path, kind: str) -> None:
    with (tmp_path / "hole.jpg").open("wb") as file:
        for place in range(10):
            file.seek(place * 1_000_000)
            file.write(b"x")
    (tmp_path / "z.jpg").write_bytes(b"z")
    path = tmp_path / "a.tar"
    command = ["tar", f"--format={kind}", "-S", "-cf", path, "-C", tmp_path, "hole.jpg", "z.jpg"]
    subprocess.run(command, check=True)
    walk = TarWalk(path)
    assert [name for name, _, _ in walk] == [b"z.jpg"]
    assert walk.skipped == {"sparse files": 1}


def test_a_size_in_base_256_and_a_signed_checksum(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"é.jpg": b"abc", "b.jpg": b"de"}, "gnu")
    data = bytearray(path.read_bytes())
    data[124:136] = b"\x80" + (3).to_bytes(11, "big")
    data[148:156] = b" " * 8
    signed = sum(memoryview(bytes(data[:512])).cast("b"))
    data[148:156] = b"%06o\0 " % signed
    path.write_bytes(data)
    assert contents(path) == {"é.jpg": b"abc", "b.jpg": b"de"}


def test_a_walk_goes_on_from_a_position(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", NAMES, "gnu")
    every = list(TarWalk(path))
    for count in range(1, len(every)):
        walk = TarWalk(path)
        steps = iter(walk)
        for _ in range(count):
            next(steps)
        assert list(TarWalk(path, walk.position)) == every[count:]


def test_leading_dots_are_dropped_and_zeros_between_archives_passed(tmp_path: Path) -> None:
    first = write_tar(tmp_path / "1.tar", {"./google/a.jpg": b"a"})
    second = write_tar(tmp_path / "2.tar", {".//google/b.jpg": b"b"})
    path = tmp_path / "both.tar"
    path.write_bytes(first.read_bytes() + second.read_bytes() + bytes(100_000))
    assert contents(path) == {"google/a.jpg": b"a", "google/b.jpg": b"b"}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", ["../a.jpg", "/etc/passwd", "google/../../a.jpg", "..", ".//../a"])
def test_a_name_that_points_outside_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    path = write_tar(tmp_path / "a.tar", {"google/a.jpg": b"a", name: b"b"}, kind)
    message = problem(path)
    assert "offset 1024" in message
    assert f"{name.removeprefix('.//')!r} points outside the data folder" in message


def test_every_truncation_is_reported(tmp_path: Path) -> None:
    whole = write_tar(tmp_path / "whole.tar", NAMES, "gnu").read_bytes()
    end = whole.rstrip(b"\0")
    path = tmp_path / "cut.tar"
    members = -(-len(end) // 512) * 512
    for size in [*range(256, members, 256), members]:
        path.write_bytes(whole[:size])
        message = problem(path)
        assert re.search(r"offset \d+: the archive (is cut short inside|has no end mark)", message)
    path.write_bytes(whole[: members + 512])
    assert len(list(TarWalk(path))) == len(NAMES)


def test_every_flipped_byte_of_a_header_is_noticed(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"a.jpg": b"a", "b.jpg": b"b", "c.jpg": b"c"})
    whole = path.read_bytes()
    for place in [1030, 1024 + 130, 1024 + 150, 1024 + 156, 1024 + 260]:
        data = bytearray(whole)
        data[place] ^= 0x11
        path.write_bytes(data)
        assert "offset 1024: there is no valid tar header here" in problem(path)


@pytest.mark.parametrize(
    ("start", "word"),
    [(b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ", "xz"), (b"PK\x03\x04", "zip")],
)
def test_a_compressed_archive_is_called_so(tmp_path: Path, start: bytes, word: str) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(start + b"x" * 2000)
    assert f"is compressed ({word})" in problem(path)


def test_what_is_not_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(b"<html>" + b"not found " * 200)
    assert "does not begin with a tar header" in problem(path)
    path.write_bytes(b"")
    assert "is empty" in problem(path)
    path.write_bytes(bytes(10_240))
    assert list(TarWalk(path)) == []
    path.unlink()
    assert "cannot be read" in problem(path)
    path.mkdir()
    assert "cannot be read" in problem(path)


def extra_header(kind: bytes, content: bytes, size: int | None = None) -> bytes:
    member = tarfile.TarInfo("././@LongLink")
    member.type, member.size = kind, len(content) if size is None else size
    return member.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512)


@pytest.mark.parametrize(
    "content",
    [
        b"99999 path=x\n",
        b"0 path=x\n",
        b"-5 path=x\n",
        b"path",
        b"9 path=x\n" * 3 + b"7",
        b"15 size=9_000_0\n",
        b"12 size=-10\n",
    ],
)
def test_broken_pax_headers_are_reported(tmp_path: Path, content: bytes) -> None:
    path = write_tar(tmp_path / "a.tar", {"a.jpg": b"a"})
    path.write_bytes(path.read_bytes()[:1024] + extra_header(b"x", content) + path.read_bytes())
    assert "offset 1024" in problem(path)


def test_a_huge_long_name_is_not_read(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"a.jpg": b"a"})
    rest = path.read_bytes()
    path.write_bytes(rest[:1024] + extra_header(b"L", b"", size=1 << 30) + rest)
    assert "offset 1024" in problem(path)


def test_a_size_that_points_backwards_ends_the_walk(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"a.jpg": b"a", "b.jpg": b"b"})
    for field in (b"-0000002000\0", b"0000_00_001\0", b"0o000000001\0", b"\xff" * 12):
        data = bytearray(path.read_bytes())
        data[1024 + 124 : 1024 + 136] = field
        data[1024 + 148 : 1024 + 156] = b" " * 8
        data[1024 + 148 : 1024 + 156] = b"%06o\0 " % sum(data[1024:1536])
        broken = tmp_path / "broken.tar"
        broken.write_bytes(data)
        assert "offset 1024" in problem(broken)
