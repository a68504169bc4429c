"""Plain files are read whole; what may pass is waited out; what hangs or never ends is refused."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.store import reading
from harness.store.reading import look_for, patiently, read_plain

PASSING = [
    *(errno.EIO, errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.ENOMEM, errno.ETIMEDOUT),
    *(errno.EAGAIN, errno.ENETDOWN, errno.ENOTCONN, errno.EHOSTDOWN, errno.EBUSY),
]
PROVEN = [errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EFBIG, errno.ELOOP]


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "WAITS", (0.0, 0.0))
    monkeypatch.setattr(reading, "_said_at", -1e9)


def failing(error: BaseException, times: int) -> Callable[[], str]:
    left = [times]

    def read() -> str:
        left[0] -= 1
        if left[0] >= 0:
            raise error
        return "content"

    return read


@pytest.mark.parametrize("error", [*(OSError(n, os.strerror(n)) for n in PASSING), MemoryError()])
def test_what_passes_costs_a_wait_and_a_line(
    error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):  # said once, not for each file
        assert patiently(failing(error, 2), lambda: "a\x1b.jpg") == "content"
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("a\\x1b.jpg: ")
    assert "trying again" in line


@pytest.mark.parametrize("number", PASSING)
def test_what_does_not_pass_stops_and_names_file_and_error(number: int) -> None:
    with pytest.raises(HarnessError, match=f"cannot read a.jpg: .*{errno.errorcode[number]}"):
        patiently(failing(OSError(number, os.strerror(number)), 3), lambda: "a.jpg")


@pytest.mark.parametrize("number", PROVEN)
def test_what_the_file_proves_is_said_at_once(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(OSError, match=os.strerror(number)):
        patiently(failing(OSError(number, os.strerror(number)), 1), lambda: "a.jpg")
    assert capsys.readouterr().err == ""


def test_a_file_that_may_not_be_read_stops_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(HarnessError, match=r"EACCES\); make it readable"):
        patiently(failing(PermissionError(errno.EACCES, "Permission denied"), 1), lambda: "a.jpg")
    assert capsys.readouterr().err == ""


def test_a_plain_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content" * 1000)
    assert read_plain(path, 7000) == b"content" * 1000
    link = tmp_path / "link"
    link.symlink_to(path)
    assert read_plain(link, 7000) == b"content" * 1000
    with pytest.raises(OSError, match="has 7000 bytes, more than 6999"):
        read_plain(path, 6999)
    assert look_for(path)
    assert not look_for(tmp_path / "none")
    assert not look_for(path / "below")


def test_a_file_that_answers_in_parts_is_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, size, at: pread(fd, min(size, 3), at))
    assert read_plain(path, 100) == b"0123456789"


def test_a_file_that_shrinks_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, size, at: pread(fd, size, at)[: 4 - at])
    with pytest.raises(HarnessError, match="ends 6 bytes before its size"):
        read_plain(path, 100)


def odd_files(folder: Path) -> dict[str, Path]:
    os.mkfifo(folder / "pipe")
    (folder / "to pipe").symlink_to(folder / "pipe")
    (folder / "to zeros").symlink_to("/dev/zero")
    (folder / "to itself").symlink_to(folder / "to itself")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "socket"))
    return {
        "not a plain file but a pipe": folder / "to pipe",
        "not a plain file but a device": folder / "to zeros",
        "not a plain file but a socket": folder / "socket",
        "Is a directory": folder,
        "Too many levels of symbolic links": folder / "to itself",
    }


def test_what_hangs_or_never_ends_is_refused_at_once(tmp_path: Path) -> None:
    for message, path in odd_files(tmp_path).items():
        with pytest.raises(OSError, match=message):
            read_plain(path, 1 << 20)
        assert not look_for(path)


def test_too_many_open_files_are_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    program = f"""
        import resource
        from pathlib import Path
        from harness.errors import HarnessError
        from harness.store import reading
        reading.WAITS = (0.0,)
        least = len(__import__("os").listdir("/proc/self/fd")) - 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (least, least))
        try:
            reading.read_plain(Path({str(path)!r}), 100)
        except HarnessError as error:
            print(error)
    """
    program = textwrap.dedent(program)
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert done.stdout.startswith(f"cannot read {path}: Too many open files (EMFILE)"), done
    assert "ulimit -n" in done.stdout
    assert "trying again" in done.stderr
