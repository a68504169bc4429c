"""The profiles that shrink a published recipe to each of synthweb's presets."""

from __future__ import annotations

from harness.plans import Profile

PROFILES: dict[str, Profile] = {
    # For tests: seconds, not accuracy.
    "tiny": Profile(
        backbone="test_resnet",
        input_size=32,
        epochs_share=1 / 25,
        batch_size=64,
        lr=0.05,
        min_crop_area=0.35,
    ),
    # For a laptop CPU: a whole run of any method takes about a minute.
    "small": Profile(
        backbone="test_resnet",
        input_size=32,
        epochs_share=1 / 3,
        batch_size=128,
        lr=0.1,
        min_crop_area=0.35,
    ),
    # For one GPU.
    "large": Profile(
        backbone="resnet18",
        input_size=56,
        epochs_share=2 / 5,
        batch_size=256,
        lr=0.1,
        min_crop_area=0.35,
    ),
}
