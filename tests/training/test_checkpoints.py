"""Checkpoints are whole or not there, and nothing but tensors and plain values is read."""

from __future__ import annotations

import errno
import os
import pickle
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.errors import TrainingError
from harness.training.checkpoints import (
    best_weights,
    drop_checkpoints,
    drop_unfinished,
    load_checkpoint,
    load_tensors,
    newest_checkpoint,
    save_best,
    save_checkpoint,
    save_tensors,
    show_best,
)

CPU = torch.device("cpu")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


POSITION = {"ranks": [1], "best_epoch": 0}


def save(folder: Path, *steps: int) -> None:
    for step in steps:
        weight = torch.full((100,), float(step))
        save_checkpoint(folder, step, {"step": step, "position": POSITION, "weight": weight})


def newest(folder: Path, told: list[str] | None = None) -> dict[str, Any] | None:
    found = newest_checkpoint(folder, [].append if told is None else told.append)
    return None if found is None else load_checkpoint(found, CPU)


def newest_step(folder: Path) -> int | None:
    state = newest(folder)
    return None if state is None else state["step"]


def test_the_newest_is_read_and_two_are_kept(tmp_path: Path) -> None:
    save(tmp_path, 8, 9, 10, 11)
    assert names(tmp_path) == [f"checkpoint-00000000{n}.{end}" for n in (10, 11)
                               for end in ("json", "pt")]  # fmt: skip
    state = newest(tmp_path)
    assert state is not None
    assert state["step"] == 11
    assert torch.equal(state["weight"], torch.full((100,), 11.0))


def test_without_a_checkpoint_nothing_is_read(tmp_path: Path) -> None:
    assert newest(tmp_path) is None
    assert newest(tmp_path / "nowhere") is None


@pytest.mark.parametrize("place", [0, 100, -1])
def test_a_flipped_bit_sends_it_back_to_the_one_before(tmp_path: Path, place: int) -> None:
    save(tmp_path, 1, 2)
    path = tmp_path / "checkpoint-0000000002.pt"
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert newest_step(tmp_path) == 1


@pytest.mark.parametrize("size", [0, 10, -1])
def test_one_cut_short_sends_it_back_to_the_one_before(tmp_path: Path, size: int) -> None:
    save(tmp_path, 1, 2)
    path = tmp_path / "checkpoint-0000000002.pt"
    path.write_bytes(path.read_bytes()[:size])
    assert newest_step(tmp_path) == 1


def test_one_of_another_stage_does_not_count_and_is_told(tmp_path: Path) -> None:
    other, own = tmp_path / "other", tmp_path / "own"
    save(other, 7)
    save(own, 3)
    for path in other.iterdir():
        path.rename(own / path.name)
    told: list[str] = []
    state = newest(own, told)
    assert state is not None
    assert state["step"] == 3
    assert len(told) == 1
    assert "it was written as other/checkpoint-0000000007.json" in told[0]


@pytest.mark.parametrize("marker", [b"", b"{", b"[]", b"null", b"{}", b'{"sha256": 1}', b"\xff"])
def test_a_damaged_marker_sends_it_back_to_the_one_before(tmp_path: Path, marker: bytes) -> None:
    save(tmp_path, 1, 2)
    (tmp_path / "checkpoint-0000000002.json").write_bytes(marker)
    assert newest_step(tmp_path) == 1


def test_one_without_its_marker_or_file_does_not_count(tmp_path: Path) -> None:
    save(tmp_path, 1, 2)
    (tmp_path / "checkpoint-0000000002.json").unlink()
    assert newest_step(tmp_path) == 1
    (tmp_path / "checkpoint-0000000001.pt").unlink()
    assert newest_step(tmp_path) is None


def test_a_damaged_newer_one_is_replaced_when_its_step_comes_again(tmp_path: Path) -> None:
    save(tmp_path, 1, 2, 3)
    (tmp_path / "checkpoint-0000000003.pt").write_bytes(b"")
    assert newest_step(tmp_path) == 2
    save(tmp_path, 3)
    assert newest_step(tmp_path) == 3


