"""Cut one training into tasks, between which the samples may change: a curriculum."""

from __future__ import annotations

from dataclasses import replace

from harness.schedules import Part
from harness.values import Stage


def in_tasks(stage: Stage, count: int) -> list[Stage]:
    """Return ``count`` stages that together are the stage: its epochs, its one schedule.

    They are called ``NAME-1`` to ``NAME-COUNT``, are as equally long as whole epochs allow, and
    each goes on with the weights of the one before.

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
                start=tasks[-1].name if tasks else stage.start,
            )
        )
    return tasks
