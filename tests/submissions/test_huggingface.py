"""What the Hugging Face Hub is given: its own parsers and timm read it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries
from safetensors.torch import load_file

from harness.store.record import ResultRecord
from harness.store.record_files import read_records
from harness.store.stages import stage_folder
from harness.submissions.huggingface import card

Call = Callable[..., Any]


@pytest.fixture
def model(home: Path, call: Call, tmp_path: Path) -> Path:
    """The folder of the run of seed 0."""
    folder = tmp_path / "model"
    words = ("--benchmark", "someone/webvision@0123abc", "--source", "https://example.org/board")
    ended = call("export", "baseline-seed0", "--format", "huggingface", "-o", str(folder), *words)
    assert ended.status == 0, ended
    return folder


@pytest.fixture
def record(finished: Path) -> ResultRecord:
    return next(one for one in read_records(finished / "records")[0] if one.seed == 0)


def test_the_weights_are_those_of_the_stage(model: Path, home: Path, record: ResultRecord) -> None:
    folder = stage_folder(home, record.stages[0].key).path
    saved = torch.load(folder / "weights.pt", weights_only=True)
    found = load_file(model / "model.safetensors")
    assert found.keys() == saved.keys()
    assert all(torch.equal(found[name], saved[name]) for name in saved)


def test_timm_loads_the_folder_and_the_cards_code_runs(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = json.loads((model / "config.json").read_text())
    network = timm.create_model(f"local-dir:{model}", pretrained=True).eval()
    found = load_file(model / "model.safetensors")
    assert all(torch.equal(found[name], t) for name, t in network.state_dict().items())
    assert network(torch.zeros(1, *config["pretrained_cfg"]["input_size"])).shape == (1, 6)
    code = (model / "README.md").read_text().partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(model)
    names: dict[str, Any] = {}
    exec(code, names)  # the code that the card shows
    assert torch.equal(names["network"].state_dict()["fc.weight"], found["fc.weight"])


def test_the_card_has_the_scores_and_the_command(model: Path, record: ResultRecord) -> None:
    found = ModelCard.load(model / "README.md")
    score = record.score("test", "10 views")
    assert score is not None
    results = found.data.eval_results
    assert results is not None
    values = {(one.dataset_split, one.metric_name): one.metric_value for one in results}
    assert values["test", "top-1, 10 views"] == pytest.approx(score.top1, abs=1e-6)
    assert f"| test | 10 views | {100 * score.top1:.2f} |" in found.text
    assert "harness run --plugin baseline --stage epochs=1 --data synthweb:tiny" in found.text
    assert "A shrunk run" in found.text


def test_the_result_is_read_by_the_hubs_parser(model: Path, record: ResultRecord) -> None:
    text = (model / ".eval_results" / "webvision.yaml").read_text()
    (entry,) = parse_eval_result_entries(yaml.safe_load(text))
    score = record.score("test", "10 views")
    assert score is not None
    assert (entry.dataset_id, entry.task_id) == ("someone/webvision", "default")
    assert entry.dataset_revision == "0123abc"
    assert entry.value == pytest.approx(100 * score.top1, abs=1e-4)
    assert entry.source_url == "https://example.org/board"
    assert record.id in str(entry.notes)


def test_names_from_plugins_end_no_cell_and_no_header(small_record: ResultRecord) -> None:
    stage = small_record.stages[0].model_copy(
        update={"values": {"backbone": "resnet18", "input_size": "32"}}
    )
    hostile = small_record.model_copy(
        update={"label": "a\n---\n<script>|`", "stages": (stage,), "commit": "`<b>"}
    )
    text = card(hostile, ["model.safetensors"], plain=True)
    assert "# a --- &lt;script>\\|', seed 0" in text
    assert "<script>" not in text
    assert text.count("\n---\n") == 1


def test_what_cannot_be_exported_is_one_line(home: Path, call: Call, tmp_path: Path) -> None:
    words = ("--format", "huggingface", "-o", str(tmp_path / "model"))
    assert "takes one run, not 2" in call("export", "baseline epochs=1", *words).error
    wrong = call("export", "baseline-seed0", *words, "--benchmark", "webvision").error
    assert "--benchmark 'webvision' must be OWNER/NAME" in wrong
    zipped = ("-o", str(tmp_path / "a.zip"), "--benchmark", "a/b")
    assert "need --format huggingface" in call("export", "baseline-seed0", *zipped).error
    shutil.rmtree(home / "stages")
    assert (
        "only a run that was trained in this home has them"
        in call("export", "baseline-seed0", *words).error
    )
    assert not (tmp_path / "model").exists()
