"""Every private name of a library that this project uses, and what to do if it is gone.

A library may rename what begins with an underscore, or what it never documented, in any release.
So each such name stands in ``LISTED`` with a check of what we need of it, and the sources are
searched for names that are not listed.
"""

from __future__ import annotations

import ast
import builtins
import dataclasses
import inspect
import itertools
import types
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn

from harness.training.deepspeed import DeepSpeedEngine, load_deepspeed
from harness.training.ranks import join_ranks
from harness.values import Stage

ROOT = Path(__file__).parents[1]
FOLDERS = ("harness", "plugins", "reproductions", "leaderboard", "benchmarks", "tests")


class Private(NamedTuple):
    """A private name, how we reach it, where we use it, and what to do if the check fails."""

    name: str
    used_in: str
    instead: str
    works: Callable[[], bool]


def batch_norms_have_one_base() -> bool:
    from timm.layers import BatchNormAct2d
    from torch.nn.modules.batchnorm import _BatchNorm

    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm, BatchNormAct2d)
    apart = (nn.GroupNorm, nn.LayerNorm, nn.InstanceNorm2d)
    return all(issubclass(kind, _BatchNorm) for kind in kinds) and not any(
        issubclass(kind, _BatchNorm) for kind in apart
    )


def batch_norm_asks_for_its_shape() -> bool:
    return "_check_input_dim" in inspect.getsource(nn.modules.batchnorm._BatchNorm.forward)


def a_group_takes_a_timeout() -> bool:
    found = getattr(dist, "set_timeout", None) or dist.distributed_c10d._set_pg_timeout
    return "timeout" in inspect.signature(found).parameters


def bytes_are_resized_into_a_given_tensor() -> bool:
    resize = torch.ops.aten._upsample_bilinear2d_aa.out
    pixels = torch.arange(48, dtype=torch.uint8).view(1, 4, 4, 3).permute(0, 3, 1, 2)
    out = torch.empty(1, 3, 2, 2, dtype=torch.uint8)
    resize(pixels, [2, 2], align_corners=False, scales_h=None, scales_w=None, out=out)
    expected = nn.functional.interpolate(pixels, size=(2, 2), mode="bilinear", antialias=True)
    return np.array_equal(out.numpy(), expected.numpy())


def deepspeeds_list_can_be_changed() -> bool:
    operations: Any = load_deepspeed().ops.__compatible_ops__
    return isinstance(operations, dict) and operations.get("deepspeed_shm_comm") is False


def engine(**values: Any) -> Any:
    made = DeepSpeedEngine(nn.Linear(2, 2), Stage(name="train", **values), join_ranks())
    return made._engine


def the_all_reduce_can_be_left_out() -> bool:
    return engine().enable_backward_allreduce is False and "enable_backward_allreduce" in (
        inspect.getsource(type(engine()))
    )


def the_loss_scale_can_be_kept() -> bool:
    scaler = engine(precision="fp16").torch_autocast_z0_gradscaler
    off = engine().torch_autocast_z0_gradscaler
    return isinstance(scaler, torch.amp.GradScaler) and off is None


def the_agent_calls(name: str) -> Callable[[], bool]:
    def works() -> bool:
        from torch.distributed.elastic.agent.server import api, local_elastic_agent

        own = inspect.signature(getattr(local_elastic_agent.LocalElasticAgent, name))
        return len(own.parameters) == 2 and f" self.{name}(" in inspect.getsource(api)

    return works


def torchvisions_operations_can_be_called() -> bool:
    from torchvision.transforms.v2 import RandAugment

    theirs: Any = RandAugment(magnitude=9)
    magnitudes, signed = theirs._AUGMENTATION_SPACE["Rotate"]
    apply = inspect.signature(theirs._apply_image_or_video_transform)
    return signed and len(magnitudes(31, 8, 8)) == 31 and "fill" in apply.parameters


