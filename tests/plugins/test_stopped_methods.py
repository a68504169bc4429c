"""Methods that keep something from step to step or epoch to epoch: run, stopped and gone on."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.assembly.discovery import find_entry, find_plugins, load_plugin
from harness.conformance import check_plugin
from harness.knobs import knobs_of
from harness.machine.launch import heeded_signals
from harness.spec import DataSpec
from harness.store.record import ResultRecord
from harness.store.record_files import read_record

Call = Callable[..., Any]

STOPPER = '''
from __future__ import annotations
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from harness.hookspecs import hookimpl
from harness.values import Stage

@dataclass(frozen=True)
class Plugin:
    """Asks the run to stop after a step of a stage."""

    @hookimpl
    def on_step_end(self, stage: Stage, step: int, scalars: Mapping[str, float]) -> None:
        if f"{stage.name} {step}" == os.environ.get("STOP_AFTER"):
            os.kill(os.getpid(), signal.SIGINT)
'''

METHODS = ("coteaching", "dividemix", "jocor", "mopro", "mwnet", "ssr")
PLUS = ("elr", "sop")  # which keep more with plus=true
AVERAGED = {"elr": {"averaged"}}  # tested
# Of three epochs with five steps each: within the second, after the epoch tricks have chosen.
STOP = "train 7"


@pytest.mark.parametrize("method", METHODS)
def test_it_keeps_the_contract_and_names_its_paper_and_its_sources(
    method: str, tiny_home: Path
) -> None:
    assert check_plugin(method, data=DataSpec(name="synthweb", path="tiny"), home=tiny_home) == []
    plugin = load_plugin(find_entry(method, find_plugins()))
    assert re.search(r"et al\., \".*\", [A-Z][A-Za-z]+ 20\d\d:", plugin.__doc__.splitlines()[0])
    assert all(len(knob.source) > 10 for knob in knobs_of(plugin).values())


@pytest.fixture
def heeded_interrupt() -> Iterator[None]:
    """Ctrl-C as a terminal gives it; what runs in the background may have it switched off.

    A run that stops ignores all further signals: they are restored for the tests that follow.
    """
    before = {number: signal.getsignal(number) for number in heeded_signals()}
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in {**before, signal.SIGINT: interrupt}.items():
        signal.signal(number, handler)


def weights(home: Path) -> dict[str, dict[str, torch.Tensor]]:
    """Every file of weights under a home, by stage and name."""
    files = sorted((home / "stages").rglob("*.pt"))
    return {
        path.relative_to(home).as_posix(): torch.load(path, weights_only=True) for path in files
    }


def records_of(home: Path) -> list[Path]:
    return sorted((home / "records").glob("*.json"))


def record_of(home: Path) -> ResultRecord:
    (path,) = records_of(home)
    return read_record(path)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS + PLUS)
def test_a_stopped_method_ends_as_if_it_had_not_been(
    method: str,
    tmp_path: Path,
    drawn_data: Path,
    install: Callable[..., Path],
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
    heeded_interrupt: None,
) -> None:
    install("stopper", STOPPER)
    command = ("run", "--plugin", method, "--with", "stopper", "--data", "synthweb:tiny")
    command += ("--stage", "epochs=3", "--set", "crops=1", "--engine", "torch")
    command += ("--stage", "input_size=16")
    command += ("--set", "plus=true") if method in PLUS else ()
    homes = [tmp_path / "whole", tmp_path / "stopped"]
    for home in homes:
        home.mkdir()
        (home / "data").symlink_to(drawn_data)
        monkeypatch.setenv("HARNESS_HOME", str(home))
        if home.name == "stopped":
            monkeypatch.setenv("STOP_AFTER", STOP)
            stopped = call(*command)
            assert stopped.status == 130, stopped
            monkeypatch.delenv("STOP_AFTER")
        ended = call(*command)
        assert ended.status == 0, ended
    whole, gone_on = map(record_of, homes)
    assert gone_on.scores == whole.scores
    # MoPro's average is its momentum encoder, which nobody tests.
    assert {score.epoch for score in whole.scores} & {"averaged"} == AVERAGED.get(method, set())
    histories = [[stage.history for stage in record.stages] for record in (whole, gone_on)]
    assert histories[0] == histories[1]
    mine, others = map(weights, homes)
    assert mine.keys() == others.keys() != set()
    for name, tensors in mine.items():
        for key, tensor in tensors.items():
            assert torch.equal(tensor, others[name][key]), (name, key)


@pytest.mark.slow
def test_a_record_and_the_board_tell_that_clean_pictures_were_used(
    tiny_home: Path, call: Call
) -> None:
    short = ("--data", "synthweb:tiny", "--stage", "epochs=1", "--set", "crops=1")
    for command in (("mwnet", "--set", "clean=20"), ("baseline",)):
        ended = call("run", "--plugin", *command, *short)
        assert ended.status == 0, ended
    records = {record.plugin: record for record in map(read_record, records_of(tiny_home))}
    clean = {name: record.stages[0].values["clean"] for name, record in records.items()}
    assert clean == {"mwnet": "20", "baseline": "0"}
    board = call("leaderboard", "--format", "markdown").out  # a terminal may be too narrow for all
    lines = [[cell.strip() for cell in line.split("|")] for line in board.splitlines()]
    names, rows = lines[2], [line for line in lines if len(line) > 1]
    told = {row[names.index("method")]: row[names.index("external")] for row in rows}
    assert told["mwnet clean=20 crops=1 epochs=1"] == "clean"
    assert told["baseline crops=1 epochs=1"] == ""


@pytest.mark.parametrize("kind", ["folder", "webvision1"])
def test_data_without_a_clean_split_is_one_line(
    kind: str, tiny_home: Path, drawn_tiny: Path, call: Call
) -> None:
    root = drawn_tiny / "google" if kind == "folder" else drawn_tiny
    said = call("plan", "--plugin", "mwnet", "--data", f"{kind}:{root}").error
    assert said.startswith(f"stage 'train' needs a small clean set, which data set {kind!r} does ")
