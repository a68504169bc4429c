"""A run as a folder for the Hugging Face Hub: weights, model card, results of an evaluation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.store.files import atomic_write, write_text
from harness.store.reading import is_there
from harness.store.record import EffectiveStage, ResultRecord, Score
from harness.store.seals import check_marker
from harness.store.stages import stage_folder, weights_file
from harness.studies.again import command
from harness.terminal import visible
from harness.values import MEAN, STD

CARD, CONFIG, RESULTS = "README.md", "config.json", ".eval_results"


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A data set of the Hub that collects results, and where these can be looked at.

    ``name`` is OWNER/NAME, ``task`` one of the tasks that it lists, ``revision`` its commit,
    ``source`` a link.
    """

    name: str
    task: str = "default"
    revision: str = ""
    source: str = ""

    @classmethod
    def parse(cls, text: str, task: str, source: str) -> Benchmark:
        """Read ``OWNER/NAME[@REVISION]``; raises HarnessError if it is not that.

        >>> Benchmark.parse("someone/webvision@0123abc", "default", "").revision
        '0123abc'
        """
        name, at, revision = text.partition("@")
        if name.count("/") != 1 or not all(name.split("/")) or (at and not revision):
            raise HarnessError(f"--benchmark {text!r} must be OWNER/NAME or OWNER/NAME@REVISION")
        return cls(name=name, task=task, revision=revision, source=source)


def write_model(
    home: Path, record: ResultRecord, folder: Path, benchmark: Benchmark | None = None
) -> list[str]:
    """Write a run's networks as safetensors, with a card; return the names of the files.

    ``benchmark`` adds ``.eval_results/NAME.yaml``. Raises HarnessError if the stages are not in
    ``home``, as of a run that was submitted, or are damaged.
    """
    networks = dict(_networks(home, record))
    for name, weights in networks.items():
        _write_weights(folder / name, weights)
    written = [*networks]
    (stage, *_) = _members(record)
    plain = len(networks) == 1 and not stage.tricks.get("model")
    if plain:
        text = json.dumps(config_of(record, stage), indent=1)
        write_text(folder / CONFIG, f"{text}\n")
        written.append(CONFIG)
    write_text(folder / CARD, card(record, list(networks), plain=plain))
    written.append(CARD)
    if benchmark is not None:
        from huggingface_hub.utils import yaml_dump  # type: ignore[attr-defined]

        name = f"{RESULTS}/{benchmark.name.partition('/')[2]}.yaml"
        write_text(folder / name, yaml_dump([result_of(record, benchmark)]))
        written.append(name)
    return written


def _members(record: ResultRecord) -> list[EffectiveStage]:
    return [stage for stage in record.stages if stage.name in record.members]


def _networks(home: Path, record: ResultRecord) -> Iterator[tuple[str, Path]]:
    """Yield the name of each tested network's file, and the file of its weights in HOME."""
    several = len(record.members) > 1
    for stage in _members(record):
        folder = stage_folder(home, stage.key)
        if not is_there(folder.marker):
            raise HarnessError(
                f"the weights of stage {stage.name!r} of {record.id} are not in {folder.path}: "
                "only a run that was trained in this home has them; run it here"
            )
        check_marker(folder.marker)
        count = int(stage.values.get("networks", "1"))
        for number in range(count):
            parts = [
                "model",
                *([stage.name] if several else []),
                *([str(number)] if number else []),
            ]
            yield f"{'-'.join(parts)}.safetensors", folder.path / weights_file("weights", number)


def _write_weights(path: Path, weights: Path) -> None:
    from safetensors.torch import save

    from harness.training.checkpoints import load_tensors

    # Cloned: safetensors refuses tensors that share memory.
    tensors = {name: t.detach().clone().contiguous() for name, t in load_tensors(weights).items()}
    atomic_write(path, lambda file: file.write(save(tensors, {"format": "pt"})))


def config_of(record: ResultRecord, stage: EffectiveStage) -> dict[str, Any]:
    """Return timm's description of the network, for ``timm.create_model("hf-hub:OWNER/NAME")``."""
    size = int(stage.values["input_size"])
    return {
        "architecture": stage.values["backbone"],
        "num_classes": record.data.classes,
        "pretrained_cfg": {
            "input_size": [3, size, size],
            "num_classes": record.data.classes,
            "mean": MEAN,
            "std": STD,
        },
    }