LISTED = (
    *(
        Private(
            name,
            "tests/tricks/picture/test_rand_augment.py compares our operations with torchvision's",
            "draw one operation at a time with RandAugment(num_ops=1) and compare the picture",
            torchvisions_operations_can_be_called,
        )
        for name in ("_AUGMENTATION_SPACE", "_apply_image_or_video_transform")
    ),
    Private(
        "_start_workers",
        "harness/launch/agent.py overrides it, to know the ranks and to handle signals",
        "look in torch's LocalElasticAgent for what starts processes and installs handlers",
        the_agent_calls("_start_workers"),
    ),
    Private(
        "_monitor_workers",
        "harness/launch/agent.py overrides it: ranks that stop, or that end without an answer",
        "look in torch's LocalElasticAgent for what asks how its processes are",
        the_agent_calls("_monitor_workers"),
    ),
    Private(
        "_BatchNorm",
        "harness/training/batch_norm.py and ranks.py",
        "find every batch norm by nn.BatchNorm1d, 2d, 3d, nn.SyncBatchNorm and timm's",
        batch_norms_have_one_base,
    ),
    Private(
        "_check_input_dim",
        "harness/training/batch_norm.py overrides it, to take any number of dimensions",
        "let _OwnBatchNorm.forward compute evaluation itself, with nn.functional.batch_norm",
        batch_norm_asks_for_its_shape,
    ),
    Private(
        "_set_pg_timeout",
        "harness/training/ranks.py, for torch before 2.14",
        "raise torch's floor to 2.14 and call torch.distributed.set_timeout",
        a_group_takes_a_timeout,
    ),
    Private(
        "_upsample_bilinear2d_aa",
        "harness/data/pictures/decode.py, to resize bytes into the batch without a copy",
        "use nn.functional.interpolate(antialias=True) and copy its result; measure with "
        "benchmarks/decoding.py",
        bytes_are_resized_into_a_given_tensor,
    ),
    Private(
        "__compatible_ops__",
        "harness/training/deepspeed.py, so that nothing is compiled for 20 s on a CPU",
        "look in deepspeed/comm/torch.py for what decides if deepspeed_shm_comm is built; without "
        "it training works, but starts later",
        deepspeeds_list_can_be_changed,
    ),
    Private(
        "enable_backward_allreduce",
        "harness/training/deepspeed.py (undocumented), so that one rank copies no gradients",
        "look in DeepSpeedEngine.backward for what decides about allreduce_gradients, or leave it "
        "out and measure with benchmarks/training_loop.py",
        the_all_reduce_can_be_left_out,
    ),
    Private(
        "torch_autocast_z0_gradscaler",
        "harness/training/deepspeed.py (undocumented), to keep fp16's loss scale in checkpoints",
        "look in DeepSpeedEngine._take_model_step for the GradScaler of ZeRO 0; a resumed fp16 "
        "stage would otherwise start with another scale",
        the_loss_scale_can_be_kept,
    ),
)
PUBLIC = {  # documented, in spite of their form
    *("_asdict", "_fields", "_replace", "_make"),  # collections.namedtuple
    *("_exit", "_getframe"),  # os, sys
    *("__version__", "__wrapped__", "__path__", "__all__", "__future__", "__main__"),
}


@pytest.mark.parametrize("private", LISTED, ids=[private.name for private in LISTED])
def test_a_private_name_still_does_what_we_need(private: Private) -> None:
    said = f"{private.name} changed; it is used in {private.used_in}. Instead: {private.instead}"
    try:
        works = private.works()
    except (AttributeError, ImportError, RuntimeError, TypeError) as error:
        pytest.fail(f"{said} ({error})")
    assert works, said


class Names(NamedTuple):
    """The names in a file: those of its own things, and with their lines those that it reads."""

    own: frozenset[str]
    used: tuple[tuple[int, str], ...]


@cache
def names_by_file() -> dict[str, Names]:
    found = {}
    for path in itertools.chain(*((ROOT / folder).rglob("*.py") for folder in FOLDERS)):
        own, used = set(), []
        for node in ast.walk(ast.parse(path.read_bytes())):
            own.update(own_names(node))
            used += [(getattr(node, "lineno", 0), name) for name in used_names(node)]
        found[path.relative_to(ROOT).as_posix()] = Names(frozenset(own), tuple(used))
    return found


def own_names(node: ast.AST) -> Iterator[str]:
    """The names that a file of ours gives to its own things here."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)):
        yield node.name
    elif isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Store):
        yield node.id if isinstance(node, ast.Name) else node.attr


def used_names(node: ast.AST) -> Iterator[str]:
    """The names that are read here of anything, by import, attribute or text."""
    if isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.ImportFrom):
        yield from (node.module or "").split(".")
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.Import):
        for alias in node.names:
            yield from alias.name.split(".")
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        given = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
        if node.func.id in ("getattr", "hasattr", "setattr"):
            yield from (text for text in given if isinstance(text, str))


def pythons_own() -> set[str]:
    """The names with two underscores that the language defines."""

    def sample() -> None: ...

    kinds = (*vars(builtins).values(), types.ModuleType, type(sample), types.MethodType)
    known = set(itertools.chain(*(dir(kind) for kind in kinds if isinstance(kind, type))))
    protocols = ("cause", "context", "file", "spec", "loader", "flags", "basicsize", "mro")
    return known | {f"__{name}__" for name in protocols}


def test_no_other_private_name_of_a_library_is_used() -> None:
    own = set(itertools.chain(*(names.own for names in names_by_file().values())))
    dataclass = {name for name in dir(dataclasses.make_dataclass("D", [])) if "dataclass" in name}
    allowed = own | pythons_own() | dataclass | PUBLIC | {private.name for private in LISTED}
    found = [
        f"{file}:{line}: {name}"
        for file, names in names_by_file().items()
        for line, name in names.used
        if name.startswith("_") and name not in allowed and name != "_"
    ]
    assert found == [], (
        "use a public name, or add it to LISTED with a check and what to do if it changes"
    )


def test_each_listed_name_is_still_in_use() -> None:
    used = {
        name
        for file, names in names_by_file().items()
        if file != "tests/test_private_names.py"
        for name in (*names.own, *(name for _, name in names.used))
    }
    assert {private.name for private in LISTED} - used == set()


def test_no_network_of_ours_overrides_a_private_name_that_is_not_listed() -> None:
    """A method with the name of a library's own private one replaces it, wanted or not."""
    import harness.networks.inception_v2
    import harness.training.batch_norm
    import harness.tricks.model  # noqa: F401

    waiting, ours = [nn.Module], []
    while waiting:
        below = waiting.pop().__subclasses__()
        waiting += below
        ours += [kind for kind in below if kind.__module__.startswith("harness")]
    found = {
        name
        for kind in ours
        for name in vars(kind)
        if name.startswith("_") and not name.startswith("__")
        for base in kind.__mro__[1:]
        if not base.__module__.startswith("harness") and name in vars(base)
    }
    assert found == {"_check_input_dim"}
