"""``harness compare`` on records: naming runs, tables, JSON, pictures, refusals."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.store.record import ResultRecord
from harness.store.record_files import write_record

Call = Callable[..., Any]
LABELS = np.repeat(np.arange(3, dtype=np.int32), 20)


@pytest.fixture
def board(harness_home: Path, small_record: ResultRecord) -> Path:
    """Two seeds of two methods on one data set, and one of them on another, with predictions."""
    random = np.random.default_rng(0)
    for label, edition, seeds in (
        ("baseline", "synthweb-small v1", (0, 1)),
        ("malong_curriculum model=B", "synthweb-small v1", (1, 0)),
        ("baseline", "WebVision 1.0", (0,)),
    ):
        for seed in seeds:
            classes = np.stack([LABELS + random.integers(2, size=60), *[LABELS + 9] * 4], axis=1)
            name = f"{label.partition(' ')[0]}-seed{seed}-{edition[:3]}"
            keep(harness_home, small_record, name, label, edition, seed, classes)
    return harness_home


def keep(
    home: Path,
    like: ResultRecord,
    name: str,
    label: str,
    edition: str,
    seed: int,
    classes: np.ndarray,
) -> None:
    buffer = io.BytesIO()
    files = np.array([f"{number}.jpg" for number in range(60)])
    np.savez(buffer, files=files, labels=LABELS, classes=classes)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    terms = {"split": "test", "protocol": "1 view", "epoch": "last", "predictions_sha256": digest}
    record = like.model_copy(
        update={
            "id": name,
            "label": label,
            "plugin": label.partition(" ")[0],
            "seed": seed,
            "without": (),
            "data": like.data.model_copy(update={"edition": edition, "fingerprint": edition}),
            "scores": (like.scores[0].model_copy(update=terms),),
        }
    )
    write_record(home / "records", record)
    (home / "records" / name).mkdir()
    (home / "records" / name / "test-1-view-last.npz").write_bytes(buffer.getvalue())


def test_rows_of_the_board_are_compared_on_the_seeds_of_both(board: Path, call: Call) -> None:
    outcome = call("compare", "baseline", "malong_curriculum")
    assert (outcome.status, outcome.err) == (0, "")
    first, second, *rest = outcome.out.splitlines()
    assert first == "baseline  ->  malong_curriculum model=B"
    assert second == "synthweb-small v1, test (60 images), 1 view, top-1"
    text = "\n".join(rest)
    for words in (
        "McNemar p",
        "difference: ",
        "points, p ",
        "covers seeds and images)",
        "categories: ",
        "top pos",
    ):
        assert words in text


def test_json_holds_it_all(board: Path, call: Call) -> None:
    found = json.loads(call("compare", "baseline", "malong_curriculum model=B", "--json").out)
    assert [pair["seeds"] for pair in found["pairs"]] == [[0, 0], [1, 1]]
    assert found["improved"] + found["reduced"] + found["unchanged"] == len(found["categories"])
    estimate = found["difference"]["estimate"]
    by_pair = np.mean([(pair["gained"] - pair["lost"]) / 60 for pair in found["pairs"]])
    by_category = np.mean([category["difference"] for category in found["categories"]])
    assert estimate == pytest.approx(by_pair) == pytest.approx(by_category)
    assert found["difference"]["low"] < estimate < found["difference"]["high"]


def test_a_run_is_named_by_id_beginning_or_path(board: Path, call: Call) -> None:
    path = board / "records" / "malong_curriculum-seed0-syn.json"
    asked = ("baseline-seed1-syn", str(path)), ("baseline-seed1", "malong_curriculum-seed0")
    outs = [call("compare", *texts, "--json").out for texts in asked]
    assert outs[0] == outs[1]
    found = json.loads(outs[0])
    assert (found["before"], found["pairs"][0]["seeds"]) == ("baseline, seed 1", [1, 0])


def test_a_picture_is_written_and_said(board: Path, call: Call, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "categories.svg"
    outcome = call("compare", "baseline", "malong_curriculum", "--json", "--output", str(picture))
    assert outcome.err == f"wrote {picture}\n"
    assert json.loads(outcome.out)["metric"] == "top1"
    assert b"<svg" in picture.read_bytes()


def test_a_page_is_written_that_loads_nothing(board: Path, call: Call, tmp_path: Path) -> None:
    page = tmp_path / "categories.html"
    outcome = call("compare", "baseline", "malong_curriculum", "--json", "--output", str(page))
    assert outcome.err == f"wrote {page}\n"
    found, text = json.loads(outcome.out), page.read_text()
    assert f">{found['improved']}</dd>" in text
    assert text.count('<th scope="row">') == len(found["pairs"]) + len(found["categories"])
    assert "src=" not in text
    assert "stylesheet" not in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("basline", "baseline"), "unknown run 'basline'; did you mean 'baseline'? on the board:"),
        (("baseline-", "baseline"), "'baseline-' is a prefix of 3 records: "),
        (("baseline", "baseline"), "both ran on WebVision 1.0, synthweb-small v1; choose one with"),
        (("malong_curriculum", "malong_curriculum"), "cannot differ from itself; name two runs"),
        (("malong_curriculum", "malong_curriculum-seed0"), "both have the run malong_curriculum-s"),
        (("baseline-seed0-Web", "malong_curriculum"), "cannot be compared: baseline-seed0-W"),
        (("baseline-seed0-Web", "baseline-seed0-syn"), "runs on different data cannot be compared"),
        (("baseline", "malong_curriculum", "--split", "val"), "unknown score 'val, 1 view'; did y"),
        (("baseline", "malong_curriculum", "--protocol", "10 views"), "did you mean 'test, 1 view"),
        (("baseline", "malong_curriculum", "--data", "synthwep"), "did you mean 'synthweb'?"),
        (("baseline", "malong_curriculum", "--data", "timm"), "no active plugin provides 'load"),
        (("/no/such.json", "baseline"), "cannot read /no/such.json"),
        (("baseline", "malong_curriculum", "--output", "a.pdf"), "a picture ends in .svg or .png"),
    ],
)
def test_what_a_user_can_correct_is_one_line(
    board: Path, call: Call, arguments: tuple[str, ...], words: str
) -> None:
    assert words in call("compare", *arguments).error


def test_a_record_away_from_its_predictions_is_said(
    board: Path, call: Call, tmp_path: Path
) -> None:
    moved = tmp_path / "baseline-seed0-syn.json"
    moved.write_bytes((board / "records" / "baseline-seed0-syn.json").read_bytes())
    error = call("compare", str(moved), "malong_curriculum").error
    assert "is not at its original place, HOME/records/baseline-seed0-syn.json" in error


@pytest.mark.parametrize(
    "text", ["synthweb:small", "synthweb", "synthweb-small v1", "synthweb:small?seed=0"]
)
def test_data_is_named_as_in_run_and_is_not_drawn_for_it(
    board: Path, call: Call, text: str
) -> None:
    ended = call("compare", "baseline", "malong_curriculum", "--data", text, "--json")
    found = json.loads(ended.out)
    assert found["edition"] == "synthweb-small v1"
    assert not (board / "data").exists()


def test_the_data_asked_for_must_be_theirs(board: Path, call: Call, drawn_data: Path) -> None:
    (board / "data").symlink_to(drawn_data)
    error = call("compare", "baseline", "malong_curriculum", "--data", "synthweb:tiny").error
    assert error.startswith("nothing to compare on the data given: 'baseline' ran on WebVision")


def test_several_rows_of_one_name_are_told_apart(
    board: Path, call: Call, small_record: ResultRecord
) -> None:
    classes = np.stack([LABELS] * 5, axis=1)
    name, label = "malong_curriculum-seed0-C", "malong_curriculum model=C"
    keep(board, small_record, name, label, "synthweb-small v1", 0, classes)
    error = call("compare", "baseline", "malong_curriculum").error
    assert error == (
        "'malong_curriculum' names several rows: malong_curriculum model=B; "
        "malong_curriculum model=C; write one of these in full"
    )
    assert call("compare", "baseline", label).status == 0
