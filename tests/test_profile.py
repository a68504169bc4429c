"""What a profile makes of published recipes: the network at hand, and the proportions kept."""

from __future__ import annotations

import pytest

from harness.plans import Profile
from harness.values import Stage

PROFILE = Profile(backbone="test_resnet", input_size=32, epochs_share=1 / 3, batch_size=128, lr=0.1)


def test_the_usual_recipe_becomes_the_profile_itself() -> None:
    usual = Stage(name="train", epochs=75, precision="fp16", accumulation=8, norm_group=32)
    shrunk = PROFILE(usual)
    assert (shrunk.backbone, shrunk.input_size, shrunk.batch_size) == ("test_resnet", 32, 128)
    assert (shrunk.epochs, shrunk.lr) == (25, 0.1)
    assert (shrunk.precision, shrunk.accumulation, shrunk.norm_group) == ("fp32", 1, None)


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
