"""``harness verify``: tampering of every kind is found, and what cannot be found is said."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.runner import run
from harness.spec import DataSpec, Override, RunSpec
from harness.store.record import record_id
from harness.store.seals import sealed_record

Call = Callable[..., Any]
Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def finished(drawn_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one finished run."""
    home = tmp_path_factory.mktemp("finished")
    (home / "data").symlink_to(drawn_data)
    run(
        RunSpec(
            plugin="baseline",
            data=DataSpec.parse("synthweb:tiny"),
            engine="torch",
            overrides=(Override("", "epochs", "1"),),
            home=home,
        )
    )
    return home


@pytest.fixture
def home(finished: Path, harness_home: Path) -> Path:
    """A home of its own for each forger."""
    shutil.copytree(finished, harness_home, symlinks=True)
    return harness_home


@pytest.fixture
def path(home: Path) -> Path:
    """The record's file."""
    (path,) = (home / "records").glob("*.json")
    return path


def content_of(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    del content["digest"], content["cost"]["digest"]
    return content


def forge(path: Path, change: Change) -> Path:
    """Change a record and make its digest anew, as one who knows the format would."""
    content = content_of(path)
    change(content)
    path.write_text(sealed_record(content))
    return path


def repacked(path: Path, terms: tuple[str, str], **columns: Any) -> None:
    """Change columns of the predictions of (split, protocol), and their digest in the record."""
    split, protocol = terms
    kept = path.with_suffix("") / f"{split}-{protocol.replace(' ', '-')}-last.npz"
    with np.load(kept) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    for name, change in columns.items():
        found[name] = change(found[name])
    np.savez_compressed(kept, **found)
    digest = hashlib.sha256(kept.read_bytes()).hexdigest()

    def put(content: dict[str, Any]) -> None:
        for score in content["scores"]:
            if (score["split"], score["protocol"]) == terms:
                score["predictions_sha256"] = digest

    forge(path, put)


def problems(call: Call, *arguments: str) -> list[str]:
    """Verify, and return what is said to be wrong; the status must fit."""
    ended = call("verify", "--json", *arguments)
    found = [one for record in json.loads(ended.out)["records"] for one in record["problems"]]
    assert ended.status == (2 if found else 0), ended
    return found


def test_an_honest_record_is_fine_and_what_that_means_is_said(home: Path, call: Call) -> None:
    ended = call("verify", "--data", "synthweb:tiny")
    assert ended.status == 0, ended
    assert "1 of 1 records are fine" in ended.out
    assert "\nproved: every figure of a record that is fine follows from its kept" in ended.out
    assert "\nnot proved: who made the predictions" in ended.out
    (name,) = (one.stem for one in (home / "records").glob("*.json"))
    assert call("verify", name).status == 0
    assert "not proved without --data" in call("verify", str(home / "records")).out


def test_what_names_no_record_is_one_line(home: Path, call: Call, tmp_path: Path) -> None:
    assert "is not a record, a folder" in call("verify", "nothing").error
    assert "no record in" in call("verify", str(tmp_path)).error


def test_an_edited_record_is_named_and_the_table_says_not_fine(path: Path, call: Call) -> None:
    path.write_text(path.read_text().replace('"images": 60', '"images": 61'))
    ended = call("verify")
    assert ended.status == 2
    line, *further = (line for line in ended.out.splitlines() if "not fine" in line)
    assert any("it says 61 images, and 60 were predicted" in one for one in further)
    assert "was altered after it was written: its digest is not that of its content" in line


def test_the_figure_that_was_altered_is_named_though_the_digest_is_broken(
    path: Path, call: Call
) -> None:
    text = path.read_text()
    content = content_of(path)
    said = content["scores"][0]["top1"]
    path.write_text(text.replace(f'"top1": {said}', '"top1": 0.9876'))
    first, *further = problems(call)
    assert "was altered after it was written" in first
    assert any("top1 is 0.987600, and its predictions give" in one for one in further)


def test_other_fingerprints_of_tested_splits_are_found_though_the_digest_fits(
    path: Path, call: Call
) -> None:
    forge(path, lambda content: content["data"]["tested"].__setitem__("val", "0" * 64))
    assert "the fingerprints of its tested splits are not those" in problems(call)[0]


def in_score(name: str, value: Any) -> Change:
    return lambda content: content["scores"][0].__setitem__(name, value)


def in_stage(name: str, value: Any) -> Change:
    return lambda content: content["stages"][0].__setitem__(name, value)


def in_cost(name: str, value: Any) -> Change:
    return lambda content: content["cost"].__setitem__(name, value)


CLEAN = {"auc": None, "kept": 1.0, "precision": 0.7, "recall": 1.0, "rare_clean_lost": 0.0}
CLEAN["clean"] = 0.7


def one_more_right(content: dict[str, Any]) -> None:
    """Raise top-1 by one picture, in every figure that the record has of it."""
    score = content["scores"][0]
    classes = len(score["per_class_top1"])
    place = min(range(classes), key=lambda one: score["per_class_top1"][one])
    score["per_class_top1"][place] += classes / score["images"]  # all classes are as large
    score["per_class_top5"][place] = max(
        score["per_class_top5"][place], score["per_class_top1"][place]
    )
    score["top1"] = round(score["top1"] * score["images"] + 1) / score["images"]
    for k in ("top1", "top5"):
        score[f"{k}_class_mean"] = sum(score[f"per_class_{k}"]) / classes


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (in_score("top1", 0.99), "was altered: it contradicts itself"),
        (one_more_right, "top1 is 0."),
        (in_score("images", 120), "120 images, and 60 were predicted"),
        (in_score("per_class_top1", []), "was altered: it contradicts itself"),
        (in_score("predictions_sha256", "0" * 64), "is missing or altered"),
        (in_score("split", "ilsvrc"), "ilsvrc-1-view-last.npz is missing or altered"),
        (lambda content: content.__setitem__("seed", 7), "its id is not that of its plugin"),
        (lambda content: content.__setitem__("label", "best"), "its label is not the one"),
        (lambda content: content.__setitem__("schema_version", 3), "which a later version wrote"),
        (lambda content: content.__setitem__("schema_version", 1), "an earlier version wrote"),
        (lambda content: content.__setitem__("surplus", 1), "Extra inputs are not permitted"),
        (lambda content: content.__setitem__("decides", {}), "does not say what its id was made"),
        (
            lambda content: content["stages"][0]["history"][0].__setitem__("val_top1", 0.85),
            "is in its history",
        ),
        (in_stage("broken_images", -1), "-1 broken images"),
        (
            lambda content: content["stages"][0]["history"].append(
                content["stages"][0]["history"][-1]
            ),
            "its epochs do not follow each other",
        ),
        (lambda content: content["stages"][0]["values"].update(epochs="0"), "epochs of 0"),
        (in_cost("wall_seconds", -1.0), "its cost is below 0"),
        (in_cost("stage_seconds", {"nobody": 1.0}), "its cost is that of other stages"),
        (in_cost("created", "yesterday"), "its date of creation is not a date"),
        (lambda content: content["noise"].append({**CLEAN, "stage": "nobody"}), "its noise handl"),
        (
            lambda content: content["noise"].append(
                {**CLEAN, "stage": content["stages"][0]["name"], "precision": 0.9}
            ),
            "its precision and recall are not of the same clean labels",
        ),
    ],
)
def test_a_forged_figure_is_found_though_the_digest_fits(
    path: Path, call: Call, change: Change, words: str
) -> None:
    forge(path, change)
    found = problems(call)
    assert found
    assert any(words in one for one in found), found


