"""What a stage becomes as DeepSpeed's configuration; nothing here imports DeepSpeed."""

from __future__ import annotations

import pytest

from harness.errors import HarnessError
from harness.training.deepspeed import deepspeed_config
from harness.training.deepspeed_file import check_user_config
from harness.training.layout import micro_batch_size
from harness.values import Stage

STAGE = Stage(name="train", batch_size=256, accumulation=4)


@pytest.mark.parametrize("world_size", [1, 2, 8, 64])
def test_the_global_batch_is_the_stages_at_every_world_size(world_size: int) -> None:
    config = deepspeed_config(STAGE, world_size)
    micro = config["train_micro_batch_size_per_gpu"]
    assert micro * config["gradient_accumulation_steps"] * world_size == 256
    assert "train_batch_size" not in config


def test_nothing_is_left_to_a_default_that_changes_the_result() -> None:
    config = deepspeed_config(Stage(name="train"), 1)
    assert config["gradient_clipping"] == 0
    assert config["zero_optimization"] == {"stage": 0}
    assert "torch_autocast" not in config


def test_clipping_and_precision_come_from_the_stage() -> None:
    config = deepspeed_config(Stage(name="train", clip_norm=2.5, precision="bf16"), 1)
    assert config["gradient_clipping"] == 2.5
    assert config["torch_autocast"] == {"enabled": True, "dtype": "bfloat16"}
    assert not {"bf16", "fp16"} & set(config)  # these cast batch norm as well
    half = deepspeed_config(Stage(name="train", precision="fp16"), 1)
    assert half["torch_autocast"]["dtype"] == "float16"


def test_the_users_json_is_merged_on_top_and_not_changed() -> None:
    user = {"steps_per_print": 5, "zero_optimization": {"overlap_comm": True}}
    config = deepspeed_config(STAGE, 1, user)
    assert config["steps_per_print"] == 5
    assert config["zero_optimization"] == {"stage": 0, "overlap_comm": True}
    config["zero_optimization"]["overlap_comm"] = False
    assert user["zero_optimization"] == {"overlap_comm": True}


@pytest.mark.parametrize(
    ("user", "field"),
    [
        ({"train_batch_size": 8}, "batch_size"),
        ({"train_micro_batch_size_per_gpu": 8}, "batch_size"),
        ({"gradient_accumulation_steps": 2}, "accumulation"),
        ({"gradient_clipping": 1.0}, "clip_norm"),
        ({"optimizer": {"type": "Adam"}}, "lr"),
        ({"fp16": {"enabled": True}}, "precision"),
        ({"bf16": {"enabled": True}}, "precision"),
        ({"torch_autocast": {"enabled": True}}, "precision"),
        ({"bfloat16": {"enabled": True}}, "precision"),
        ({"float16": {"enabled": True}}, "precision"),
        ({"amp": {"enabled": True}}, "precision"),
    ],
)
def test_what_the_stage_decides_is_refused(user: dict[str, object], field: str) -> None:
    with pytest.raises(HarnessError, match=f"--stage {field}="):
        check_user_config(user)


@pytest.mark.parametrize("zero", [{"stage": 1}, {"stage": 3}, 2, {"stage": "two"}])
def test_sharded_optimisers_are_refused(zero: object) -> None:
    with pytest.raises(HarnessError, match="cannot be resumed"):
        check_user_config({"zero_optimization": zero})


def test_harmless_keys_pass() -> None:
    check_user_config({"wall_clock_breakdown": False, "zero_optimization": {"stage": 0}})
    check_user_config({"_remark": "mine", "steps_per_print": 5, "gradient_predivide_factor": 2})


@pytest.mark.parametrize(
    ("user", "said"),
    [
        ({"steps_per_print": "auto"}, 'steps_per_print is "auto"'),
        (
            {"zero_optimization": {"reduce_bucket_size": "auto"}},
            'zero_optimization.reduce_bucket_size is "auto"',
        ),
        ({"flops_profiler": {"steps": [1, "auto"]}}, r'flops_profiler.steps\[1\] is "auto"'),
        ({"gradient_predivide_factor": float("nan")}, "gradient_predivide_factor is nan"),
        ({"steps_per_print": "10"}, "'steps_per_print' must be int, not '10'"),
        ({"steps_per_print": True}, "'steps_per_print' must be int, not True"),
        ({"steps_per_print": 0}, "'steps_per_print' must be above 0"),
        ({"gradient_predivide_factor": [1]}, "must be int or float"),
        ({"wall_clock_breakdown": "yes"}, "must be bool"),
        ({"tensorboard": True}, "must be an object"),
        ({"wall_clock_breakdwn": True}, "did you mean 'wall_clock_breakdown'"),
        ({"zero_optimisation": {"stage": 0}}, "did you mean 'zero_optimization'"),
        ({"elasticity": {"enabled": True}}, "it would change the batch"),
        ({"data_types": {"grad_accum_dtype": "fp16"}}, "it would change the data type"),
        ({"zero_allow_untested_optimizer": True}, "it would change the optimizer"),
        ({"zero_optimization": {"offload_optimizer": {"device": "cpu"}}}, "offload_optimizer"),
    ],
)
def test_what_would_be_misread_or_fail_later_is_refused(user: dict[str, object], said: str) -> None:
    with pytest.raises(HarnessError, match=said):
        check_user_config(user)


@pytest.mark.parametrize(
    ("batch_size", "accumulation", "world_size"), [(64, 3, 1), (64, 1, 3), (10, 4, 2)]
)
def test_a_batch_that_cannot_be_split_says_what_would(
    batch_size: int, accumulation: int, world_size: int
) -> None:
    stage = Stage(name="train", batch_size=batch_size, accumulation=accumulation)
    with pytest.raises(HarnessError, match=f"that {accumulation * world_size} divides"):
        micro_batch_size(stage, world_size)
