from __future__ import annotations

import pytest

from harness.plans import in_tasks
from harness.values import Stage


def test_tasks_go_on_with_one_another_and_share_the_epochs():
    whole = Stage(name="curriculum", epochs=76, start="initial", sees=("initial",), lr=0.3)
    tasks = in_tasks(whole, 3)
    assert [task.name for task in tasks] == ["curriculum-1", "curriculum-2", "curriculum-3"]
    assert [task.start for task in tasks] == ["initial", "curriculum-1", "curriculum-2"]
    assert [task.epochs for task in tasks] == [25, 26, 25]
    assert {(task.lr, task.sees) for task in tasks} == {(0.3, ("initial",))}


@pytest.mark.parametrize("progress", [0, 0.25, 0.9])
def test_the_schedule_is_the_wholes(progress):
    whole = Stage(name="curriculum", epochs=90)
    for place, task in enumerate(in_tasks(whole, 3)):
        expected = whole.schedule.factor((place + progress) / 3)
        assert task.schedule.factor(progress) == pytest.approx(expected)


def test_one_task_is_as_long_as_the_whole():
    (task,) = in_tasks(Stage(name="train", epochs=7), 1)
    assert (task.name, task.start, task.epochs) == ("train-1", None, 7)
