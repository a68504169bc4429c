"""Ranks meet, or one line says within the limit who is missing and what to do."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from harness.errors import HarnessError
from harness.launch.joining import LIMIT, join_limit, meet
from harness.machine.place import Place


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT, "1")
    for variable in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        monkeypatch.setenv(variable, os.environ.get(variable, "lo"))


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def occupied() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def test_a_missing_peer_is_named_with_what_to_do(port: int) -> None:
    with pytest.raises(HarnessError, match=r"rank 0 of 3 waited 1 s for ranks 1, 2; .* unset RANK"):
        meet(Place(0, 3, 0, "127.0.0.1", port))


def test_a_missing_rank_0_is_named_with_its_address(port: int) -> None:
    with pytest.raises(HarnessError, match=f"found no rank 0 at 127.0.0.1:{port} .*{LIMIT}"):
        meet(Place(1, 2, 0, "127.0.0.1", port))


def test_an_occupied_port_is_named(occupied: int) -> None:
    with pytest.raises(
        HarnessError, match=f":{occupied} .MASTER_ADDR, MASTER_PORT. cannot be listened"
    ):
        meet(Place(0, 2, 0, "127.0.0.1", occupied))


def test_an_unknown_host_is_named() -> None:
    with pytest.raises(HarnessError, match=r"MASTER_ADDR='no\.such\.invalid' cannot be resolved"):
        meet(Place(1, 2, 0, "no.such.invalid", 29500))


def test_waiting_for_another_service_at_the_port_ends(occupied: int) -> None:
    begun = time.monotonic()
    with pytest.raises(HarnessError, match=r"rank 1 of 2 (got no answer|lost the others)"):
        meet(Place(1, 2, 0, "127.0.0.1", occupied))
    assert time.monotonic() - begun < 60


@pytest.mark.parametrize("text", ["", "soon", "0", "0.5", "-1", "nan", "inf"])
def test_the_limit_is_a_number_of_seconds(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(LIMIT, text)
    with pytest.raises(HarnessError, match=LIMIT):
        join_limit()


def listening_at(port: int) -> list[str]:
    """The local addresses, as the kernel writes them, where someone listens at this port."""
    found = []
    for table in ("tcp", "tcp6"):
        with open(f"/proc/net/{table}") as lines:  # noqa: PTH123 - no path of a file
            rows = [line.split() for line in lines][1:]
        places = [row[1].split(":") for row in rows if row[3] == "0A"]
        found += [address for address, number in places if int(number, 16) == port]
    return found


def test_all_meet_on_the_loopback_alone_and_a_rank_that_is_there_twice_is_refused(
    monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    monkeypatch.setenv(LIMIT, "30")
    stores = []
    second = threading.Thread(target=lambda: stores.append(meet(Place(1, 2, 0, "127.0.0.1", port))))
    second.start()
    stores.append(meet(Place(0, 2, 0, "127.0.0.1", port)))
    second.join()
    assert len(stores) == 2
    assert listening_at(port) == ["0100007F"]
    with pytest.raises(HarnessError, match="two processes have RANK=1 of WORLD_SIZE=2"):
        meet(Place(1, 2, 0, "127.0.0.1", port))
