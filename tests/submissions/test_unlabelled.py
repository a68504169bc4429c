"""A test split without public labels: predicted by a finished run's networks, and checked."""

from __future__ import annotations

import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from harness.api import spec_of
from harness.assembly.data_sets import load_pictures
from harness.data.webvision.index.build import build_index
from harness.errors import HarnessError
from harness.runner import run
from harness.session.prediction import predict_with
from harness.spec import DataSpec
from harness.store.record import ResultRecord
from harness.studies.again import asked
from harness.testing.predictions import load_predictions

Call = Callable[..., Any]
LABELS = "info/test_labels.txt"


class Trained(NamedTuple):
    """A data set without labels of test, and a home with a run on it."""

    root: Path
    home: Path
    record: ResultRecord


@pytest.fixture(scope="module")
def trained(drawn_tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Two networks whose combination is learned on val; do not change it."""
    place = tmp_path_factory.mktemp("unlabelled")
    root = shutil.copytree(drawn_tiny, place / "webvision")
    (root / LABELS).unlink()
    spec = spec_of(
        "huawei",
        data=f"webvision1:{root}",
        stage={"epochs": 1, "backbone": "test_resnet", "input_size": 32, "precision": "fp32"},
        noise="none",
        members=("top_ranked",),
        ensemble="learned",
        crops=2,
        engine="torch",
        home=place / "home",
    )
    return Trained(root, place / "home", run(spec))


@pytest.fixture
def home(trained: Trained, harness_home: Path) -> Path:
    """A home of its own with the run."""
    return Path(shutil.copytree(trained.home, harness_home))


def lines_of(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as whole:
        return whole.read("predictions.txt").decode().splitlines()


def test_the_pictures_are_predicted_and_the_file_is_right(
    trained: Trained, home: Path, call: Call, tmp_path: Path, drawn_tiny: Path
) -> None:
    data, path = f"webvision1:{trained.root}", tmp_path / "a.zip"
    ended = call("predict", trained.record.id, "--data", data, "-o", str(path))
    assert ended.status == 0, ended
    assert ended.err.endswith(f"wrote {path}: 60 pictures of test, 2 views\n")
    assert [line.split("\t")[0] for line in lines_of(path)] == [
        f"test{number:06d}.jpg" for number in range(1, 61)
    ]
    ended = call("score", str(path), "--data", data)
    assert ended.status == 0
    assert f"60 lines, all are correct; not scored: the labels of test of {data} are" in ended.out
    said = json.loads(call("score", str(path), "--data", data, "--json").out)
    assert (said["problems"], said["scores"]) == ([], None)
    assert "not public" in said["unscored"]
    # The organisers, who have the labels, can score it.
    labelled = call("score", str(path), "--data", f"webvision1:{drawn_tiny}", "--json")
    assert json.loads(labelled.out)["scores"]["images"] == 60


def test_it_predicts_what_a_run_that_knows_the_labels_was_scored_on(
    trained: Trained, drawn_tiny: Path
) -> None:
    record = trained.record
    spec = spec_of(**{**asked(record), "data": f"webvision1:{trained.root}"}, home=trained.home)
    labelled = run(replace(spec, data=DataSpec.parse(f"webvision1:{drawn_tiny}")))
    assert [stage.key for stage in labelled.stages] == [stage.key for stage in record.stages]
    samples = load_pictures(trained.home, str(spec.data), "test")
    for protocol in ("1 view", "2 views"):
        kept = load_predictions(trained.home, labelled, "test", protocol)
        predicted = predict_with(record, spec, 1, samples, protocol, "last")
        assert predicted.files.tolist() == kept.files.tolist()
        np.testing.assert_array_equal(predicted.classes, kept.classes)
        assert set(predicted.labels.tolist()) == {-1}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: lines[:-1], "test000060.jpg has no line"),
        (lambda lines: [*lines, lines[0]], "line 61: test000001.jpg has two lines, the first is l"),
        (lambda lines: [lines[0].replace("test0", "val0"), *lines[1:]], "line 1: val000001.jpg is"),
        (lambda lines: [f"{lines[0]} 0", *lines[1:]], "line 1: it has 6 labels, not 5"),
        (lambda lines: [lines[0][:-1] + "6", *lines[1:]], "line 1: label 6 is above 5"),
        (lambda lines: [lines[0][:-1] + lines[0][-3], *lines[1:]], "line 1: a label is rep"),
    ],
)
def test_problems_are_also_named_without_labels(
    trained: Trained,
    call: Call,
    tmp_path: Path,
    change: Callable[[list[str]], list[str]],
    words: str,
) -> None:
    right = [f"test{number:06d}.jpg\t0 1 2 3 4" for number in range(1, 61)]
    path = tmp_path / "predictions.txt"
    path.write_text("".join(f"{line}\n" for line in change(right)))
    ended = call("score", str(path), "--data", f"webvision1:{trained.root}")
    assert ended.status == 2
    assert ended.out.startswith(words)
    assert "all are correct" not in ended.out


def test_what_cannot_be_predicted_is_one_line(
    trained: Trained, home: Path, call: Call, tmp_path: Path, drawn_tiny: Path
) -> None:
    output, data = ("-o", str(tmp_path / "a.zip")), f"webvision1:{trained.root}"

    def error(*words: str) -> str:
        line: str = call("predict", trained.record.id, *words, *output).error
        return line

    assert error().endswith(
        "was scored on val, not on test; to predict the pictures of test now, add --data "
        "webvision1:FOLDER"
    )
    assert "unknown protocol '7 views'" in error("--data", data, "--protocol", "7 views")
    assert "was trained on other pictures than" in error("--data", f"{data}?classes=0-1")
    assert "no pictures of ILSVRC-12" in error("--data", data, "--split", "ilsvrc")
    other = shutil.copytree(trained.root, tmp_path / "other")
    (other / "info" / "train_filelist_google.txt").write_text(
        (trained.root / "info" / "train_filelist_google.txt").read_text().partition("\n")[2]
    )
    assert "was trained on other pictures than" in error("--data", f"webvision1:{other}")
    record = trained.record.model_copy(update={"decides": {**trained.record.decides, "seed": 7}})
    spec = spec_of(**{**asked(record), "data": data}, home=home)
    with pytest.raises(HarnessError, match="its plugins have changed since"):
        predict_with(record, spec, 1, load_pictures(home, data, "test"), "1 view", "last")
    shutil.rmtree(home / "stages")
    assert "the weights of stage" in error("--data", data)
    assert not list((home).glob("stages/*"))
    assert not (tmp_path / "a.zip").exists()


def test_archives_give_the_same_pictures(trained: Trained, tmp_path: Path) -> None:
    root = tmp_path / "archived"
    shutil.copytree(trained.root / "info", root / "info")
    for folder in ("google", "flickr", "val_images_256", "test_images_256"):
        with tarfile.open(root / f"{folder}.tar", "w") as archive:
            archive.add(trained.root / folder, folder)
    build_index(root)
    for options in ("", "?classes=0-1"):
        plain, archived = (
            load_pictures(tmp_path, f"webvision1:{place}{options}", "test")
            for place in (trained.root, root)
        )
        assert np.asarray(archived.files).tolist() == np.asarray(plain.files).tolist()
        assert len(plain) == 60
        assert plain.label.tolist() == archived.label.tolist() == [-1] * 60
        assert not plain.has_labels
