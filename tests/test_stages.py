"""The store of stages: descriptions, markers, and a lock that dies with its holder."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from harness.errors import HarnessError, PluginError
from harness.sources import file_sha256, sources_of
from harness.stages import StageFolder, describe, describe_trick, stage_folder, stage_key

HOLD = """
import sys
from pathlib import Path
from harness.stages import StageFolder
with StageFolder(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.readline()
"""


@dataclass(frozen=True)
class Point:
    x: float = 0.5
    type: str = "a field that is called like the description's own key"


@dataclass(frozen=True)
class Other:
    x: float = 0.5
    type: str = "a field that is called like the description's own key"


class Pair(NamedTuple):
    a: int
    b: str


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("value", [None, True, 3, 0.5, "text", (1, 2), [1, "a"], {"a": (1,)}, {}])
def test_plain_values_describe_themselves(value: object) -> None:
    listed = {(1, 2): [1, 2]}.get(value) if isinstance(value, tuple) else value
    assert describe(value) == ({"a": [1]} if value == {"a": (1,)} else listed)


def test_dataclasses_are_told_apart_by_type_and_fields() -> None:
    found = [str(describe(value)) for value in (Point(), Point(x=1), Other(), (Point(), 1))]
    assert len(set(found)) == 4
    assert describe(Point()) == describe(Point(x=0.5))
    assert describe({"a": [Point()]})["a"][0]["fields"]["x"] == 0.5


@pytest.mark.parametrize("value", [lambda x: x, object(), {1, 2}, Point, b"bytes", len])
def test_what_has_no_fixed_description_is_refused(value: object) -> None:
    with pytest.raises(PluginError, match="has no fixed description"):
        describe(value)
    with pytest.raises(PluginError, match="has no fixed description"):
        describe((value,))


def test_a_trick_is_described_with_the_digest_of_its_source() -> None:
    described = describe_trick(Point())
    assert described["sources"][__name__] == file_sha256(__file__)
    assert len(file_sha256(__file__)) == 64


def test_a_trick_that_no_file_defines_is_refused() -> None:
    made: dict[str, Any] = {"__name__": "builtins"}
    exec("class Made: pass", made)
    with pytest.raises(PluginError, match="Made must be defined in a file"):
        sources_of(made["Made"]())


def test_sources_are_of_the_package_and_not_of_the_harness() -> None:
    from harness.tricks.noise.kmeans import KMeansSubsets

    found = sources_of(KMeansSubsets(sees="initial"))
    assert sorted(found) == [
        f"harness.tricks.noise.{name}" for name in ("categories", "clusters", "kmeans")
    ]


def test_what_a_trick_knows_of_language_counts_as_its_source() -> None:
    from harness.tricks.noise.label_weights import LabelWeights

    found = sources_of(LabelWeights(encoder="lexical"))
    assert {"harness.texts.masking", "harness.wordnet.nouns"} < set(found)
    assert "harness.errors" not in found


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
