"""Methods of one stage: what their knobs put into it, and each from data to record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from harness import Ema, Sgd, Stage, Swa
from harness.assembly.activation import Activation
from harness.assembly.recipe import UNREAD, resolve
from harness.knobs import knobs_of
from harness.optimizers import Sam as SharpnessAware
from harness.spec import DataSpec, RunSpec
from harness.store.record_files import read_record
from harness.tricks.batch.ask_averaged import AskAveraged
from harness.tricks.batch.both_views import BothViews
from harness.tricks.batch.label_smoothing import SmoothLabels
from harness.tricks.batch.mixup import MixUp
from harness.tricks.loss.early_learning import EarlyLearning
from harness.tricks.loss.generalized_cross_entropy import GeneralizedCrossEntropy
from harness.tricks.loss.neighbour_consistency import NeighbourConsistency
from harness.tricks.loss.sparse_over_parameterization import SparseOverParameterization
from harness.tricks.loss.symmetric_cross_entropy import SymmetricCrossEntropy
from harness.tricks.model.cosine_classifier import CosineClassifier
from harness.tricks.model.with_features import WithFeatures
from harness.tricks.picture.rand_augment import RandAugment
from harness_plugins.elr import Elr
from harness_plugins.gce import Gce
from harness_plugins.ncr import Ncr
from harness_plugins.sam import Sam
from harness_plugins.sce import Sce
from harness_plugins.sop import Sop
from harness_plugins.tuned import Tuned

TINY = DataSpec(name="synthweb", path="tiny")


@dataclass(frozen=True)
class Method:
    """A plugin with knobs, and what its one stage differs in from the baseline's."""

    name: str
    knobs: dict[str, str]
    kind: type
    stage: dict[str, Any]


METHODS = [
    Method("gce", {}, Gce, {"loss": (GeneralizedCrossEntropy(q=0.7),)}),
    Method(
        "sce",
        {},
        Sce,
        {"clip_norm": 5.0, "loss": (SymmetricCrossEntropy(alpha=10, beta=1, log_zero=-4),)},
    ),
    Method("sop", {}, Sop, {"loss": (SparseOverParameterization(lr_u=1, lr_v=10),)}),
    Method(
        "sop",
        {"plus": "true"},
        Sop,
        {
            "views": 2,
            "picture": (RandAugment(count=2, magnitude=9, views=(1,)),),
            "batch": (BothViews(),),
            "loss": (SparseOverParameterization(lr_u=1, lr_v=10, consistency=0.9, balance=0.1),),
        },
    ),
    Method("sam", {}, Sam, {"optimizer": SharpnessAware(rho=0.05)}),
    Method(
        "ncr",
        {},
        Ncr,
        {
            "model": (WithFeatures(),),
            "loss": (NeighbourConsistency(weight=0.3, count=100, temperature=2, start=10 / 130),),
        },
    ),
    Method(
        "ncr",
        {"mixup_alpha": "0.5", "classifier": "cosine"},
        Ncr,
        {
            "model": (CosineClassifier(scale=10), WithFeatures()),
            "batch": (MixUp(alpha=0.5),),
            "loss": (NeighbourConsistency(weight=0.3, count=100, temperature=2, start=10 / 130),),
        },
    ),
    Method("elr", {}, Elr, {"loss": (EarlyLearning(momentum=0.7, strength=3),)}),
    Method(
        "elr",
        {"plus": "true"},
        Elr,
        {
            "networks": 2,
            "average": Ema(decay=0.997),
            "batch": (AskAveraged(peer=1), MixUp(alpha=1.5)),
            "loss": (EarlyLearning(momentum=0.7, strength=3),),
        },
    ),
    Method(
        "tuned",
        {},
        Tuned,
        {
            "optimizer": Sgd(weight_decay=5e-4),
            "average": Swa(),
            "picture": (RandAugment(count=2, magnitude=9),),
            "batch": (MixUp(alpha=0.2), SmoothLabels(smoothing=0.1)),
        },
    ),
    Method(
        "tuned",
        {
            "average": "none",
            "augmentation": "0",
            "mixup_alpha": "0",
            "smoothing": "0",
            "weight_decay": "1e-4",
        },
        Tuned,
        {},
    ),
]
IDS = [" ".join((m.name, *m.knobs)) for m in METHODS]


def stage_of(name: str, knobs: dict[str, str]) -> Stage:
    active = Activation(RunSpec(plugin=name, knobs=knobs, data=TINY, full_size=True))
    (only,) = resolve(active.spec, active.hooks, UNREAD).stages
    return only.stage


@pytest.mark.parametrize("method", METHODS, ids=IDS)
def test_it_is_the_baseline_but_for_its_idea(method: Method) -> None:
    assert stage_of(method.name, method.knobs) == replace(stage_of("baseline", {}), **method.stage)


@pytest.mark.parametrize("kind", sorted({m.kind for m in METHODS}, key=lambda k: k.__name__))
def test_every_knob_says_where_it_comes_from_and_the_page_names_its_paper(kind: type) -> None:
    assert all(len(knob.source) > 15 for knob in knobs_of(kind).values())
    assert "**Source:**" in (kind.__doc__ or "")
    assert "arXiv" in (kind.__doc__ or "")


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS[:-1], ids=IDS[:-1])
def test_it_runs_from_data_to_record(
    method: Method, tiny_home: Path, call: Callable[..., Any]
) -> None:
    knobs = [part for key, text in method.knobs.items() for part in ("--set", f"{key}={text}")]
    data = ("--data", "synthweb:tiny", "--stage", "epochs=2", "--engine", "torch")
    ended = call("run", "--plugin", method.name, *knobs, *data, "--set", "crops=1")
    assert ended.status == 0, ended
    (path,) = (tiny_home / "records").glob("*.json")
    (stage,) = read_record(path).stages
    assert len(stage.history) == 2
    averaged = {score.epoch for score in read_record(path).scores}
    assert ("averaged" in averaged) == ("average" in method.stage)
