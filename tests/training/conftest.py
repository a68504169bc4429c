"""A small network, the embedded data at its smallest, and stages to train on it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from harness.assembly.contract import Contribution
from harness.assembly.recipe import StageRecipe
from harness.data.webvision import read_split
from harness.samples import Samples
from harness.training.job import Job
from harness.training.ranks import Ranks, join_ranks
from harness.values import SLOTS, Batch, Stage

MakeJob = Callable[..., Job]


@pytest.fixture(scope="session")
def ranks() -> Ranks:
    return join_ranks()


@pytest.fixture(scope="session")
def tiny(drawn_tiny: Path) -> Samples:
    return read_split(drawn_tiny, "train")


@pytest.fixture
def heeded_interrupt() -> Iterator[None]:
    """Ctrl-C as a terminal gives it; what runs in the background may have it switched off."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Smooth(nn.Module):
    """Without max-pooling and ReLU a rounding error stays one: engines compare step by step."""

    def __init__(self, num_outputs: int = 6) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, bias=False), nn.BatchNorm2d(8), nn.SiLU(),
            nn.Conv2d(8, 16, 3, stride=2, bias=False), nn.BatchNorm2d(16), nn.SiLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )  # fmt: skip
        self.head = nn.Linear(16, num_outputs)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(images))
        return logits


@pytest.fixture
def network() -> Callable[[], nn.Module]:
    def drawn() -> nn.Module:
        torch.manual_seed(0)
        return Smooth()

    return drawn


def some_batches(count: int, size: int) -> list[Batch]:
    random = torch.Generator().manual_seed(0)
    batches = []
    for number in range(count):
        labels = torch.randint(0, 6, (size,), generator=random)
        batches.append(
            Batch(
                images=torch.randn(size, 3, 16, 16, generator=random).contiguous(
                    memory_format=torch.channels_last
                ),
                targets=nn.functional.one_hot(labels, 6).float(),
                weights=torch.rand(size, generator=random) * 2,
                index=torch.arange(size),
                seed=number,
            )
        )
    return batches


@pytest.fixture
def batches() -> Callable[[int, int], list[Batch]]:
    return some_batches


@dataclass
class Watcher:
    """Remembers what a stage told, and may act after a step."""

    steps: list[int] = field(default_factory=list)
    scalars: list[dict[str, float]] = field(default_factory=list)
    looked: list[int] = field(default_factory=list)
    first_step: int = -1
    after: Callable[[int], None] = lambda step: None

    def on_stage_start(self, stage, steps, first_step) -> None:
        self.first_step = first_step

    def on_step_end(self, stage, step, scalars) -> None:
        self.steps.append(step)
        self.scalars.append(dict(scalars))
        self.after(step)

    def on_batch(self, stage, step, batch, network) -> None:
        self.looked.append(step)

    @property
    def losses(self) -> list[float]:
        return [scalars["loss"] for scalars in self.scalars]


@pytest.fixture
def watcher() -> Callable[..., Watcher]:
    return Watcher


@pytest.fixture
def make_job(tiny: Samples, tmp_path: Path) -> MakeJob:
    """A job on a part of the tiny data; keywords are fields of its stage."""

    def make(folder: str = "stage", *, rows: int = 96, tricks=None, job=None, **stage) -> Job:
        values = {"input_size": 16, "epochs": 3, "batch_size": 32, "lr": 0.1}
        part = {
            name: getattr(tiny, name)[:rows]
            for name in ("files", "label", "source", "query", "rank", "weight", "subset")
        }
        given = dict.fromkeys(SLOTS, ()) | (tricks or {})
        slots = {
            slot: tuple(Contribution("mine", trick, f"{slot}_tricks", "train") for trick in tricks)
            for slot, tricks in given.items()
        }
        made = Job(
            recipe=StageRecipe(
                stage=Stage(name="train", **{**values, **stage}),
                origins={}, depth=0, key="0", **slots,
            ),
            samples=tiny.assign(**part),
            seed=7,
            threads=2,
            folder=tmp_path / folder,
            evaluate=lambda module: {},
            report=lambda line: None,
        )  # fmt: skip
        return replace(made, **(job or {}))

    return make
