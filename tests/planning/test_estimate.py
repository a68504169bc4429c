"""Estimates against arithmetic by hand, the deck's own column, and networks counted by timm."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import timm

from harness.assembly.prepare import prepare
from harness.errors import HarnessError
from harness.language.models import minilm_folder
from harness.planning.estimate import estimate
from harness.planning.throughput import Kind, Span, Speed, recorded_speeds, total, training_seconds
from harness.spec import DataSpec, Override, RunSpec
from harness.store.record import ResultRecord

DAY = 86_400
TINY = DataSpec(name="synthweb", path="tiny")
SMALL = Kind("test_resnet", 32, "fp32")


def trained(
    like: ResultRecord,
    key: str,
    speed: float,
    *,
    devices: str = "1 x cpu",
    seen: int = 0,
    **values: str,
) -> ResultRecord:
    """A record of one stage of test_resnet at 32 pixels, trained at this speed."""
    stage = like.stages[0].model_copy(
        update={
            "key": key,
            "values": {
                "backbone": "test_resnet",
                "input_size": "32",
                "precision": "fp32",
                "teachers": str(tuple(f"t{n}" for n in range(seen))),
                **values,
            },
            "tricks": {},
        }
    )
    hardware = {"processor": "EPYC", "cores": "2", "devices": devices}
    if devices.endswith("cuda"):
        hardware["accelerator"] = "NVIDIA H200"
    cost = like.cost.model_copy(
        update={"images_per_second": {"train": speed}, "hardware": hardware}
    )
    return like.model_copy(update={"stages": (stage,), "cost": cost})


def test_the_decks_column_by_hand() -> None:
    # BigVideo: ResNeXt152, 150 epochs of 16,076,665 pictures on 64 TITAN Xp in 12 days: 36 a second
    # each, were there nothing lost.
    speed = 150 * 16_076_665 / (64 * 12 * DAY)
    assert speed == pytest.approx(36.34, abs=0.01)
    days = training_seconds(150 * 16_076_665, Speed(speed, speed, speed, ""), gpus=64)
    assert [value / DAY for value in days] == pytest.approx([12 / 0.95, 12, 12 / 0.9])


def test_the_interval_holds_the_speeds_spread_and_several_devices_losses() -> None:
    speed = Speed(100.0, 80.0, 125.0, "")
    assert training_seconds(1_000, speed) == (10.0, 8.0, 12.5)
    assert training_seconds(1_000, speed, gpus=2) == pytest.approx((100 / 19, 4.0, 12.5 / 1.8))
    assert total([Span(1, 2, 3), Span(10, 20, 30)]) == Span(11, 22, 33)
    assert total([]) == Span(0, 0, 0)


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (Span(12 * DAY, 11 * DAY, 13.04 * DAY), "12.0 days [11.0, 13.0]"),
        (Span(1234 * DAY, 1000 * DAY, 2000 * DAY), "1,234 days [1,000, 2,000]"),
        (Span(7_200, 3_600, 9_000), "2.0 hours [1.0, 2.5]"),
        (Span(119, 60, 120), "119 s [60, 120]"),
        (Span(0.3, 0.25, 0.4), "0.3 s [0.2, 0.4]"),
    ],
)
def test_a_span_is_written_in_its_own_unit(span: Span, words: str) -> None:
    assert str(span) == words


def test_records_of_the_same_kind_and_hardware_tell(small_record: ResultRecord) -> None:
    records = [
        trained(small_record, "a", 100.0),
        trained(small_record, "a", 100.0),  # a stage that two runs share
        trained(small_record, "b", 300.0),
        trained(small_record, "c", 900.0, input_size="48"),
        trained(small_record, "d", 50.0, seen=2),
        trained(small_record, "e", 8_000.0, devices="8 x cuda"),
        trained(small_record, "f", 0.0),
        small_record,  # whose stage does not tell its network
    ]
    found = recorded_speeds(records, [SMALL, SMALL._replace(teachers=2), Kind("x", 1, "fp32")])
    assert found.hardware == "EPYC, 2 cores"
    assert found.by_kind == {
        SMALL: Speed(200.0, 100.0, 300.0, "2 earlier trainings"),
        SMALL._replace(teachers=2): Speed(50.0, 50.0, 50.0, "one earlier training"),
    }
    assert recorded_speeds(records, [SMALL]).hardware == "NVIDIA H200"  # the newest of equals
    gpu = recorded_speeds(records, [SMALL], "h200")
    assert gpu.by_kind[SMALL].images_per_second == 1_000.0
    with pytest.raises(HarnessError, match="unknown hardware 'TITAN'; in the records: EPYC, 2 co"):
        recorded_speeds(records, [SMALL], "TITAN")
    assert recorded_speeds([], [SMALL]).by_kind == {}


def test_long_trainings_count_for_more(small_record: ResultRecord) -> None:
    short = trained(small_record, "c", 1_000.0)
    cost = short.cost.model_copy(update={"stage_seconds": {"train": 0.5}})
    records = [
        trained(small_record, "a", 100.0),  # for 9.5 s, as the next
        trained(small_record, "b", 300.0),
        short.model_copy(update={"cost": cost}),
    ]
    speed = recorded_speeds(records, [SMALL]).by_kind[SMALL]
    assert speed[:3] == (pytest.approx((950 + 2_850 + 500) / 19.5), 100.0, 300.0)


def test_disk_and_memory_by_hand(tiny_home: Path) -> None:
    spec = RunSpec(
        plugin="malong_curriculum", knobs={"model": "B"}, data=TINY, engine="torch", home=tiny_home
    )
    found = estimate(spec, given={"": 100.0, "task-1": 50.0})

    network = timm.create_model("test_resnet", num_classes=6)
    weights = sum(parameter.numel() for parameter in network.parameters())
    buffers = sum(buffer.numel() for buffer in network.buffers())
    assert found.size == (300, 120, 6, "counted here")
    assert found.disk["weights"] == 2 * 2 * 4 * (weights + buffers)
    assert found.disk["features"] == 300 * (4 * network.num_features + 44)
    assert found.disk["predictions"] == 120 * 2 * 2 * 25
    assert found.checkpoint_bytes == 2 * 4 * (2 * weights + buffers)
    initial, task = found.stages
    assert initial.state_bytes == 4 * (3 * weights + buffers)
    assert (initial.images, initial.seconds.estimate) == (900, 9.0)
    assert task.seconds.estimate == task.images / 50
    features, tested = found.passes
    assert (features.name, features.pictures) == ("features of initial", 300)
    assert features.seconds == (300 / (3 * 100), 300 / (4 * 100), 300 / (2 * 100))
    # A centre view and ten views, one of which it is, of the last and of the best epoch.
    assert (tested.name, tested.forwards) == ("test of task-1", 120 * 10 * 2)
    assert tested.seconds.estimate == tested.forwards / (3 * 50)
    assert found.seconds.estimate == initial.seconds.estimate + task.seconds.estimate


def test_clustering_and_texts_by_hand(tiny_home: Path, harness_home: Path) -> None:
    spec = RunSpec(plugin="malong_curriculum", knobs={"model": "C"}, data=TINY, home=tiny_home)
    found = estimate(spec, given={"": 100.0})
    (initial,) = {one.name for one in found.passes if one.name.startswith("features")}
    samples = prepare(spec).samples
    pairs = sum(int((samples.label == k).sum()) ** 2 for k in range(samples.num_classes))
    width = timm.create_model("test_resnet").num_features
    (density,) = found.of_cores
    assert density.name == f"DensitySubsets {initial.removeprefix('features ')}"
    expected = pairs * width / 1.4e11
    assert density.seconds == pytest.approx((expected, expected / 2, expected * 2))

    texts = replace(spec, plugin="huawei", knobs={"noise": "semantic_only"})
    (encoded,) = estimate(texts, given={"": 100.0}).of_cores
    assert encoded == ("texts with minilm", Span(300 / 680, 300 / 1360, 300 / 340))
    folder = f"st:{minilm_folder()}"
    knobs = {"noise": "semantic_only", "encoder": folder}
    other = replace(texts, data=DataSpec(name="webvision2"), knobs=knobs, home=harness_home)
    assert estimate(other, given={"": 100.0}).of_cores == ((f"texts with {folder}", None),)
    for scores, said in (("picture_class", []), ("picture_text", ["texts with lexical"])):
        knobs = {"scores": scores, "encoder": "lexical"}
        looks = estimate(replace(texts, plugin="external_scores", knobs=knobs), given={"": 100.0})
        assert [one.name for one in looks.of_cores] == [*said, "pictures with lexical"]
        assert looks.of_cores[-1].seconds is None
    away = replace(spec, data=DataSpec(name="webvision2"), home=harness_home)
    (density,) = estimate(away, given={"": 100.0}).of_cores
    least = 16_076_665**2 / 5_000 * 1_024 / 1.4e11  # of Inception v2
    assert density.seconds is not None
    assert density.seconds.low == pytest.approx(least / 2)
    assert density.seconds.high == pytest.approx(least * 17 * 2)


def test_an_edition_that_is_not_here_has_its_published_size(harness_home: Path) -> None:
    spec = RunSpec(
        plugin="baseline",
        data=DataSpec(name="webvision2"),
        overrides=(Override("", "backbone", "test_resnet"), Override("", "batch_size", "48")),
        home=harness_home,
    )
    found = estimate(spec, gpus=64, given={"": 1_000.0})
    (stage,) = found.stages
    assert (found.size.train, found.size.classes) == (16_076_665, 5_000)
    assert stage.images == 75 * 16_076_665
    assert found.seconds.low == pytest.approx(stage.images / 64_000)
    assert found.device_days == pytest.approx(stage.images / 1_000 / 0.95 / DAY)
    assert any("refuse a batch of 48 on 64 devices" in note for note in found.notes)
    assert any("0.9 to 1 of 64 times the speed" in note for note in found.notes)
    assert [path.name for path in harness_home.glob("*")] == ["network-sizes.json"]
    assert estimate(spec, images=96, given={"": 75.0}).seconds.estimate == 96.0
    first = replace(spec, data=DataSpec(name="webvision1"))
    assert estimate(first, given={"": 1.0}).size[:3] == (2_400_000, 50_000, 1_000)
    mini = replace(spec, data=DataSpec(name="mini-webvision"))
    assert estimate(mini, given={"": 1.0}).size[:3] == (65_944, 2_500, 50)
    part = replace(spec, data=DataSpec(name="webvision1", options={"classes": "0-9"}))
    with pytest.raises(HarnessError, match=r"the number of .* webvision1\?classes=0-9 is"):
        estimate(part, given={"": 1.0})
    assert estimate(part, images=9, given={"": 75.0}).seconds.estimate == 9.0


def test_what_is_not_known_is_said(tiny_home: Path) -> None:
    spec = RunSpec(plugin="baseline", data=TINY, home=tiny_home)
    with pytest.raises(HarnessError, match="no record shows how fast test_resnet at 32 pixels in"):
        estimate(spec)
    with pytest.raises(HarnessError, match="unknown stage 'trian'; did you mean 'train'"):
        estimate(spec, given={"trian": 1.0})


def test_a_few_steps_of_every_kind_of_stage_are_timed(tiny_home: Path) -> None:
    from harness.planning.step_timer import StepTimer

    knobs = {"distil": "baseline", "noise": "reweight_class"}
    spec = RunSpec(plugin="huawei", knobs=knobs, data=TINY, engine="torch", home=tiny_home)
    told: list[str] = []
    found = estimate(spec, gpus=2, measure=StepTimer(tell=told.append, seconds=0.0))
    assert told == [
        "timing test_resnet at 32 pixels in fp32",
        "timing test_resnet at 32 pixels in fp32 taught by 1",
    ]
    for stage in found.stages:
        assert stage.speed.low <= stage.speed.images_per_second <= stage.speed.high
        assert stage.speed.source == "3 steps of 32 pictures, timed here"  # 64 over 2 devices
        assert stage.peak_bytes is None
        assert math.isfinite(stage.seconds.estimate)
    assert "reading pictures" in found.notes[0]


GREEDY = """
import torch
from harness.hookspecs import hookimpl

