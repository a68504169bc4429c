"""The store of stages: keys, markers, and a lock that dies with its holder."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.store import lock
from harness.store.seals import DamagedError, check_marker, file_seal, write_marker
from harness.store.stages import FINISHING, SAMPLES, StageFolder, stage_folder, stage_key

HOLD = """
import sys
from pathlib import Path
from harness.store.seals import write_marker
from harness.store.stages import StageFolder
with StageFolder(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.readline()
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_key_depends_on_content_and_parents_not_on_the_order_of_names() -> None:
    assert stage_key({"a": 1, "b": 2}, ["p"]) == stage_key({"b": 2, "a": 1}, ["p"])
    found = [stage_key({"a": 1}, []), stage_key({"a": 1}, ["p"]), stage_key({"a": 2}, [])]
    found += [stage_key({"a": 1}, ["p", "q"]), stage_key({"a": 1}, ["q", "p"])]
    assert len(set(found)) == 5


def test_a_stage_is_done_once_its_marker_is_written(tmp_path: Path) -> None:
    folder = stage_folder(tmp_path, "0123456789" * 6)
    assert folder.path == tmp_path / "stages" / ("0123456789" * 6)[:32]
    assert folder.done() is None
    folder.path.mkdir(parents=True)
    (folder.path / "weights.pt").touch()
    assert folder.done() is None
    said = folder.finish({"seconds": 1.5}, ["weights.pt"])
    assert folder.done() == said
    assert (said["seconds"], list(said["files"])) == (1.5, ["weights.pt"])
    assert names(folder.path) == ["done.json", "weights.pt"]


@pytest.mark.parametrize("content", [b"", b'{"seconds": 1', b"[1]", b"null", b"\xff\xfe", b"3"])
def test_a_damaged_marker_counts_as_missing(tmp_path: Path, content: bytes) -> None:
    folder = StageFolder(tmp_path / "stages" / "key")
    folder.path.mkdir(parents=True)
    folder.marker.write_bytes(content)
    assert folder.done() is None
    assert folder.whole() is None
    assert names(tmp_path / "damaged" / "key-1") == ["done.json"]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def to_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def to_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (flip, "its digest is not the one written with it"),
        (lambda path: path.write_bytes(path.read_bytes()[:9]), "9 bytes, not 40000"),
        (lambda path: path.write_bytes(b""), "0 bytes, not 40000"),
        (Path.unlink, "No such file or directory"),
        (to_folder, "Is a directory"),
        (to_pipe, "not a plain file but a pipe"),
        (lambda path: path.write_bytes(b"best" * 10_000), "its digest is not"),
    ],
)
@pytest.mark.parametrize("blocks", [1, 4])
def test_a_damaged_file_is_named_and_set_aside_with_all_that_was_made_from_it(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[Path], object],
    words: str,
    blocks: int,
) -> None:
    monkeypatch.setattr("harness.store.seals.BLOCK", 10_000 * 4 // blocks)
    folder = StageFolder(tmp_path / "stages" / "key")
    with folder.locked():
        for name, content in (("weights.pt", b"last"), ("best.pt", b"best"), ("features.npy", b"")):
            (folder.path / name).write_bytes(content * 10_000)
        said = folder.finish({"seconds": 1.5}, ["weights.pt", "best.pt"])
        assert folder.whole() == said
        damage(folder.path / "weights.pt")
        assert folder.done() == said  # which does not look at files
        assert folder.whole() is None
        assert names(folder.path) == ["lock"]
    line = capsys.readouterr().err
    assert line.startswith(f"{folder.path / 'weights.pt'} is damaged: ")
    assert words in line
    assert line.endswith(f"; moved to {tmp_path / 'damaged' / 'key-1'} and made again\n")
    assert {"best.pt", "done.json", "features.npy"} <= set(names(tmp_path / "damaged" / "key-1"))


def test_a_part_is_set_aside_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = StageFolder(tmp_path / "stages" / "key")
    folder.path.mkdir(parents=True)
    for name in ("weights.pt", "samples.npz"):
        (folder.path / name).write_bytes(b"content")
    folder.finish({}, ["weights.pt"])
    for number in (1, 2):
        write_marker(folder.path / SAMPLES, {}, ["samples.npz"])
        assert folder.whole(SAMPLES) is not None
        (folder.path / "samples.npz").write_bytes(b"other")
        assert folder.whole(SAMPLES) is None
        assert names(tmp_path / "damaged" / f"key-{number}") == ["samples.json", "samples.npz"]
        (folder.path / "samples.npz").write_bytes(b"content")
    assert folder.whole() is not None
    assert capsys.readouterr().err.count("\n") == 2


def test_a_marker_of_another_stage_or_part_is_damaged(tmp_path: Path) -> None:
    one, two = (StageFolder(tmp_path / "stages" / name) for name in ("one", "two"))
    for folder in (one, two):
        folder.path.mkdir(parents=True)
        folder.finish({"seconds": 1}, [])
    two.marker.write_bytes(one.marker.read_bytes())
    assert two.done() is None
    with pytest.raises(DamagedError, match="was copied or moved here: it was written as one/done"):
        check_marker(two.marker)
    one.marker.rename(one.path / SAMPLES)
    with pytest.raises(DamagedError, match="was copied or moved here: it was written as one/done"):
        check_marker(one.path / SAMPLES)


def test_weights_without_marker_and_checkpoints_lost_their_marker(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = StageFolder(tmp_path / "stages" / "key")
    folder.path.mkdir(parents=True)
    (folder.path / "weights.pt").touch()
    for name in ("checkpoint-0000000001.json", FINISHING):
        (folder.path / name).touch()
        assert folder.whole() is None  # killed before its marker: it goes on
        assert capsys.readouterr().err == ""
        (folder.path / name).unlink()
    assert folder.whole() is None
    assert f"{folder.marker} is missing; moved to " in capsys.readouterr().err


def test_a_file_is_digested_once_unless_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    assert file_seal(path) == {"size": 3, "digest": hashlib.sha256(b"one").hexdigest()}
    path.write_bytes(b"two")
    assert file_seal(path)["digest"] == hashlib.sha256(b"two").hexdigest()


def test_a_marker_that_cannot_be_written_leaves_the_stage_undone(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path)
    with pytest.raises(TypeError):
        folder.finish({"not": object()})
    assert folder.done() is None
    assert names(tmp_path) == []


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of ``tmp_path / "stage"``."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "stage")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


@pytest.mark.parametrize("end", [signal.SIGKILL, None])
def test_a_second_process_waits_until_the_first_ends(
    tmp_path: Path, holder: subprocess.Popen[str], end: signal.Signals | None
) -> None:
    folder = tmp_path / "stage"
    held = (folder / "lock").read_text()
    assert held.startswith(f"{holder.pid} on {platform.node()} since 20")
    assert held.endswith(f"(harness {tmp_path / 'stage'})")  # the command
    second = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert second.stderr is not None
    waiting = second.stderr.readline()
    assert waiting == f"waiting for process {held}, which makes the same stage (0 s so far)\n"
    if end is None:
        holder.communicate("\n")
    else:
        holder.send_signal(end)
    out, _ = second.communicate("\n", timeout=60)
    assert out == "held\n"
    assert second.returncode == 0
    assert (folder / "lock").read_text().startswith(f"{second.pid} on ")


def test_the_lock_is_free_after_an_error_and_other_stages_are_free_at_all_times(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, other = StageFolder(tmp_path / "a"), StageFolder(tmp_path / "b")
    with pytest.raises(ZeroDivisionError), folder.locked(), other.locked():
        raise ZeroDivisionError
    with folder.locked():
        pass
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_disk_without_locks_is_said_once_and_the_work_is_done(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: int,
) -> None:
    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr(lock, "_said", False)
    for name in ("one", "two"):
        with StageFolder(tmp_path / name).locked():
            write_marker(tmp_path / name / "done.json", {}, [])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{tmp_path / 'one'} is on a disk without locks ({os.strerror(number)})")
    assert "would both train it" in line


def test_a_lock_that_fails_for_another_reason_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", flock)
    with (
        pytest.raises(HarnessError, match=r"^cannot lock .*lock: Input/output error$"),
        StageFolder(tmp_path).locked(),
    ):
        pass


def test_a_folder_that_cannot_be_made_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(HarnessError, match=r"^cannot write .*/file/stage/lock: Not a directory"),
        StageFolder(tmp_path / "file" / "stage").locked(),
    ):
        pass


def test_the_ranks_that_trained_a_stage(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path)
    assert folder.ranks(2) == [2]
    write_marker(tmp_path / "checkpoint-0000000003.json", {"ranks": [1]}, [])
    write_marker(tmp_path / "checkpoint-0000000007.json", {"ranks": [1, 3]}, [])
    assert folder.ranks(2) == [1, 3, 2]
    assert folder.ranks(3) == [1, 3]
    for damaged in ("[]", "{", '{"ranks": "12"}', '{"ranks": [true]}', "{}"):
        (tmp_path / "checkpoint-0000000009.json").write_text(damaged)
        assert folder.ranks(2) == [2]
    folder.finish({"ranks": [1, 3]})
    assert folder.ranks(2) == [1, 3]
