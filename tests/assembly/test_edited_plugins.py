"""A plugin that was edited, or whose files were, never meets what it made before."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Outcome

pytestmark = pytest.mark.slow

KEYS = """
import json, sys
sys.dont_write_bytecode = True
from harness.assembly.activation import Activation
from harness.assembly.recipe import DataIdentity, resolve
from harness.machine.garbage import collect_seldom
from harness.spec import DataSpec, Override, RunSpec
collect_seldom()
for asked in json.loads(sys.argv[1]):
    overrides = (Override("", "backbone", asked.pop("backbone")),) if "backbone" in asked else ()
    extra = tuple(asked.pop("extra", ()))
    data = DataSpec(name="synthweb", path="tiny")
    active = Activation(RunSpec(data=data, extra=extra, overrides=overrides, **asked))
    recipe = resolve(active.spec, active.hooks, DataIdentity(pictures="p", context=lambda: "c"))
    print(recipe.stages[-1].key)
"""

READER = """
from dataclasses import dataclass
from pathlib import Path
import numpy as np
from harness.hookspecs import hookimpl
from harness.values import Plan, Stage

@dataclass(frozen=True)
class Weigh:
    table: Path | None
    reads = Path(__file__).with_name("beside.txt")
    def __call__(self, samples):
        return samples.assign(weight=np.load(self.table).astype(np.float32))

@dataclass(frozen=True)
class Plugin:
    "Weighs by a table in a file."
    table: Path | None = None
    @hookimpl
    def plan(self):
        return Plan(stages=(Stage(name="train", epochs=1),))
    @hookimpl
    def noise_tricks(self):
        return [Weigh(self.table)]
"""

ENCODER = """
import numpy as np
from harness.hookspecs import hookimpl

class Plugin:
    "An encoder."
    @hookimpl
    def encode_texts(self, encoder, texts):
        if encoder == "letters":
            return np.full((len(texts), {width}), {width} ** -0.5, np.float32)
"""

ASKS = """
from dataclasses import dataclass
from harness.hookspecs import hookimpl
from harness.values import Plan, Stage

@dataclass(frozen=True)
class Encode:
    {declares}
    def __call__(self, samples):
        samples.encode("{encoder}", ["text"])
        return samples

class Plugin:
    "A method whose noise trick encodes texts."
    @hookimpl
    def plan(self):
        return Plan(stages=(Stage(name="train", epochs=1),))
    @hookimpl
    def noise_tricks(self):
        return [Encode()]
"""

NETWORK = """
import warnings
import timm
from torch import nn
from harness.hookspecs import hookimpl

class Plugin:
    "Registers two networks with timm, one under a name that timm has."
    @hookimpl
    def model_tricks(self):
        return []
    {further}

def their_net(pretrained=False, **kwargs):
    return timm.models.resnet.ResNet(timm.models.resnet.BasicBlock, [{blocks}, 1, 1, 1], **{{}})

def resnet18(pretrained=False, **kwargs):
    return their_net()

warnings.simplefilter("ignore")
timm.models.register_model(their_net)
timm.models.register_model(resnet18)
"""


@pytest.fixture
def keys(fork: Callable[..., Any]) -> Callable[..., list[str]]:
    """The key of each run's last stage, worked out in this order by one new process."""

    def worked_out(*asked: dict[str, object]) -> list[str]:
        with fork("-c", KEYS, json.dumps(asked)) as process:
            out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        keys: list[str] = out.split()
        return keys

    return worked_out


def test_a_file_that_a_plugin_reads_is_its_content(
    install: Callable[..., Path],
    call: Callable[..., Outcome],
    tiny_home: Path,
    tmp_path: Path,
    keys: Callable[..., list[str]],
) -> None:
    beside = install("reader", READER).with_name("beside.txt")
    beside.write_text("1")
    table = tmp_path / "table.npy"
    asked = {"plugin": "reader", "knobs": {"table": str(table)}}
    arguments = ("run", "--plugin", "reader", "--data", "synthweb:tiny", "--set", f"table={table}")
    assert call(*arguments).error == (
        f"Weigh.table: {table} cannot be read: No such file or directory"
    )
    np.save(table, np.ones(300))
    before = keys(asked)
    np.save(table, np.full(300, 2.0))
    after = keys(asked)
    beside.write_text("2")
    assert before != after != keys(asked) != before
    moved = table.rename(tmp_path / "home" / "table.npy")
    beside.write_text("1")
    assert keys({"plugin": "reader", "knobs": {"table": str(moved)}}) == after


def test_two_encoders_under_one_name_share_nothing(
    install: Callable[..., Path], keys: Callable[..., list[str]]
) -> None:
    install("asks", ASKS.format(declares='encoder: str = "letters"', encoder="letters"))
    one = install("one", ENCODER.format(width=2))
    install("two", ENCODER.format(width=3))
    found = keys(*({"plugin": "asks", "extra": [name]} for name in ("one", "two")))
    one.write_text(textwrap.dedent(ENCODER.format(width=4)))
    found += keys({"plugin": "asks", "extra": ["one"]})
    assert len(set(found)) == 3


@pytest.mark.parametrize("declares", ["", 'encoder = ("minilm", "x")'])
def test_an_encoder_that_no_trick_names_is_refused(
    install: Callable[..., Path],
    call: Callable[..., Outcome],
    tiny_home: Path,
    declares: str,
) -> None:
    install("asks", ASKS.format(declares=declares or "pass", encoder="lexical"))
    extra = ["--with", "one"] if "x" in declares else []
    install("one", ENCODER.format(width=2))
    done = call(
        *("run", "--plugin", "asks", "--data", "synthweb:tiny", "--engine", "torch"),
        *("--stage", "epochs=1", *extra),
    )
    assert done.status == 2
    assert done.err.splitlines()[-1] == (
        "Error: plugin 'asks': Encode in stage 'train': it encodes texts with 'lexical', but no "
        "noise trick of the stage names it; give the trick a field or an attribute "
        "encoder = 'lexical'"
    )


# Otherwise a run that trains another network refuses the plugin.
OBSERVES = """
    @hookimpl
    def on_stage_start(self):
        pass
"""


def test_networks_that_a_plugin_registers_with_timm_count_with_their_source(
    install: Callable[..., Path], keys: Callable[..., list[str]]
) -> None:
    file = install("nets", NETWORK.format(blocks=1, further=OBSERVES))
    timms = [{"plugin": "baseline", "backbone": name} for name in ("resnet18", "resnet34")]
    asked = [
        {"plugin": "baseline", "extra": ["nets"], "backbone": name}
        for name in ("their_net", "resnet18", "resnet34")
    ]
    timms_18, timms_34, theirs, theirs_18, other = keys(*timms, *asked)
    file.write_text(textwrap.dedent(NETWORK.format(blocks=2, further=OBSERVES)))
    edited, edited_18, other_after = keys(*asked)
    assert len({theirs, edited, theirs_18, edited_18, timms_18, timms_34}) == 6
    assert timms_34 == other == other_after


def test_a_plugin_that_only_registers_networks_is_part_of_runs_that_train_one(
    install: Callable[..., Path], harness_fork: Callable[..., Outcome], tiny_home: Path
) -> None:
    install("nets", NETWORK.format(blocks=1, further=""))
    asked = ("plan", "--plugin", "baseline", "--with", "nets", "--data", "synthweb:tiny")
    assert harness_fork(*asked, "--stage", "backbone=their_net").status == 0
    assert "--with nets adds nothing to this run: its model_tricks" in harness_fork(*asked).error