class Greedy(torch.nn.Module):
    num_features = 3
    def __init__(self, outputs):
        super().__init__()
        self.most = int(torch.tensor(16).item())  # no network of shapes alone
        self.head = torch.nn.Linear(3, outputs)
    def forward(self, images):
        if len(images) > self.most:
            raise torch.cuda.OutOfMemoryError("too many")
        return self.head(images.mean((2, 3)))

class Plugin:
    @hookimpl
    def build_model(self, num_outputs):
        return Greedy(num_outputs)
"""


def test_a_batch_that_does_not_fit_is_halved_and_said(tiny_home: Path, install) -> None:
    from harness.planning.step_timer import StepTimer

    install("greedy", GREEDY)
    spec = RunSpec(plugin="baseline", extra=("greedy",), data=TINY, engine="torch", home=tiny_home)
    found = estimate(spec, measure=StepTimer(tell=print, seconds=0.0))
    assert found.stages[0].speed.source == "3 steps of 16 pictures, timed here"
    assert found.notes[-1] == (
        "test_resnet at 32 pixels was timed with 16 pictures at once, not 64"
    )
    module = GREEDY.replace("tensor(16)", "tensor(0)")
    install("greedier", module)
    with pytest.raises(HarnessError, match="stage 'train': not one picture fits"):
        estimate(
            RunSpec(
                plugin="baseline", extra=("greedier",), data=TINY, engine="torch", home=tiny_home
            ),
            measure=StepTimer(tell=print, seconds=0.0),
        )


ASK = """
import socket, sys
from pathlib import Path
from harness.errors import HarnessError
from harness.machine.garbage import collect_seldom
collect_seldom()
from harness.planning.estimate import estimate
from harness.spec import DataSpec, Override, RunSpec

