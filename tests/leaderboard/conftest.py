"""Real records with as little in them as a record may have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from harness.knobs import knobs_of
from harness.store.record import (
    Cost,
    Data,
    EffectiveStage,
    Knob,
    NoiseQuality,
    Plugin,
    ResultRecord,
    Score,
    digest,
)
from harness_plugins.huawei import Huawei
from harness_plugins.malong import MalongCurriculum


def _score(top1: float = 0.5, top5: float = 0.8, **terms: Any) -> Score:
    """Return a score on a balanced split unless told otherwise."""
    values = {
        "split": "test",
        "protocol": "10 views",
        "epoch": "last",
        "images": 1000,
        "top1": top1,
        "top5": top5,
        "top1_class_mean": top1,
        "top5_class_mean": top5,
    }
    return Score(**{**values, **terms})


def _noise(auc: float | None = 0.9, **values: Any) -> NoiseQuality:
    """Return how well the stage "curriculum" told clean from wrong."""
    given = {
        "stage": "curriculum",
        "auc": auc,
        "kept": 0.7,
        "precision": 0.8,
        "recall": 0.9,
        "rare_clean_lost": 0.1,
        "clean": 0.6,
    }
    return NoiseQuality(**{**given, **values})


def _knobs(method: object) -> dict[str, tuple[str, str]]:
    """Return every knob of a method's value, as a run of it records them."""
    return {name: (str(getattr(method, name)), "published") for name in knobs_of(type(method))}


def _record(
    *,
    label: str = "baseline",
    plugin: str = "baseline",
    seed: int = 0,
    edition: str = "synthweb-small v1",
    knobs: Mapping[str, tuple[str, str]] | None = None,
    scores: tuple[Score, ...] | None = None,
    epochs: int = 6,
    fingerprint: str = "f" * 64,
    seconds: float = 60.0,
    created: str = "2024-05-01T12:00:00+00:00",
    hardware: str = "2 cores",
    **values: Any,
) -> ResultRecord:
    """Return a record; ``knobs`` maps a name to (value, origin)."""
    given: dict[str, Any] = {
        "id": digest([label, seed, created, edition])[:16],
        "without": (),
        "full_size": False,
        "members": ["train"],
        "combine": "",
        "noise": (),
        "commit": "0123456789abcdef",
        "dirty": False,
    }
    return ResultRecord(
        plugin=plugin,
        label=label,
        knobs={
            name: Knob(value=value, origin=origin, source="a test")
            for name, (value, origin) in (knobs or {}).items()
        },
        plugins=(Plugin(name=plugin, distribution="d", version="1", source_sha256="0" * 64),),
        data=Data(
            plugin="synthweb",
            edition=edition,
            fingerprint=fingerprint,
            classes=20,
            train_samples=2500,
        ),
        seed=seed,
        stages=(
            EffectiveStage(
                name="train",
                key=f"{seed}",
                values={"epochs": str(epochs), "lr": "0.1"},
                origins={"epochs": "profile", "lr": "recipe"},
                tricks={"noise": ()},
                history=(),
            ),
        ),
        scores=(_score(),) if scores is None else scores,
        cost=Cost(
            wall_seconds=seconds,
            device_seconds=seconds,
            stage_seconds={"train": seconds},
            images_per_second={"train": 1000.0},
            peak_memory_bytes=1,
            hardware={"cpu": hardware},
            versions={},
            engine="torch",
            created=created,
        ),
        **{**given, **values},
    )


@pytest.fixture(scope="session")
def make_score() -> Callable[..., Score]:
    """Return the factory of scores."""
    return _score


@pytest.fixture(scope="session")
def make_noise() -> Callable[..., NoiseQuality]:
    """Return the factory of noise-detection qualities."""
    return _noise


@pytest.fixture(scope="session")
def make_record() -> Callable[..., ResultRecord]:
    """Return the factory of records."""
    return _record


@pytest.fixture(scope="session")
def knobs_of_method() -> Callable[[object], dict[str, tuple[str, str]]]:
    """Return the function from a method's value to the knobs of its record."""
    return _knobs


@pytest.fixture
def malong_records() -> list[ResultRecord]:
    """Return the four models on the embedded data, three seeds each, and a baseline."""
    records = [_record(seed=seed, scores=(_score(0.5 + seed / 100, 0.8),)) for seed in (0, 1)]
    for place, model in enumerate("ABCD"):
        for seed in range(3):
            top1 = 0.55 + 0.02 * place + (-0.01, 0.0, 0.01)[seed]
            records.append(
                _record(
                    plugin="malong_curriculum",
                    label=f"malong_curriculum model={model}",
                    knobs=_knobs(MalongCurriculum(model=model)),
                    seed=seed,
                    scores=(
                        _score(top1, top1 + 0.3),
                        _score(top1, top1 + 0.3, epoch="best"),
                    ),
                    noise=(_noise(0.8 + seed / 100),),
                )
            )
    return records


@pytest.fixture
def ensemble_record() -> ResultRecord:
    """Return a learned ensemble of Huawei's, which has published numbers of WebVision 2.0."""
    return _record(
        plugin="huawei",
        label="huawei ensemble=learned",
        knobs=_knobs(Huawei(ensemble="learned")),
        members=("reweight_class", "top_ranked", "semantic"),
        combine="learned",
        scores=(_score(0.62, 0.93),),
    )
