"""The store of stages: keys, markers, and a lock that dies with its holder."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.stages import StageFolder, stage_folder, stage_key

HOLD = """
import sys
from pathlib import Path
from harness.stages import StageFolder
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
    folder.finish({"seconds": 1.5})
    assert folder.done() == {"seconds": 1.5}
    assert names(folder.path) == ["done.json", "weights.pt"]


@pytest.mark.parametrize("content", [b"", b'{"seconds": 1', b"[1]", b"null", b"\xff\xfe", b"3"])
def test_a_damaged_marker_is_none(tmp_path: Path, content: bytes) -> None:
    folder = StageFolder(tmp_path)
    folder.marker.write_bytes(content)
    assert folder.done() is None


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
    assert (folder / "lock").read_text() == str(holder.pid)
    second = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert second.stderr is not None
    waiting = second.stderr.readline()
    assert waiting == f"waiting for process {holder.pid}, which makes the same stage\n"
    if end is None:
        holder.communicate("\n")
    else:
        holder.send_signal(end)
    out, _ = second.communicate("\n", timeout=60)
    assert out == "held\n"
    assert second.returncode == 0
    assert (folder / "lock").read_text() == str(second.pid)


def test_the_lock_is_free_after_an_error_and_other_stages_are_free_at_all_times(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, other = StageFolder(tmp_path / "a"), StageFolder(tmp_path / "b")
    with pytest.raises(ZeroDivisionError), folder.locked(), other.locked():
        raise ZeroDivisionError
    with folder.locked():
        pass
    assert capfd.readouterr().err == ""


def test_a_folder_that_cannot_be_made_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(HarnessError, match=r"^cannot write .*/file/stage/lock: Not a directory"),
        StageFolder(tmp_path / "file" / "stage").locked(),
    ):
        pass
