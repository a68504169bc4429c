"""External scores: its stages, and from data to record with both kinds of scores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.assembly.activation import Activation
from harness.assembly.contract import tricks_of
from harness.assembly.recipe import UNREAD, Recipe, resolve
from harness.data.webvision import read_split
from harness.errors import HarnessError
from harness.knobs import knobs_of
from harness.spec import DataSpec, RunSpec
from harness.store.record_files import read_record
from harness.tricks.noise.confident_learning import ConfidentLearning
from harness.tricks.noise.hold_out import HoldOut
from harness.tricks.noise.listed_scores import ListedScores
from harness.tricks.noise.picture_match import PictureMatch
from harness.tricks.noise.semantic_match import SemanticMatch
from harness_plugins.external_scores import ExternalScores

Call = Callable[..., Any]
TINY = DataSpec(name="synthweb", path="tiny")


def recipe_of(**knobs: str) -> Recipe:
    spec = RunSpec(plugin="external_scores", knobs=knobs, data=TINY, full_size=True)
    active = Activation(spec)
    return resolve(active.spec, active.hooks, UNREAD)


def test_each_fold_has_a_network_and_the_last_stage_sees_all() -> None:
    *scored, train = recipe_of(folds="3").stages
    assert [tricks_of(s.noise) for s in scored] == [(HoldOut(fold=f, folds=3),) for f in range(3)]
    assert [s.stage.epochs for s in (*scored, train)] == [25, 25, 25, 75]
    sees = tuple(s.stage for s in scored)
    assert train.stage.sees == sees
    assert tricks_of(train.noise) == (ConfidentLearning(sees=sees),)
    assert train.stage.start is None
    one, _ = recipe_of(folds="1").stages
    assert tricks_of(one.noise) == ()


def test_a_table_takes_the_place_of_the_networks_that_score(tmp_path: Path) -> None:
    file = tmp_path / "scores.csv"
    file.write_text("path,score\n")
    (train,) = recipe_of(file=str(file), use="weigh", share="0.5").stages
    assert tricks_of(train.noise) == (ListedScores(file=file, use="weigh", share=0.5),)
    assert train.stage.sees == ()


def test_texts_take_the_place_of_the_networks_that_score() -> None:
    (train,) = recipe_of(scores="text", encoder="lexical", use="weigh").stages
    assert tricks_of(train.noise) == (SemanticMatch(encoder="lexical", use="weigh", share=0.8),)
    assert train.stage.sees == ()


def test_two_sources_of_scores_are_refused(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="scores=text, two sources of scores; leave one out"):
        recipe_of(scores="text", file=str(tmp_path / "scores.csv"))


def test_a_source_that_there_is_not_is_refused_by_name() -> None:
    with pytest.raises(HarnessError, match=r"scores.*confident_learning.*text.*picture"):
        recipe_of(scores="picture")


def test_every_knob_says_where_it_comes_from() -> None:
    assert all(len(knob.source) > 10 for knob in knobs_of(ExternalScores).values())


@pytest.mark.parametrize(("scores", "text"), [("picture_class", "class"), ("picture_text", "own")])
def test_pictures_take_the_place_of_the_networks_that_score(scores: str, text: Any) -> None:
    (train,) = recipe_of(scores=scores, share="0.5", prompt="one {label}").stages
    match = PictureMatch(encoder="minilm", text=text, prompt="one {label}", share=0.5)
    assert tricks_of(train.noise) == (match,)
    assert train.stage.sees == ()


@pytest.mark.slow
def test_confident_learning_runs_from_data_to_record(tiny_home: Path, call: Call) -> None:
    asked = ("--plugin", "external_scores", "--data", "synthweb:tiny", "--set", "folds=2")
    ended = call("run", *asked, "--engine", "torch", "--stage", "epochs=1", "--set", "crops=1")
    assert ended.status == 0, ended
    (path,) = (tiny_home / "records").glob("*.json")
    record = read_record(path)
    assert [stage.name for stage in record.stages] == ["score-0", "score-1", "retrain"]


@pytest.mark.slow
def test_a_table_runs_from_data_to_record(
    tiny_home: Path, drawn_tiny: Path, tmp_path: Path, call: Call
) -> None:
    samples = read_split(drawn_tiny, "train")
    names = [str(name) for name in samples.files.tolist()]
    lines = [f"{name},{number % 7}" for number, name in enumerate(names)]
    file = tmp_path / "scores.csv"
    file.write_text("\n".join(["path,score", *lines]))
    knobs = ("--set", f"file={file}", "--set", "share=0.5")
    data = ("--data", "synthweb:tiny", "--stage", "epochs=1", "--engine", "torch")
    data += ("--set", "crops=1")
    ended = call("run", "--plugin", "external_scores", *knobs, *data)
    assert ended.status == 0, ended
    (path,) = (tiny_home / "records").glob("*.json")
    (listed,) = read_record(path).noise
    assert listed.kept == pytest.approx(0.5, abs=0.02)
    file.write_text("path,score\n")
    refused = call("run", "--plugin", "external_scores", *knobs, *data)
    assert refused.status == 2
    assert f"has no score for {len(names)} of {len(names)} samples" in refused.err


COUNTS = """
import gc
from pathlib import Path
from harness import hookimpl

class Plugin:
    "Counts the text encoders that are in memory when training begins."

    @hookimpl
    def on_run_start(self):
        gc.disable()

    @hookimpl
    def on_stage_start(self):
        held = [one for one in gc.get_objects() if type(one).__name__ == "SentenceTransformer"]
        Path(__file__).with_name("held.txt").write_text(str(len(held)))
"""


@pytest.mark.slow
def test_a_text_encoder_is_gone_when_training_begins(
    install: Callable[..., Path], tiny_home: Path, harness_fork: Call
) -> None:
    module = install("counts", COUNTS)
    knobs = ("--set", "scores=text", "--set", "crops=1", "--with", "counts")
    data = ("--data", "synthweb:tiny", "--stage", "epochs=1", "--engine", "torch")
    ended = harness_fork("run", "--plugin", "external_scores", *knobs, *data)
    assert ended.status == 0, ended
    assert module.with_name("held.txt").read_text() == "0"  # it would fill the GPU


@pytest.mark.slow
@pytest.mark.parametrize("use", ["select", "weigh"])
def test_texts_run_from_data_to_record_with_what_they_detect(
    use: str, tiny_home: Path, call: Call
) -> None:
    knobs = ("--set", "scores=text", "--set", "encoder=lexical", "--set", f"use={use}")
    data = ("--data", "synthweb:tiny", "--stage", "epochs=1", "--engine", "torch")
    ended = call("run", "--plugin", "external_scores", *knobs, *data, "--set", "crops=1")
    assert ended.status == 0, ended
    (path,) = (tiny_home / "records").glob("*.json")
    record = read_record(path)
    assert [stage.name for stage in record.stages] == ["retrain"]
    (texts,) = record.noise
    assert texts.auc is not None
    assert texts.auc > 0.6  # chance is 0.5
    assert (texts.kept < 1.0) == (use == "select")