def refuse(*_):
    raise AssertionError("the network was used")

socket.socket.connect = socket.getaddrinfo = refuse
home, data = Path(sys.argv[1]), DataSpec(name="webvision2")
for plugin, knobs, overrides in (
    ("huawei", {"noise": "semantic_only", "encoder": "st:nobody/nothing"}, ()),
    ("huawei", {"noise": "semantic_only", "encoder": "hf:nobody/nothing"}, ()),
    ("baseline", {}, (Override("", "weights", "timm"),)),
):
    spec = RunSpec(plugin=plugin, data=data, knobs=knobs, overrides=overrides, home=home)
    try:
        estimate(spec, given={"": 100.0})
    except HarnessError as error:
        print(error)
"""


@pytest.mark.slow
def test_what_would_be_downloaded_is_one_line_without_the_network(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(tmp_path)],
        env={**os.environ, "HF_HOME": str(tmp_path / "hub")},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 3, done
    for kind, line in zip(("st", "hf"), lines, strict=False):
        assert line == (
            f"text encoder '{kind}:nobody/nothing': 'nobody/nothing' is not a folder and not in "
            "the Hugging Face cache (it is downloaded by harness run, not by an estimate); give a "
            "folder, or choose encoder=lexical"
        )
    assert "weights=timm: timm cannot load those of 'resnet50': timm/resnet50" in lines[2]
    assert "is not in the cache (it is downloaded by harness run, not by" in lines[2]
