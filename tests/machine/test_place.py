"""What a launcher, or something left over from one, says in the environment."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.machine.launch import choose_ranks
from harness.machine.place import Place, read_place

PEERS = {"MASTER_ADDR": "node1", "MASTER_PORT": "29500"}
TWO = {"RANK": "1", "WORLD_SIZE": "2"}


def test_a_place_is_read_whole_or_there_is_none() -> None:
    assert read_place({}) is None
    assert read_place(PEERS) is None  # many clusters set them for every job
    assert read_place({"RANK": "0", "WORLD_SIZE": "1"}) == Place(0, 1, 0, "", 0)
    assert read_place(TWO | PEERS | {"LOCAL_RANK": "0"}) == Place(1, 2, 0, "node1", 29500)


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"RANK": "0"}, "RANK=0 is set and WORLD_SIZE is not"),
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE=2 is set and RANK is not"),
        ({"LOCAL_RANK": "0"}, "LOCAL_RANK=0 is set and RANK is not"),
        ({**TWO, **PEERS, "RANK": "x"}, "RANK='x' is not an int from 0 to 1"),
        ({**TWO, **PEERS, "RANK": ""}, "RANK='' is not an int"),
        ({**TWO, **PEERS, "RANK": "-1"}, "RANK='-1' is not an int"),
        ({**TWO, **PEERS, "RANK": "2"}, r"RANK='2' is not an int from 0 to 1 \(WORLD_SIZE=2\)"),
        ({**TWO, **PEERS, "WORLD_SIZE": "0"}, "WORLD_SIZE='0' is not an int from 1"),
        ({**TWO, **PEERS, "WORLD_SIZE": "9" * 5000}, "WORLD_SIZE='9+' is not an int from 1"),
        ({**TWO, **PEERS, "LOCAL_RANK": "²"}, "LOCAL_RANK='²' is not an int"),
        (TWO, "MASTER_ADDR is not set"),
        ({**TWO, "MASTER_ADDR": "node1"}, "MASTER_PORT is not set"),
        ({**TWO, **PEERS, "MASTER_PORT": "65536"}, "MASTER_PORT='65536' is not an int"),
    ],
)
def test_what_is_odd_or_left_over_is_named_with_what_to_do(
    environment: dict[str, str], told: str
) -> None:
    with pytest.raises(HarnessError, match=told) as error:
        read_place(environment)
    names = [n for n in ("RANK", "WORLD_SIZE", "LOCAL_RANK") if n in environment]
    assert str(error.value).endswith(f"To train in this process alone: unset {' '.join(names)}")


def test_another_number_of_processes_than_were_started_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(HarnessError, match=r"--cpu-ranks 2 asks for 2 .* unset RANK WORLD_SIZE"):
        choose_ranks(None, 2, Place(0, 1, 0, "", 0))
    with pytest.raises(HarnessError, match="--gpus 8 asks for 8 processes"):
        choose_ranks(8, None, Place(0, 2, 0, "node1", 29500))
    assert choose_ranks(None, 2, Place(0, 2, 0, "node1", 29500)) == 2
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")  # as torchrun says it, on several machines
    assert choose_ranks(8, None, Place(0, 16, 0, "node1", 29500)) == 16


@pytest.mark.slow
def test_a_run_leaves_nothing_behind_that_looks_like_a_launcher(
    tiny_home: Path, call: Callable[..., Any]
) -> None:
    command = ("run", "--plugin", "baseline", "--data", "synthweb:tiny", "--stage", "epochs=1")
    assert call(*command).status == 0
    assert not {"RANK", "WORLD_SIZE", "LOCAL_RANK"} & set(os.environ)
    assert call(*command, "--seed", "1").status == 0