@pytest.mark.parametrize("damage", ["cut", "huge", "NaN", "deleted"])
def test_a_damaged_file_is_found(path: Path, call: Call, damage: str) -> None:
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:500])
    elif damage == "huge":
        with path.open("r+b") as file:
            file.truncate(65 << 20)
    elif damage == "NaN":
        text = json.dumps({**content_of(path), "seed": float("nan")}, indent=1, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        path.write_text(f'{{\n "digest": "{digest}",{text[1:]}\n')
    else:
        shutil.rmtree(path.with_suffix(""))
    assert problems(call)


def test_predictions_of_another_split_or_record_are_found(path: Path, call: Call) -> None:
    kept = path.with_suffix("")
    val, test = kept / "val-1-view-last.npz", kept / "test-1-view-last.npz"
    val.rename(kept / "spare")
    test.rename(val)
    (kept / "spare").rename(test)
    found = problems(call)
    assert any("val, 1 view, last epoch" in one and "missing or altered" in one for one in found)
    assert any("test, 1 view, last epoch" in one for one in found)


def better(classes: np.ndarray) -> np.ndarray:
    """Move the likeliest class to the end."""
    return np.roll(classes, 1, axis=1)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"classes": better}, "per_class_top1 is not what its predictions give"),
        ({"labels": lambda labels: np.roll(labels, 1)}, "is not what its predictions"),
        ({"probabilities": lambda shares: shares[:, ::-1]}, "not those of the likeliest classes"),
        ({"probabilities": lambda shares: shares + 2}, "are not between 0 and 1"),
        ({"classes": lambda classes: classes * 0}, "predicted twice"),
        ({"classes": lambda classes: classes + 99}, "its classes are outside of 0 to 5"),
        ({"classes": lambda classes: classes[:, :2]}, "have the shapes"),
        ({"labels": lambda labels: labels / 2}, "its labels are not whole numbers"),
        ({"files": lambda files: files[::-1]}, "its pictures are not those of the split's other"),
        ({"files": lambda files: files.astype(object)}, "is damaged"),
    ],
)
def test_forged_predictions_are_found_though_all_digests_fit(
    path: Path, call: Call, columns: dict[str, Any], words: str
) -> None:
    repacked(path, ("val", "10 views"), **columns)
    found = problems(call)
    assert any(words in one and one.startswith("val, 10 views") for one in found), found


