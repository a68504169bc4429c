"""Submissions are verified whole; what others made is marked, never taken for one's own."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.runner import run
from harness.spec import DataSpec, Override, RunSpec
from harness.store.finished import finished_record
from harness.store.origins import ORIGIN, is_made_here, origin_of
from harness.store.record import record_id
from harness.store.record_files import read_record
from harness.store.seals import sealed_record
from harness.submissions.names import id_of

Call = Callable[..., Any]
Members = dict[str, bytes]
Refused = Callable[..., str]
Zipped = Callable[..., Path]
Change = Callable[[dict[str, Any]], object]


def content_of(members: Members) -> dict[str, Any]:
    (name,) = filter(id_of, members)
    content: dict[str, Any] = json.loads(members[name])
    del content["digest"], content["cost"]["digest"]
    return content


def forged(members: Members, change: Change, npz: Members | None = None) -> Members:
    """Change a record as one who knows the format would: with an id and digests that fit."""
    (before,) = filter(id_of, members)
    content = content_of(members)
    change(content)
    content["id"] = record_id(content["plugin"], content["seed"], content["decides"])
    old = before.removesuffix(".json")
    found = {**members, **(npz or {})}
    del found[before]
    found = {name.replace(old, f"records/{content['id']}"): data for name, data in found.items()}
    return {**found, f"records/{content['id']}.json": sealed_record(content).encode()}


def as_seed(seed: int) -> Change:
    def change(content: dict[str, Any]) -> None:
        content["seed"] = content["decides"]["seed"] = seed

    return change


def relabelled(content: dict[str, Any]) -> None:
    content["label"] = content["decides"]["label"] = "mine"


def repacked(members: Members, **columns: Callable[[np.ndarray], np.ndarray]) -> Members:
    """Change columns of all predictions of test, with the digests of the record."""
    changed: Members = {}
    digests = {}
    for name, data in members.items():
        if "/test-" in name:
            with np.load(io.BytesIO(data)) as arrays:
                found = {key: arrays[key] for key in arrays.files}
            found |= {key: change(found[key]) for key, change in columns.items()}
            file = io.BytesIO()
            np.savez_compressed(file, **found)
            changed[name] = file.getvalue()
            digests[hashlib.sha256(data).hexdigest()] = hashlib.sha256(changed[name]).hexdigest()

    def put(content: dict[str, Any]) -> None:
        for score in content["scores"]:
            known = score["predictions_sha256"]
            score["predictions_sha256"] = digests.get(known, known)

    return forged(members, put, changed)


def test_what_is_packed_is_taken_and_marked(
    packed: Path, call: Call, harness_home: Path, finished: Path
) -> None:
    ended = call("leaderboard", "--add", str(packed))
    assert ended.status == 0, ended
    (path,) = (harness_home / "records").glob("*.json")
    assert f"took {path.stem} from submission.zip" in ended.out
    assert "not proved: who made the predictions" in ended.out
    assert "not proved without --data" in ended.out
    origin = origin_of(path)
    assert origin is not None
    assert (origin.source, origin.data) == ("submission.zip", "")
    assert origin.sha256 == hashlib.sha256(packed.read_bytes()).hexdigest()
    assert read_record(path) == read_record(finished / "records" / path.name)
    beside = {file.name for file in path.with_suffix("").iterdir()}
    assert {"plan.json", "environment.json", ORIGIN, "test-1-view-last.npz"} <= beside
    assert call("verify").status == 0
    board = call("leaderboard", "--format", "json")
    assert json.loads(board.out)
    words = f"submitted, from submission.zip, not compared with data: {path.stem}"
    assert words in board.err.splitlines()


def test_pictures_are_compared_with_the_data_set(
    members: Members, zipped: Zipped, refused: Refused, call: Call, tiny_home: Path
) -> None:
    other = repacked(members, files=lambda files: np.char.replace(files, "test", "val"))
    line = refused(zipped(other), data="synthweb:tiny")
    assert "its pictures are not those of the data set's split" in line
    assert call("leaderboard", "--add", str(zipped(members)), "--data", "synthweb:tiny").status == 0
    (path,) = (tiny_home / "records").glob("*.json")
    origin = origin_of(path)
    assert origin is not None
    assert origin.data == "synthweb:tiny"


def test_without_the_data_pictures_are_compared_with_those_of_other_runs(
    members: Members, zipped: Zipped, refused: Refused, home: Path
) -> None:
    for path in (home / "records").glob("*seed0*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    other = repacked(members, files=lambda files: np.char.replace(files, "test", "val"))
    assert "its pictures or labels of test are not those of baseline-seed1-" in refused(
        zipped(other)
    )


def test_the_same_run_twice_is_refused(
    members: Members, packed: Path, zipped: Zipped, refused: Refused, home: Path
) -> None:
    assert "the same run is in HOME already, with equal results" in refused(packed)
    again = forged(members, lambda content: content["cost"].update(wall_seconds=1.0))
    assert "the same run is in HOME already" in refused(zipped(again))
    for change in (as_seed(7), relabelled):
        line = refused(zipped(forged(members, change)))
        assert "its predictions are those of baseline-seed0-" in line
        assert "the same run twice" in line


def test_a_submission_that_doubles_itself_is_refused(
    members: Members, packed: Path, zipped: Zipped, refused: Refused
) -> None:
    assert "is also in" in refused(packed, zipped(members))
    assert "the same run twice" in refused(zipped({**members, **forged(members, as_seed(7))}))


def test_another_record_with_the_id_of_one_that_is_there_is_refused(
    members: Members, zipped: Zipped, refused: Refused, home: Path
) -> None:
    other = forged(members, lambda content: content.update(extra={"mine": {"luck": 7.0}}))
    line = refused(zipped(other))
    assert "another record with this id is in HOME, and its results differ" in line


def in_score(name: str, value: Any) -> Change:
    return lambda content: content["scores"][0].__setitem__(name, value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (in_score("top1", 0.99), "it contradicts itself"),
        (in_score("split", "../../secret"), "'../../secret' is not the name of a split"),
        (in_score("protocol", "a\0b"), "has invisible characters"),
        (lambda content: content.update(schema_version=1), "is a record of schema 1"),
        (lambda content: content.update(schema_version=3), "which a later version wrote"),
        (lambda content: content.update(decides={}), "it does not say what its id was made of"),
        (lambda content: content.update(scores=[]), "it has no score"),
        (lambda content: content.update(commit=7), "is not a result record of schema 2"),
        (
            lambda content: content["data"].update(edition="WebVision\x1b[2J"),
            "has invisible characters",
        ),
        (lambda content: content["decides"].update(seed=9), "its seed is not the one"),
    ],
)
def test_a_forged_record_is_refused(
    members: Members, zipped: Zipped, refused: Refused, change: Change, words: str
) -> None:
    assert words in refused(zipped(forged(members, change)))


def test_a_record_that_was_edited_or_renamed_is_refused(
    members: Members, zipped: Zipped, refused: Refused
) -> None:
    (name,) = filter(id_of, members)
    edited = members[name].replace(b'"images": 60', b'"images": 61')
    assert "was altered after it was written" in refused(zipped({**members, name: edited}))
    assert "was altered after" in refused(zipped({**members, name: members[name][:500]}))
    other = name.replace("seed0", "seed5")
    moved = {key.replace(name[:-5], other[:-5]): data for key, data in members.items()}
    assert "so it is a copy under a new name" in refused(zipped(moved))


def test_predictions_that_are_missing_or_better_are_refused(
    members: Members, zipped: Zipped, refused: Refused
) -> None:
    npz = next(name for name in members if name.endswith("val-1-view-last.npz"))
    without = {name: data for name, data in members.items() if name != npz}
    assert "val-1-view-last.npz is missing or altered" in refused(zipped(without))
    better = repacked(members, classes=lambda classes: np.roll(classes, 1, axis=1))
    assert "and its predictions give" in refused(zipped(better))


def test_a_plan_that_is_not_an_object_is_refused(
    members: Members, zipped: Zipped, refused: Refused
) -> None:
    plan = next(name for name in members if name.endswith("plan.json"))
    for data in (b"[" * 100_000, b"[]", b"\xff"):
        assert "plan.json is not a JSON object" in refused(zipped({**members, plan: data}))


def test_one_bad_record_refuses_the_good_ones_with_it(
    members: Members, packed: Path, zipped: Zipped, refused: Refused
) -> None:
    bad = forged(members, lambda content: (as_seed(7)(content), in_score("top1", 0.99)(content)))
    assert "-seed7-" in refused(zipped({**members, **bad}))
    assert "-seed7-" in refused(packed, zipped(bad))


def test_what_a_killed_command_left_is_removed(
    packed: Path, call: Call, harness_home: Path
) -> None:
    left = harness_home / "records" / ".incoming" / "0" / "records"
    left.mkdir(parents=True)
    (left / "evil-seed0-0123456789abcdef.json").write_text("{}")
    assert call("leaderboard", "--add", str(packed)).status == 0
    assert [path.name for path in (harness_home / "records").glob(".*")] == []
    assert list((harness_home / "records").rglob("evil*")) == []


@pytest.mark.slow
def test_a_submitted_run_is_not_reused_as_a_run_of_this_home(
    packed: Path, call: Call, tiny_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("leaderboard", "--add", str(packed)).status == 0
    (path,) = (tiny_home / "records").glob("*.json")
    asked = ("--data", "synthweb:tiny", "--engine", "torch", "--stage", "epochs=1")
    planned = json.loads(call("plan", "--plugin", "baseline", *asked, "--json").out)
    assert (planned["record"], planned["record_state"]) == (path.stem, "to be made")
    run(
        RunSpec(
            plugin="baseline",
            data=DataSpec.parse("synthweb:tiny"),
            engine="torch",
            overrides=(Override("", "epochs", "1"),),
            home=tiny_home,
        )
    )
    assert "came from submission.zip; it was moved to" in capsys.readouterr().err
    assert is_made_here(path)
    assert finished_record(path) is not None
    assert (tiny_home / "replaced" / f"{path.stem}-1" / path.name).exists()


def test_a_damaged_origin_is_still_not_ones_own(
    packed: Path, call: Call, harness_home: Path
) -> None:
    assert call("leaderboard", "--add", str(packed)).status == 0
    (path,) = (harness_home / "records").glob("*.json")
    (path.with_suffix("") / ORIGIN).write_text("{")
    origin = origin_of(path)
    assert origin is not None
    assert "damaged" in origin.source
    assert not is_made_here(path)


def test_runs_are_named_by_id_label_or_start(home: Path, call: Call, tmp_path: Path) -> None:
    first, second = sorted(path.stem for path in (home / "records").glob("*.json"))
    for words, count in (((first,), 1), ((first, second), 2), (("baseline epochs=1",), 2)):
        assert call("export", *words, "-o", str(tmp_path / "a.zip")).err == (
            f"packed {count} records in {tmp_path / 'a.zip'}\n"
        )
    output = ("-o", str(tmp_path / "b.zip"))
    assert (
        "'baseline-seed' is the start of 2 records"
        in call("export", "baseline-seed", *output).error
    )
    assert "unknown run 'nothing'" in call("export", "nothing", *output).error
    assert not (tmp_path / "b.zip").exists()


def test_equal_runs_make_equal_files(home: Path, call: Call, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.zip", "b.zip")]
    for file in files:
        call("export", "baseline epochs=1", "-o", str(file))
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_record_that_is_not_fine_is_not_packed(home: Path, call: Call, tmp_path: Path) -> None:
    for path in (home / "records").glob("*seed0*/test-1-view-last.npz"):
        path.unlink()
    error = call("export", "baseline epochs=1", "-o", str(tmp_path / "a.zip")).error
    assert "is not fine" in error
    assert not (tmp_path / "a.zip").exists()


def test_the_plan_says_the_command_that_runs_it_again(members: Members, call: Call) -> None:
    plan = json.loads(next(data for name, data in members.items() if name.endswith("plan.json")))
    assert plan["command"] == (
        "harness run --plugin baseline --stage epochs=1 --data synthweb:tiny --engine torch"
    )
    assert plan["stages"][0]["origins"]["epochs"] == "command line"
