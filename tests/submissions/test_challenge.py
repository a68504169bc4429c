"""The challenge's files: what is written can be scored, and every wrong line is named."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.store.record_files import read_records
from harness.submissions.challenge import read_answers, score_answers

Call = Callable[..., Any]


@pytest.fixture
def written(home: Path, call: Call, tmp_path: Path) -> Path:
    """The predictions of test of the run of seed 0."""
    path = tmp_path / "predictions.zip"
    ended = call("predict", "baseline-seed0", "-o", str(path))
    assert ended.status == 0, ended
    assert ended.err == f"wrote {path}: 60 pictures of test, 10 views\n"
    return path


@pytest.fixture
def lines(written: Path) -> list[str]:
    """The lines of the file."""
    with zipfile.ZipFile(written) as whole:
        assert whole.namelist() == ["predictions.txt"]
        return whole.read("predictions.txt").decode().splitlines()


@pytest.fixture
def scored(call: Call, tmp_path: Path) -> Callable[..., Any]:
    """Score a text; return what is said as JSON, with the status checked."""

    def score(text: str | bytes, *words: str) -> Any:
        path = tmp_path / "sent.zip"
        with zipfile.ZipFile(path, "w") as whole:
            whole.writestr("predictions.txt", text)
        ended = call("score", str(path), "--data", "synthweb:tiny", "--json", *words)
        said = json.loads(ended.out)
        assert ended.status == (2 if said["problems"] else 0)
        assert (said["scores"] is None) == bool(said["problems"])
        return said

    return score


def joined(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize("split", ["test", "val"])
@pytest.mark.parametrize("protocol", ["1 view", "10 views"])
def test_a_file_that_was_written_has_the_records_scores(
    home: Path, call: Call, tmp_path: Path, split: str, protocol: str
) -> None:
    path = tmp_path / "a.zip"
    words = ("--split", split, "--protocol", protocol, "-o", str(path))
    assert call("predict", "baseline-seed1", *words).status == 0
    ended = call("score", str(path), "--data", "synthweb:tiny", "--split", split, "--json")
    (record,) = (r for r in read_records(home / "records")[0] if r.seed == 1)
    score = record.score(split, protocol)
    assert score is not None
    assert json.loads(ended.out)["scores"] == pytest.approx(
        {
            "images": score.images,
            "top1": score.top1,
            "top5": score.top5,
            "top1_class_mean": score.top1_class_mean,
            "top5_class_mean": score.top5_class_mean,
        }
    )
    table = call("score", str(path), "--data", "synthweb:tiny", "--split", split).out
    assert f"{score.top5_class_mean:.2%}" in table


def test_the_lines_are_those_of_the_challenge(lines: list[str], scored: Callable[..., Any]) -> None:
    assert lines == sorted(lines)
    name, labels = lines[0].split("\t")
    assert name == "test000001.jpg"
    assert min(map(int, labels.split(" "))) >= 0
    assert len(lines) == 60
    whole = scored(joined(lines))["scores"]
    # The white space of a file that was sent in 2018, and that of the official kit.
    assert scored(joined([line.replace(" ", "   ") for line in lines]))["scores"] == whole
    assert scored(joined([line.replace("\t", " ") for line in lines]))["scores"] == whole
    assert scored(joined([f"{line}\r" for line in lines]))["scores"] == whole


def test_class_mean_and_flat_are_told_apart(make_samples: Callable[..., Any]) -> None:
    """Four pictures of class 0, one of class 5; only those of class 0 are right, one by luck."""
    samples = make_samples([0, 0, 5, 0, 0], num_classes=6, files=np.array(list("abcde")))
    text = b"e 1 2 0 3 4\na 0 1 2 3 4\nb 0 1 2 3 4\nd 0 1 2 3 4\nc 0 1 2 3 4\n"
    answers, problems = read_answers(text, 6)
    assert problems == []
    found = score_answers(answers, samples)
    assert (found.top1.flat, found.top1.class_mean) == (3 / 5, 3 / 8)
    assert (found.top5.flat, found.top5.class_mean) == (4 / 5, 1 / 2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda line: line.replace("\t", "\t9 "), "line 3: it has 6 labels, not 5"),
        (lambda line: line[:-2], "line 3: it has 4 labels, not 5"),
        (lambda line: line[:-1] + "6", "line 3: label 6 is above 5; labels count from 0"),
        (lambda line: line[:-1] + "9", "line 3: label 9 is above 5"),
        (lambda line: line[:-1] + "-1", "line 3: '-1' is not a label from 0 to 5"),
        (lambda line: line[:-1] + "1.0", "line 3: '1.0' is not a label"),
        (lambda line: line[:-1] + "tench", "line 3: 'tench' is not a label"),
        (lambda line: line[:-1] + "9" * 5000, "line 3: '9999"),
        (lambda line: line[:-1] + "\u0663", "line 3: '\u0663' is not a label"),
        (lambda line: line[:-1] + line[-3], "line 3: a label is repeated"),
        (lambda line: "", "line 3: it is empty"),
        (
            lambda line: line.replace("000003", "000002"),
            "line 3: test000002.jpg has two lines, the f",
        ),
        (lambda line: line.replace("000003", "900003"), "line 3: test900003.jpg is not a picture"),
        (lambda line: f"test_images/{line}", "line 3: test_images/test000003.jpg is not a pict"),
        (lambda line: f"\x1b[2J{line}", "line 3: \\x1b[2Jtest000003.jpg is not a picture"),
        (lambda line: f"{line}\nname label", "line 4: it has 1 labels, not 5"),
    ],
)
def test_a_wrong_line_is_named(
    lines: list[str], scored: Callable[..., Any], change: Callable[[str], str], words: str
) -> None:
    lines[2] = change(lines[2])
    problems = scored(joined(lines))["problems"]
    assert problems[0].startswith(words), problems


def test_missing_pictures_and_cut_files_are_named(
    lines: list[str], scored: Callable[..., Any], call: Call, tmp_path: Path
) -> None:
    assert scored(joined(lines[1:]))["problems"] == ["test000001.jpg has no line"]
    whole = joined(lines)
    assert "the last line has no line end: it may be cut short" in scored(whole[:-1])["problems"]
    assert scored("")["problems"] == ["there are no lines"]
    assert scored(b"\xff\xfe" + whole.encode())["problems"]
    assert len(scored(whole, "--split", "val")["problems"]) == 60 + 60
    text = tmp_path / "predictions.txt"
    text.write_text(joined(lines[:10]))
    ended = call("score", str(text), "--data", "synthweb:tiny")
    assert ended.status == 2
    assert "... and 30 more\nnot scored: 50 problems" in ended.out


def test_what_the_challenge_takes_but_looks_wrong_is_a_note(
    lines: list[str], scored: Callable[..., Any]
) -> None:
    said = scored(joined(lines[::-1]))
    assert "the lines are not sorted by name" in said["doubts"]
    assert said["scores"] is not None
    same = [f"{line.split()[0]} 0 1 2 3 4" for line in lines]
    assert "every picture has the same first label" in scored(joined(same))["doubts"]


def test_other_zips_are_refused(call: Call, tiny_home: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"

    def error() -> str:
        line: str = call("score", str(path), "--data", "synthweb:tiny").error
        assert str(path) in line
        return line

    assert "cannot be read: No such file" in error()
    path.write_text("text")
    assert "it is not a zip; the challenge takes a zip of predictions.txt" in error()
    for names in (["answers.txt"], ["predictions.txt", "__MACOSX/x"], ["a/predictions.txt"], []):
        with zipfile.ZipFile(path, "w") as whole:
            for name in names:
                whole.writestr(name, "")
        assert "it must hold predictions.txt and nothing else" in error()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as whole:
        whole.writestr("predictions.txt", bytes(65 << 20))
    assert f"predictions.txt has {65 << 20} bytes, more than" in error()


def test_what_cannot_be_written_is_one_line(home: Path, call: Call, tmp_path: Path) -> None:
    output = ("-o", str(tmp_path / "a.zip"))
    assert "names 2 runs" in call("predict", "baseline epochs=1", *output).error
    assert "was scored on val, test, not on ilsvrc; to predict the pictures of ilsvrc now, add" in (
        call("predict", "baseline-seed0", "--split", "ilsvrc", *output).error
    )
    words = ("--protocol", "3 views")
    assert (
        "has no score of test, 3 views" in call("predict", "baseline-seed0", *words, *output).error
    )
    assert not (tmp_path / "a.zip").exists()
