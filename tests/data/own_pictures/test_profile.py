"""The profile of a user's own pictures: in bounds, whatever they are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.data.own_pictures.profile import BUDGET_SECONDS, EPOCHS, fit
from harness.values import Stage


@given(
    count=st.integers(1, 10**7),
    classes=st.integers(2, 10**5),
    side=st.integers(1, 8_000),
    megapixels=st.floats(1e-6, 64),
    device=st.sampled_from(["cpu", "gpu"]),
)
def test_stages_are_cut_to_the_budget_and_never_to_nothing(
    count, classes, side, megapixels, device
):
    profile = fit(count, classes, side, megapixels, device)
    stage = profile(Stage(name="train", epochs=EPOCHS))
    assert 1 <= stage.epochs <= EPOCHS
    assert stage.input_size % 8 == 0
    assert 32 <= stage.input_size <= 160
    assert stage.input_size <= max(32, side)
    assert stage.batch_size <= max(8, count // 5)
    assert 0 < stage.lr <= 0.1


def test_more_and_larger_pictures_get_fewer_epochs():
    def epochs(count: int, megapixels: float) -> int:
        return fit(count, 10, 300, megapixels, "cpu")(Stage(name="train", epochs=EPOCHS)).epochs

    assert epochs(300, 0.1) > epochs(3_000, 0.1) > epochs(3_000, 1) > epochs(10**6, 1) == 1
    assert BUDGET_SECONDS["cpu"] < BUDGET_SECONDS["gpu"]
