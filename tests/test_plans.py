"""Stages made from a stage: cut into tasks, or shrunk by a data set's profile."""

from __future__ import annotations

import pytest

from harness.plans import Profile, in_tasks
from harness.tricks.noise.subsets import KeepSubsets
from harness.values import Stage

INITIAL = Stage(name="initial")
PROFILE = Profile(backbone="test_resnet", input_size=32, epochs_share=1 / 3, batch_size=128, lr=0.1)


def test_tasks_go_on_with_one_another_and_share_the_epochs() -> None:
    whole = Stage(name="curriculum", epochs=76, start=INITIAL, sees=(INITIAL,), lr=0.3)
    tasks = in_tasks(whole, 3)
    assert [task.name for task in tasks] == ["curriculum-1", "curriculum-2", "curriculum-3"]
    assert [task.start for task in tasks] == [INITIAL, *tasks[:2]]
    assert [task.epochs for task in tasks] == [25, 26, 25]
    assert all((task.lr, task.sees) == (0.3, (INITIAL,)) for task in tasks)


@pytest.mark.parametrize("progress", [0, 0.25, 0.9])
def test_the_schedule_is_the_wholes(progress: float) -> None:
    whole = Stage(name="curriculum", epochs=90)
    for place, task in enumerate(in_tasks(whole, 3)):
        expected = whole.schedule.factor((place + progress) / 3)
        assert task.schedule.factor(progress) == pytest.approx(expected)


def test_one_task_is_as_long_as_the_whole() -> None:
    (task,) = in_tasks(Stage(name="train", epochs=7), 1)
    assert (task.name, task.start, task.epochs) == ("train-1", None, 7)


def test_a_task_may_have_noise_tricks_of_its_own() -> None:
    own = KeepSubsets(count=9)
    whole = Stage(name="train", noise=(own,))
    assert [task.noise for task in in_tasks(whole, 2)] == [(own,)] * 2
    tasks = in_tasks(whole, 2, noise=lambda task: (KeepSubsets(count=task),))
    assert [task.noise for task in tasks] == [(KeepSubsets(count=task),) for task in (1, 2)]


def test_the_usual_recipe_becomes_the_profile_itself() -> None:
    usual = Stage(name="train", epochs=75, precision="fp16", accumulation=8, norm_group=32,
                  compile=True)  # fmt: skip
    shrunk = PROFILE(usual)
    assert (shrunk.backbone, shrunk.input_size, shrunk.batch_size) == ("test_resnet", 32, 128)
    assert (shrunk.epochs, shrunk.lr) == (25, 0.1)
    assert (shrunk.precision, shrunk.accumulation, shrunk.norm_group) == ("fp32", 1, None)
    assert not shrunk.compile


@pytest.mark.parametrize(("full", "small"), [(224, 32), (320, 48), (448, 64), (299, 40), (8, 8)])
def test_a_larger_input_stays_larger(full: int, small: int) -> None:
    assert PROFILE(Stage(name="train", input_size=full)).input_size == small


@pytest.mark.parametrize(
    ("lr", "batch_size", "small"), [(0.4, 1024, 0.1), (0.01, 256, 0.01), (0.1, 2048, 0.0125)]
)
def test_the_learning_rate_for_one_picture_keeps_its_proportion(
    lr: float, batch_size: int, small: float
) -> None:
    shrunk = PROFILE(Stage(name="train", lr=lr, batch_size=batch_size))
    assert shrunk.lr == pytest.approx(small)


def test_no_stage_is_shrunk_to_nothing() -> None:
    assert PROFILE(Stage(name="train", epochs=1)).epochs == 1
