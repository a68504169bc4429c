"""The site on this machine: who may read it, what trains now, and a board that follows."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.store.live import drop_live, live_stages, write_live
from harness.store.record import ResultRecord
from harness.store.record_files import write_record
from harness_leaderboard.site.serve import HOST, Server

SAYS = {
    "label": "pci <b>",
    "seed": 3,
    "data": "synthweb:tiny",
    "stage": "train",
    "step": 20,
    "steps": 50,
    "epochs": 5,
    "scalars": {"loss": 1.25, "epoch": 2.0},
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "home", tmp_path / "site", 0)
    thread = threading.Thread(target=made.run)
    thread.start()
    yield made
    made.stop()
    thread.join()


def ask(server: Server, path: str, host: str = "") -> tuple[int, bytes]:
    port = int(server.address.rstrip("/").rpartition(":")[2])
    connection = http.client.HTTPConnection(HOST, port)
    connection.request("GET", path, headers={"Host": host or f"{HOST}:{port}"})
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def test_it_answers_this_machine_under_its_own_name_only(server: Server) -> None:
    status, page = ask(server, "/")
    assert status == 200
    assert b"Nothing measured yet" in page
    assert b"connect-src 'self'" in page.replace(b"&#39;", b"'")
    assert ask(server, "/", "evil.example:80")[0] == 403
    assert ask(server, "/runs/")[0] == 404
    assert ask(server, "/../../../../etc/passwd")[0] == 404


def test_it_says_what_trains_now_and_passes_over_what_is_no_report(
    server: Server, tmp_path: Path
) -> None:
    assert json.loads(ask(server, "/live.json")[1]) == []
    one, other = (tmp_path / "home" / "stages" / name for name in ("a", "b"))
    for folder in (one, other):
        folder.mkdir(parents=True)
    write_live(one, SAYS)
    (other / "live.json").write_text('{"label": ["not", "a", "report"]}')
    (found,) = json.loads(ask(server, "/live.json")[1])
    assert {name: found[name] for name in SAYS} == SAYS
    drop_live(one)
    assert list(live_stages(tmp_path / "home")) == []


def test_a_run_that_ends_is_on_the_board(
    server: Server, tmp_path: Path, make_record: Callable[..., ResultRecord]
) -> None:
    record = make_record(members=("train",), label="pci", plugin="pci")
    write_record(tmp_path / "home" / "records", record)
    server.refresh()
    assert b"Nothing measured yet" not in ask(server, "/")[1]


def test_a_port_that_is_taken_is_one_line(server: Server, tmp_path: Path) -> None:
    port = int(server.address.rstrip("/").rpartition(":")[2])
    with pytest.raises(HarnessError, match=f"--port {port} cannot be used: "):
        Server(tmp_path / "home", tmp_path / "other", port)