def test_pictures_of_another_split_are_found_with_the_data(path: Path, call: Call) -> None:
    for protocol in ("1 view", "10 views"):
        repacked(
            path,
            ("val", protocol),
            files=lambda files: np.char.replace(files, "val_images", "test_images"),
        )
    assert problems(call) == []  # a forger who writes all anew is not found without the data
    found = problems(call, "--data", "synthweb:tiny")
    assert found
    assert all("its pictures are not those of the data set's split" in one for one in found)


def test_a_forged_fingerprint_of_the_data_is_found(path: Path, call: Call) -> None:
    forge(path, lambda content: content["data"].update(fingerprint="0" * 64))
    assert any("fingerprint of its data is not the one" in one for one in problems(call))


def as_seed(seed: int, path: Path) -> Path:
    """Copy a run under another seed, with an id and a digest that fit."""
    content = content_of(path)
    decides = {**content["decides"], "seed": seed}
    identity = record_id(content["plugin"], seed, decides)
    copy = path.with_name(f"{identity}.json")
    copy.write_text(sealed_record({**content, "id": identity, "seed": seed, "decides": decides}))
    shutil.copytree(path.with_suffix(""), copy.with_suffix(""))
    return copy


def test_a_run_copied_as_another_seed_is_named(path: Path, call: Call) -> None:
    copy = as_seed(1, path)
    assert problems(call) == [
        f"its predictions are those of {one.stem}, of another seed: one was copied"
        for one in sorted((path, copy), reverse=path < copy)
    ]


def test_a_copied_record_under_another_name_is_named(path: Path, call: Call) -> None:
    path.with_name("copy.json").write_bytes(path.read_bytes())
    assert any("is a copy under a new name" in one for one in problems(call))


def test_a_run_whose_labels_are_not_those_of_the_others_is_named(path: Path, call: Call) -> None:
    copies = [as_seed(seed, path) for seed in (1, 2)]

    def swapped(files: np.ndarray) -> np.ndarray:
        return np.concatenate([files[1:2], files[:1], files[2:]])

    for protocol in ("1 view", "10 views"):
        repacked(copies[0], ("test", protocol), files=swapped)
    assert (
        "its pictures or labels of test are not those of the other runs on this data"
        in problems(call)
    )


def board(call: Call) -> tuple[list[dict[str, Any]], str]:
    ended = call("leaderboard", "--format", "json")
    assert ended.status == 0, ended
    return json.loads(ended.out), ended.err


def test_the_board_verifies_what_it_shows_once(home: Path, path: Path, call: Call) -> None:
    rows, err = board(call)
    assert {row["verified"] for row in rows} == {"yes"}
    assert err == ""
    memory = home / "verified.json"
    written = memory.stat().st_mtime_ns
    assert board(call) == (rows, err)
    assert memory.stat().st_mtime_ns == written
    assert "Verified: the stored" in call("leaderboard").out
    memory.write_bytes(memory.read_bytes().replace(b'"version": 1', b'"version": 2'))
    assert board(call) == (rows, err)  # a damaged memory is begun anew


@pytest.mark.parametrize(
    ("forgery", "words"),
    [
        (lambda path: forge(path, one_more_right), "and its predictions give"),
        (lambda path: repacked(path, ("val", "10 views"), classes=better), "predictions give"),
        (lambda path: as_seed(1, path), "of another seed: one was copied"),
        (
            lambda path: (path.with_suffix("") / "val-1-view-last.npz").unlink(),
            "val-1-view-last.npz is missing or altered",
        ),
    ],
)
def test_the_board_leaves_out_what_is_not_fine_and_says_why(
    path: Path, call: Call, forgery: Callable[[Path], object], words: str
) -> None:
    board(call)  # what was verified before is looked at again after a change
    forgery(path)
    rows, err = board(call)
    assert rows == []
    lines = [line for line in err.splitlines() if line.startswith("left out: record ")]
    assert lines
    assert any(path.stem in line and words in line for line in lines)


def test_a_record_without_predictions_is_shown_as_not_verified(path: Path, call: Call) -> None:
    shutil.rmtree(path.with_suffix(""))
    rows, err = board(call)
    assert {row["verified"] for row in rows} == {"no"}
    assert "baseline epochs=1: not tested: " in err
    assert err.count("\n") == 1


def test_other_commands_name_the_records_that_they_leave_out(path: Path, call: Call) -> None:
    path.write_text(path.read_text().replace('"images": 60', '"images": 61'))
    for command in (
        ("compare", "baseline", "baseline"),
        ("plan", "--plugin", "baseline", "--data", "synthweb:tiny"),
    ):
        err = call(*command).err
        assert f"left out: {path} was altered after it was written" in err