def own_scores(record: ResultRecord) -> list[Score]:
    """Return the last epoch's score of each split, under the method's own protocol: the last."""
    last = [score for score in record.scores if score.epoch == "last"]
    return list({score.split: score for score in last}.values())


def result_of(record: ResultRecord, benchmark: Benchmark) -> dict[str, Any]:
    """Return the entry of a ``.eval_results`` file: top-1 of test in percent.

    **Source:** https://huggingface.co/docs/hub/eval-results. Raises HarnessError if the run was not
    tested.
    """
    found = [score for score in own_scores(record) if score.split == "test"]
    if not found:
        raise HarnessError(f"{record.id} was not scored on test, so there is no result to name")
    (score,) = found
    dataset = {"id": benchmark.name, "task_id": benchmark.task}
    if benchmark.revision:
        dataset["revision"] = benchmark.revision
    entry: dict[str, Any] = {
        "dataset": dataset,
        "value": round(100 * score.top1, 4),
        "date": record.cost.created,
    }
    if benchmark.source:
        entry["source"] = {"url": benchmark.source, "name": "webvision-harness"}
    entry["notes"] = f"top-1 in percent, test, {score.protocol}, {record.id}"
    return entry


def card(record: ResultRecord, networks: list[str], *, plain: bool) -> str:
    """Return the model card: what was trained on what, its scores, and how to use and repeat it."""
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type="image-classification",
            dataset_type=record.data.plugin,
            dataset_name=visible(record.data.edition),
            dataset_split=score.split,
            metric_type="accuracy",
            metric_name=f"{metric}, {score.protocol}",
            metric_value=round(value, 6),
        )
        for score in own_scores(record)
        for metric, value in (("top-1", score.top1), ("top-5", score.top5))
    ]
    data = ModelCardData(
        library_name="timm",
        pipeline_tag="image-classification",
        tags=["image-classification", "noisy-labels", "webvision-harness", "timm"],
        model_name=record.id,
        eval_results=results,
    )
    return f"---\n{data.to_yaml()}\n---\n\n" + "\n".join(_body(record, networks, plain=plain))


def _body(record: ResultRecord, networks: list[str], *, plain: bool) -> Iterator[str]:
    (stage, *_) = _members(record)
    cost = record.cost
    yield f"# {_cell(record.label)}, seed {record.seed}"
    yield ""
    yield (
        f"Trained on {_cell(record.data.edition)} ({record.data.train_samples:,} pictures with the "
        f"labels of the web, {record.data.classes} classes) by webvision-harness."
    )
    if not record.full_size:
        yield ""
        yield "A shrunk run: it says which method is better, not how good one is at full size."
    yield from (
        "",
        "| split | protocol | top-1 | top-5 | top-1, class mean |",
        "|---|---|---|---|---|",
    )
    for score in own_scores(record):
        figures = (score.top1, score.top5, score.top1_class_mean)
        cells = (score.split, score.protocol, *(f"{100 * value:.2f}" for value in figures))
        yield f"| {' | '.join(map(_cell, cells))} |"
    yield from ("", "## Use", "", "```python")
    if plain:
        yield from ("import timm", "from safetensors.torch import load_file", "")
        backbone, classes = stage.values["backbone"], record.data.classes
        yield f"network = timm.create_model({backbone!r}, num_classes={classes})"
        yield f'network.load_state_dict(load_file("{networks[0]}"))'
    else:
        yield "from safetensors.torch import load_file"
        yield ""
        yield from (f'load_file("{name}")' for name in networks)
    yield "```"
    yield ""
    yield (
        f"Input: {stage.values['input_size']} pixels, RGB, mean {list(MEAN)}, standard deviation "
        f"{list(STD)}."
    )
    if not plain:
        yield f"The networks are {_cell(stage.values['backbone'])}, changed by the stage's tricks."
    yield from ("", "## Repeat", "", "```sh", visible(command(record)), "```", "")
    yield f"It took {cost.device_seconds:.0f} s on {_cell(cost.hardware.get('devices', '?'))}."
    yield f"Record `{record.id}`, commit `{_cell(record.commit) or 'unknown'}`."
    yield ""


def _cell(text: str) -> str:
    """Return text that ends no cell, line or tag of a markdown page."""
    return visible(text).replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
