"""Stages made from a stage: cut into tasks, or shrunk by a data set's profile."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from harness.samples import Samples
from harness.schedules import Part
from harness.values import Stage, Trick

EIGHT = 8  # pixels: networks halve their input at least three times


def each_once(stages: Iterable[Stage]) -> tuple[Stage, ...]:
    """Return the stages in order, each name once: rows of a table share stages."""
    return tuple({stage.name: stage for stage in stages}.values())


def in_tasks(
    stage: Stage, count: int, *, noise: Callable[[int], tuple[Trick[Samples], ...]] | None = None
) -> list[Stage]:
    """Return ``count`` stages that together are the stage: its epochs, its one schedule.

    ``noise`` maps the number of a task, from 1, to its noise tricks; by default all tasks have the
    stage's.

    They are called ``NAME-1`` to ``NAME-COUNT``, are as equally long as whole epochs allow, and
    each continues from the weights of the one before.

    **Source:** Malong deck, "Methodology: Train with Curriculum Learning", and Huawei deck, "How to
    use the cluster result?" (from clean to noisy data in turn). Equal parts and one schedule over
    all of them are assumed.
    """
    tasks: list[Stage] = []
    for task in range(1, count + 1):
        begin, end = (task - 1) / count, task / count
        tasks.append(
            replace(
                stage,
                name=f"{stage.name}-{task}",
                epochs=round(stage.epochs * end) - round(stage.epochs * begin),
                schedule=Part(whole=stage.schedule, begin=begin, end=end),
                start=tasks[-1] if tasks else stage.start,
                noise=noise(task) if noise else stage.noise,
            )
        )
    return tasks


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Give every stage this network and batch, and smaller images and fewer epochs in proportion.

    ``input_size`` and ``lr`` are what ImageNet's usual 224 pixels and 0.1 for a batch of 256
    become: a larger input stays larger, a smaller learning rate smaller. ``epochs_share``
    multiplies a stage's epochs, rounded, at least 1. All methods on a data set get the same
    profile, so their budgets keep their proportions. Low precision, accumulation and compiling,
    which only large networks need, are dropped, and so are ``norm_group``, which may not divide a
    smaller batch, and ``weights``, which are those of another network.
    """

    backbone: str
    input_size: int
    epochs_share: float
    batch_size: int
    lr: float
    min_crop_area: float = 0.08

    def __call__(self, stage: Stage) -> Stage:
        """Return the shrunk stage."""
        return replace(
            stage,
            backbone=self.backbone,
            input_size=max(EIGHT, round(stage.input_size / 224 * self.input_size / EIGHT) * EIGHT),
            epochs=max(1, round(stage.epochs * self.epochs_share)),
            batch_size=self.batch_size,
            lr=self.lr * (stage.lr * 256 / (0.1 * stage.batch_size)),
            precision="fp32",
            accumulation=1,
            norm_group=None,
            compile=False,
            weights=None,
            min_crop_area=self.min_crop_area,
        )
