"""Damaged stages and records are named, set aside and made again; nothing damaged is used."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.runner import run
from harness.spec import DataSpec, Override, RunSpec
from harness.store.record import ResultRecord
from harness.store.record_files import read_record
from harness.store.seals import read_marker, write_marker

pytestmark = pytest.mark.slow

Call = Callable[..., Any]
EPOCHS = 2


@pytest.fixture(scope="module")
def finished(drawn_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one finished run of three stages, the first of which is seen by the others."""
    home = tmp_path_factory.mktemp("finished")
    (home / "data").symlink_to(drawn_data)
    run(asked(home))
    return home


def asked(home: Path) -> RunSpec:
    return RunSpec(
        plugin="malong_curriculum",
        knobs={"model": "B", "crops": "1"},
        data=DataSpec.parse("synthweb:tiny"),
        engine="torch",
        overrides=(Override("", "epochs", str(EPOCHS)),),
        home=home,
    )


@pytest.fixture
def home(finished: Path, harness_home: Path) -> Path:
    """A copy of the finished home, for this test to damage."""
    shutil.copytree(finished, harness_home, symlinks=True)
    return harness_home


def the_record(home: Path) -> ResultRecord:
    (path,) = (home / "records").glob("*.json")
    return read_record(path)


def stage(home: Path, name: str) -> Path:
    """Return the folder of a stage of the finished run by its name."""
    found = {one.name: one.key for one in the_record(home).stages}
    return home / "stages" / found[name][:32]


def again(home: Path) -> ResultRecord:
    """Ask for the run again, without its record and predictions."""
    shutil.rmtree(home / "records")
    return run(asked(home))


def without_cost(record: ResultRecord) -> dict[str, Any]:
    return record.model_dump(exclude={"cost"})


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def stamps(home: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (home / "stages").rglob("*.*")}


FIRST, LAST = "initial", "task-1"


@pytest.mark.parametrize(
    ("name", "damage", "made_again"),
    [
        ("weights.pt", flip, {"weights.pt", "best.pt", "samples.npz"}),
        ("done.json", Path.unlink, {"weights.pt", "best.pt", "samples.npz"}),
        ("samples.npz", empty, {"samples.npz"}),
        ("samples.json", flip, {"samples.npz"}),
    ],
)
def test_what_is_damaged_is_named_set_aside_and_made_again(
    home: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    damage: Callable[[Path], object],
    made_again: set[str],
) -> None:
    before, folder = the_record(home), stage(home, LAST)
    done = read_marker(folder / "done.json")
    assert done is not None
    has_best = 0 < done["best_epoch"] < EPOCHS  # else the last weights are the best
    assert (folder / "best.pt").exists() == has_best
    made_again = made_again if has_best else made_again - {"best.pt"}
    old = stamps(home)
    damage(folder / name)
    assert without_cost(again(home)) == without_cost(before)
    said = [line for line in capsys.readouterr().err.splitlines() if "made again" in line]
    aside = home / "damaged" / f"{folder.name}-1"
    assert len(said) == 1
    assert str(folder / name) in said[0]
    assert said[0].endswith(f"moved to {aside} and made again")
    new = stamps(home)
    changed = {path for path in old if path.suffix != ".json" and old[path] != new.get(path)}
    assert changed == {folder / name for name in made_again}
    assert {path.name for path in aside.iterdir()} >= made_again - {name}


def test_damaged_features_alone_are_made_again(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, seen = the_record(home), stage(home, FIRST)
    old = stamps(home)
    flip(seen / "features.npy")
    empty(stage(home, LAST) / "samples.npz")  # else nobody asks for the features
    assert without_cost(again(home)) == without_cost(before)
    assert f"{seen / 'features.npy'} is damaged: its digest" in capsys.readouterr().err
    aside = home / "damaged" / f"{seen.name}-1"
    assert sorted(path.name for path in aside.iterdir()) == [
        "features.npy",
        "outputs.json",
        "predictions.npz",
    ]
    new = stamps(home)
    assert {path.name for path in old if path.suffix == ".pt" and old[path] != new[path]} == set()


def test_features_of_other_weights_are_not_used(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen, last = stage(home, FIRST), stage(home, LAST)
    sight = read_marker(seen / "outputs.json")
    assert sight is not None
    write_marker(
        seen / "outputs.json", {**sight, "weights": {"size": 1, "digest": ""}}, sight["files"]
    )
    empty(last / "samples.npz")
    again(home)
    assert f"{seen / 'features.npy'} was computed from other weights" in capsys.readouterr().err


def test_a_stage_trained_on_other_samples_than_its_tricks_choose_is_trained_again(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, last = the_record(home), stage(home, LAST)
    done = read_marker(last / "done.json")
    assert done is not None
    done["samples"]["samples.npz"]["digest"] = "0" * 64
    write_marker(last / "done.json", done, done["files"])
    assert without_cost(again(home)) == without_cost(before)
    assert "was trained on other samples" in capsys.readouterr().err


def test_stages_that_were_swapped_are_not_used(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, first, last = the_record(home), stage(home, FIRST), stage(home, LAST)
    spare = home / "stages" / "spare"
    first.rename(spare)
    last.rename(first)
    spare.rename(last)
    assert without_cost(again(home)) == without_cost(before)
    err = capsys.readouterr().err
    assert (
        f"{first / 'done.json'} was copied or moved here: it was written as {last.name}/done.json"
        in err
    )
    assert len(list((home / "damaged").iterdir())) == 2


@pytest.mark.parametrize("what", ["record", "predictions", "missing predictions"])
def test_a_finished_record_that_was_altered_is_set_aside_and_made_again(
    home: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    before = the_record(home)
    old = stamps(home)
    path = home / "records" / f"{before.id}.json"
    predictions = path.with_suffix("") / "test-1-view-last.npz"
    if what == "record":
        path.write_text(path.read_text().replace('"top1": 0.', '"top1": 0.9'))
    elif what == "predictions":
        flip(predictions)
    else:
        predictions.unlink()
    record = run(asked(home))
    assert without_cost(record) == without_cost(before)
    assert the_record(home) == record
    said = capsys.readouterr().err
    assert str(path) in said or str(predictions) in said
    assert f"it was moved to {home / 'damaged' / before.id}-1 and is made again" in said
    assert stamps(home) == old  # no stage was made again


def test_an_end_of_file_is_not_taken_for_a_wish_to_stop(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.cli import cli

    @cli.command("short", hidden=True)
    def short() -> None:
        raise EOFError("a file ends early")

    monkeypatch.setattr(type(cli), "get_command", lambda *_: short)
    with pytest.raises(EOFError, match="a file ends early"):
        call("short")