class Planted:
    """What a stranger's file might run when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("planted",)


def test_nothing_is_run_when_a_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": Planted()}, tmp_path / "weights.pt")
    with pytest.raises(TrainingError, match="missing or was damaged"):
        load_tensors(tmp_path / "weights.pt")
    save_checkpoint(tmp_path, 1, {"position": POSITION, "weight": Planted()})
    with pytest.raises(pickle.UnpicklingError):
        newest(tmp_path)
    assert not (tmp_path / "planted").exists()


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 cut short", b"text"])
def test_damaged_weights_are_one_line_that_says_what_to_do(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "weights.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TrainingError, match=f"{path} is missing or was damaged during this run"):
        load_tensors(path)


def test_a_finished_stage_keeps_no_checkpoint(tmp_path: Path) -> None:
    save(tmp_path, 1, 2)
    save_tensors(tmp_path / "weights.pt", {"weight": torch.zeros(1)})
    (tmp_path / ".checkpoint-0000000003.pt.0123").write_bytes(b"killed while it was written")
    drop_unfinished(tmp_path)
    drop_checkpoints(tmp_path)
    assert names(tmp_path) == ["weights.pt"]


@pytest.mark.slow
def test_if_the_disk_is_full_the_last_checkpoint_stays(tmp_path: Path, fork: Any) -> None:
    save(tmp_path, 1)
    program = f"""
        import resource, signal, sys, torch
        from pathlib import Path
        from harness.errors import HarnessError
        from harness.training.checkpoints import save_checkpoint
        state = {{"position": {POSITION}, "weight": torch.zeros(1 << 20)}}
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        try:
            save_checkpoint(Path({str(tmp_path)!r}), 2, state)
        except HarnessError as error:
            sys.exit(f"said: {{error}}")
    """
    with fork("-c", textwrap.dedent(program)) as process:
        _, err = process.communicate(timeout=120)
    assert err.startswith("said: cannot write"), err
    assert len(err.splitlines()) == 1
    assert names(tmp_path) == ["checkpoint-0000000001.json", "checkpoint-0000000001.pt"]
    assert newest_step(tmp_path) == 1


def save_at(folder: Path, step: int, epoch: int) -> None:
    position = {"ranks": [1], "best_epoch": epoch}
    save_checkpoint(folder, step, {"step": step, "position": position})


def test_the_best_weights_are_kept_while_a_checkpoint_refers_to_them(tmp_path: Path) -> None:
    for epoch in (1, 2, 3):
        save_tensors(best_weights(tmp_path, epoch), {"epoch": epoch})
    for step, epoch in ((1, 1), (2, 1), (3, 2)):
        save_tensors(best_weights(tmp_path, epoch), {"epoch": epoch})
        save_at(tmp_path, step, epoch)
    assert sorted(path.name for path in tmp_path.glob("best*")) == [
        "best-000001.pt",
        "best-000002.pt",
    ]
    save_at(tmp_path, 4, 2)
    assert [path.name for path in tmp_path.glob("best*")] == ["best-000002.pt"]
    drop_checkpoints(tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("links", [True, False])
def test_best_weights_are_the_newest_best_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no hard links here")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    for epoch in (1, 2):
        save_best(tmp_path, epoch, {"epoch": epoch})
        assert load_tensors(tmp_path / "best.pt") == {"epoch": epoch}
    show_best(tmp_path, 2)
    show_best(tmp_path, 1)
    assert load_tensors(tmp_path / "best.pt") == {"epoch": 1}
    assert names(tmp_path) == ["best-000001.pt", "best-000002.pt", "best.pt"]
    drop_checkpoints(tmp_path)
    assert load_tensors(tmp_path / "best.pt") == {"epoch": 1}


@pytest.mark.parametrize("content", [None, b"other weights"])
def test_a_checkpoint_whose_best_weights_are_others_is_not_used(
    tmp_path: Path, content: bytes | None
) -> None:
    for epoch in (1, 2):
        save_tensors(best_weights(tmp_path, epoch), {"epoch": epoch})
        save_at(tmp_path, epoch, epoch)
        save_tensors(best_weights(tmp_path, 2), {"epoch": 2})
    best_weights(tmp_path, 2).unlink()
    if content:
        best_weights(tmp_path, 2).write_bytes(content)
    said: list[str] = []
    state = newest(tmp_path, said)
    assert state is not None
    assert state["step"] == 1
    assert "best-000002.pt is damaged" in said[0]
