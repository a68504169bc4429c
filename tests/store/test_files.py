"""Files are written whole or not at all, on a disk that is really full, too."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from harness.errors import HarnessError
from harness.store.files import atomic_write, write_text

MEGABYTE = 1 << 20


def with_torch(file: IO[bytes]) -> None:
    import torch

    torch.save({"weights": torch.zeros(MEGABYTE // 4)}, file)


WRITERS: dict[str, Callable[[IO[bytes]], object]] = {
    "bytes": lambda file: file.write(bytes(MEGABYTE)),
    "many small": lambda file: [file.write(bytes(100)) for _ in range(MEGABYTE // 100)],
    "npy": lambda file: np.save(file, np.zeros(MEGABYTE // 8)),
    "npz": lambda file: np.savez(file, a=np.zeros(MEGABYTE // 8)),
    "compressed npz": lambda file: np.savez_compressed(
        file, a=np.random.default_rng(0).random(MEGABYTE)
    ),
    "torch": with_torch,
}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("only root may mount a file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_the_folder_is_made_and_the_text_is_utf8(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "text"
    write_text(path, "schräg ±")
    assert path.read_bytes() == "schräg ±".encode()
    assert names(path.parent) == ["text"]


@pytest.mark.parametrize("writer", WRITERS)
def test_what_libraries_write_can_be_read_again(tmp_path: Path, writer: str) -> None:
    atomic_write(tmp_path / "file", WRITERS[writer])
    direct = tmp_path / "direct"
    with direct.open("wb") as file:
        WRITERS[writer](file)
    assert abs((tmp_path / "file").stat().st_size - direct.stat().st_size) < 1000


def test_nothing_is_seen_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("before")

    def write(file: IO[bytes]) -> None:
        file.write(b"after")
        file.flush()
        assert path.read_text() == "before"

    atomic_write(path, write)
    assert path.read_text() == "after"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_writer_that_stops_leaves_what_was_there(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "file"
    path.write_text("before")

    def write(file: IO[bytes]) -> None:
        file.write(b"half")
        raise error

    with pytest.raises(error):
        atomic_write(path, write)
    assert path.read_text() == "before"
    assert names(tmp_path) == ["file"]


def test_others_may_read_what_the_umask_lets_them(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "file", "")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_said_in_one_line_and_keeps_the_old_file(
    tiny_disk: Path, writer: str
) -> None:
    path = tiny_disk / "file"
    write_text(path, "before")
    with pytest.raises(HarnessError, match=r"the disk is full; free some room .* HARNESS_HOME"):
        atomic_write(path, WRITERS[writer])
    assert path.read_text() == "before"
    assert names(tiny_disk) == ["file"]


def test_a_file_beyond_the_limit_leaves_nothing(tmp_path: Path) -> None:
    script = """
import resource, sys
from pathlib import Path
from harness.errors import HarnessError
from harness.store.files import atomic_write
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    atomic_write(Path(sys.argv[1]), lambda file: file.write(bytes(10_000)))
except HarnessError as error:
    print(error)
"""
    path = tmp_path / "out" / "file"
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"cannot write {path}: File too large\n"
    assert names(path.parent) == []


def test_a_folder_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HarnessError, match=r"^cannot write .*file/below: "):
        write_text(tmp_path / "file" / "below", "text")


def test_an_error_of_the_writer_that_is_not_the_disks_is_its_own(tmp_path: Path) -> None:
    def write(file: IO[bytes]) -> None:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        atomic_write(tmp_path / "file", write)


def test_a_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    full, null = tmp_path / "full", tmp_path / "null"
    full.symlink_to("/dev/full")
    null.symlink_to("/dev/null")
    write_text(null, "text")
    with pytest.raises(HarnessError, match="the disk is full"):
        write_text(full, "text")
    assert names(tmp_path) == ["full", "null"]
    assert all(path.is_symlink() and path.is_char_device() for path in (full, null))


def test_a_pipe_is_written_to_if_it_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(HarnessError, match=f"cannot write {pipe}"):
        write_text(pipe, "text")
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True) as reader:
        for _ in range(1000):
            try:
                write_text(pipe, "text")
                break
            except HarnessError:  # the reader has not opened it yet
                time.sleep(0.01)
        assert reader.communicate(timeout=10)[0] == "text"
    assert pipe.is_fifo()


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_standard_output_is_written_to_wherever_it_leads(tmp_path: Path, name: str) -> None:
    program = "import sys; from pathlib import Path; from harness.store.files import write_text; "
    program += "print('before'); write_text(Path(sys.argv[1]), 'text'); print('after')"
    command = [sys.executable, "-c", program, name]
    piped = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    assert piped.stdout == "before\ntextafter\n"
    with (tmp_path / "out").open("w") as file:
        subprocess.run(command, check=True, stdout=file)
    assert (tmp_path / "out").read_text() == "before\ntextafter\n"
    assert Path("/dev/stdout").is_symlink()


@pytest.mark.slow
@pytest.mark.parametrize("how", [">", ">>"])
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "link"])
def test_what_is_printed_before_and_after_is_kept(tmp_path: Path, how: str, name: str) -> None:
    output = tmp_path / "out"
    output.write_text("old\n")
    (tmp_path / "link").symlink_to("/dev/stdout")
    harness = f"'{Path(sys.executable).with_name('harness')}' leaderboard --format csv"
    listed = subprocess.run(
        ["bash", "-c", f"{harness} 2>/dev/null"], check=True, capture_output=True, text=True
    ).stdout
    told = f"echo first; {harness} --output {name} 2>&1; echo last"
    subprocess.run(["bash", "-c", f"({told}) {how} out"], check=True, cwd=tmp_path)
    kept = "old\n" if how == ">>" else ""
    text = output.read_text()
    assert text.startswith(f"{kept}first\n{listed}")
    assert text.endswith(f"\nwrote {name}\nlast\n")
