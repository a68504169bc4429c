"""A GPU in one command of under eight minutes: speed, memory, and what must hold there.

    python benchmarks/gpu.py --json gpu.json

Without a GPU it says so and ends. ``--device cpu --quick`` runs every part on the CPU with tiny
sizes, to try the script itself. A part that fails is a row of the table, and the rest goes on; a
part that would begin after ``--seconds`` is left out and named.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from harness.machine.garbage import collect_seldom
from harness.machine.launch import keep_freed_memory, say_done, share_cores

share_cores()  # before torch is imported
keep_freed_memory()
collect_seldom()

import numpy as np  # noqa: E402
import simplejpeg  # noqa: E402
import timm  # noqa: E402
import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
from engines import (  # noqa: E402
    BARE,
    CLASSES,
    ByHand,
    Engines,
    batch_of,
    replaced,
    seconds,
    stage_of,
    timms_optimizer,
)
from PIL import Image  # noqa: E402
from tabulate import tabulate  # noqa: E402
from torch import nn  # noqa: E402

from harness.assembly.discovery import plugins_with  # noqa: E402
from harness.assembly.recipe import StageRecipe  # noqa: E402
from harness.cli.devices import ONE_NODE  # noqa: E402
from harness.data.pictures.loader import Crops, Pictures, prefetch  # noqa: E402
from harness.data.synthweb import VERSION, generate  # noqa: E402
from harness.data.webvision import read_split  # noqa: E402
from harness.launch.agent import launch  # noqa: E402
from harness.machine.cores import cores  # noqa: E402
from harness.samplers import Uniform  # noqa: E402
from harness.spec import ENGINES  # noqa: E402
from harness.testing.predict import evaluating  # noqa: E402
from harness.training import loop  # noqa: E402
from harness.training import prefetch as ahead  # noqa: E402
from harness.training.batches import normalize  # noqa: E402
from harness.training.engines import make_engine  # noqa: E402
from harness.training.job import Job  # noqa: E402
from harness.training.ranks import Ranks, join_ranks  # noqa: E402
from harness.values import Stage  # noqa: E402

Row = dict[str, Any]


class Smooth(nn.Module):
    """Without ReLU and max-pooling a rounding error stays one."""

    def __init__(self, outputs=8):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=2, bias=False), nn.BatchNorm2d(16), nn.SiLU(),
            nn.Conv2d(16, 32, 3, stride=2, bias=False), nn.BatchNorm2d(32), nn.SiLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, outputs),
        )  # fmt: skip

    def forward(self, images):
        """Return logits."""
        return self.body(images)


class Setting:
    """What every part is measured with, and until when."""

    def __init__(self, asked):
        self.quick, self.seconds = asked.quick, asked.seconds
        self.begun = time.monotonic()
        self.cuda = asked.device == "cuda"
        self.precision = "bf16"
        self.networks = ["resnet50:224:256", "resnext101_32x8d:224:128"]
        self.loaded, self.inferred = "resnet50:224:256", "resnet50:224:512"
        self.steps, self.rounds, self.warm = 10, 3, 3
        self.methods, self.preset, self.least_steps = (), "small", 30
        if asked.quick:
            self.networks = ["test_resnet:32:4"]  # its pixels and batch: the network is Smooth
            self.loaded, self.inferred = "test_resnet:32:8", "test_resnet:32:8"
            self.steps, self.rounds, self.warm = 1, 1, 1
            self.methods, self.preset, self.least_steps = ("baseline",), "tiny", 4
        if asked.methods:
            self.methods = tuple(asked.methods)
        self.ranks: Ranks = join_ranks()
        self.folder = Path(asked.folder)
        self.home = self.folder / "home"

    @property
    def left(self):
        """Seconds until no further part begins."""
        return self.begun + self.seconds - time.monotonic()

    def stage(self, text, classes=CLASSES):
        """Return a stage, and what draws its network: a small one if it is to be quick."""
        stage, network = stage_of(text, self.precision, classes)
        return stage, partial(Smooth, classes) if self.quick else network

    def samples(self):
        """Return the training split of the embedded data, drawn where runs look for it."""
        name = f"synthweb-v{VERSION}-{self.preset}-0"
        drawn = generate(self.home / "data" / name, self.preset, 0)
        return read_split(drawn, "train")


@contextmanager
def peak(setting) -> Iterator[Callable[[], float | None]]:
    """Yield what tells the peak memory since now, in GiB; None without a GPU."""
    if setting.cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    yield lambda: torch.cuda.max_memory_allocated() / 2**30 if setting.cuda else None


def train_ways(network, stage, ranks) -> dict[str, Callable[[], Any]]:
    """Return what makes each way to train on one GPU, by name."""
    fast = replaced(stage)
    return {
        BARE: lambda: ByHand(network(), stage, ranks),
        "timm's step": lambda: ByHand(network(), stage, ranks, optimizer=timms_optimizer),
        "DDP by hand": lambda: ByHand(network(), stage, ranks, ddp=True),
        "deepspeed": lambda: Engines("deepspeed", network(), stage, ranks),
        "torch and ddp": lambda: Engines("torch", network(), stage, ranks),
        "bare loop, compiled": lambda: ByHand(network(), stage, ranks, compiled=True),
        "deepspeed, compiled": lambda: Engines("deepspeed", network(), fast, ranks),
        "torch, compiled": lambda: Engines("torch", network(), fast, ranks),
    }


def training(setting) -> Iterator[Row]:
    """Train on drawn pictures that lie on the device: one way after the other, each alone there."""
    for text in setting.networks:
        stage, network = setting.stage(text)
        batch = batch_of(stage, setting.ranks)
        bare = 0.0
        for name, make in train_ways(network, stage, setting.ranks).items():
            if name != BARE and setting.left < 0:
                yield {"what": f"{text} {name}", "said": "left out, no time"}
                continue
            with peak(setting) as memory:
                way = make()
                first, _ = seconds(way, batch, setting.ranks, 1)
                seconds(way, batch, setting.ranks, setting.warm)
                found = [
                    seconds(way, batch, setting.ranks, setting.steps) for _ in range(setting.rounds)
                ]
                taken, loss = median(one for one, _ in found), found[-1][1]
                bare = bare or taken
                yield {
                    "what": f"{text} {name}",
                    "images/s": stage.batch_size / taken,
                    "over bare": bare / taken,
                    "first step, s": first,
                    "peak, GiB": memory(),
                    "said": "" if math.isfinite(loss) else f"the loss is {loss}",
                }
                del way


def inference(setting) -> Iterator[Row]:
    """Pass drawn pictures through a network without gradients."""
    for compiled in (False, True):
        stage, network = setting.stage(setting.inferred)
        images, _ = batch_of(stage, setting.ranks)
        module = network().to(setting.ranks.device, memory_format=torch.channels_last).eval()
        called = torch.compile(module) if compiled else module
        autocast = torch.autocast(setting.ranks.device.type, dtype=torch.bfloat16)

        class Pass:
            def step(self, images, called=called, autocast=autocast):
                with torch.inference_mode(), autocast:
                    return called(images).float().sum()

        with peak(setting) as memory:
            seconds(Pass(), (images,), setting.ranks, setting.warm)
            taken, _ = seconds(Pass(), (images,), setting.ranks, setting.steps)
            yield {
                "what": f"{setting.inferred} {'compiled' if compiled else 'eager'}",
                "images/s": stage.batch_size / taken,
                "peak, GiB": memory(),
            }


class Ends:
    """Receives a stage's progress; remembers when each reading of the losses was."""

    def __init__(self):
        self.ends, self.losses = [], []

    def on_stage_start(self, stage, steps, first_step):
        """Ignore it."""

    def on_batch(self, stage, step, batch, network):
        """Ignore it."""

    def on_step_end(self, stage, step, scalars):
        """Note step and time; the meter has waited for the device."""
        del stage
        self.ends.append((step, time.perf_counter()))
        self.losses.append(scalars["loss"])

    def seconds(self):
        """Return the mean seconds of a step after the first reading."""
        (first, begun), (last, ended) = self.ends[0], self.ends[-1]
        return (ended - begun) / max(1, last - first)


def unscored(module):
    """Score nothing: that is not what is measured."""
    del module
    return {}


def as_they_are(steps, device):
    """Fetch nothing ahead."""
    del device
    return steps


def job_of(setting, stage, samples) -> loop.Job:
    """Return a job of some dozen steps on the real loader."""
    per_epoch = -(-len(samples) // stage.batch_size)
    stage = replace(stage, epochs=-(-setting.least_steps // per_epoch), min_crop_area=0.08)
    return Job(
        recipe=StageRecipe(
            stage=stage, origins={}, noise=(), model=(), batch=(), loss=(), depth=0, key="0"
        ),
        samples=samples, seed=0, threads=min(16, cores()), folder=setting.folder / "stage",
        evaluate=unscored, report=print, checkpoint_seconds=float("inf"),
    )  # fmt: skip


def moved_unpinned(batch, device):
    """Copy from memory that may be paged: such a copy waits for itself."""
    return replace(batch, **{k: getattr(batch, k).to(device) for k in ahead.TENSORS})


@contextmanager
def replaced_by(owner, name, value) -> Iterator[None]:
    """Measure without a part of the harness."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def loading(setting) -> Iterator[Row]:
    """Train by the harness's loop from files: with what is fetched ahead, and without."""
    samples = setting.samples()
    stage, network = setting.stage(setting.loaded, samples.num_classes)
    batch = batch_of(stage, setting.ranks, samples.num_classes)
    way = ByHand(network(), stage, setting.ranks)
    seconds(way, batch, setting.ranks, setting.warm)
    bare, _ = seconds(way, batch, setting.ranks, setting.steps)
    yield {"what": "bare loop, pictures on the device", "images/s": stage.batch_size / bare}
    yield {"what": "loader alone", "images/s": loader_alone(setting, stage, samples)}
    modes = {
        "harness loop": (loop, "prefetch_to_device", loop.prefetch_to_device),
        "without pinned memory": (ahead, "_moved", moved_unpinned),
        "without prefetch": (loop, "prefetch_to_device", as_they_are),
    }
    for name, change in modes.items():
        engine = make_engine("torch", network(), stage, setting.ranks, {})
        ends = Ends()
        with replaced_by(*change), redirect_stderr(io.StringIO()), peak(setting) as memory:
            loop.train(job_of(setting, stage, samples), [engine], setting.ranks, ends)
        taken = ends.seconds()
        yield {
            "what": f"{name}, {min(16, cores())} threads",
            "images/s": stage.batch_size / taken,
            "over bare": bare / taken,
            "peak, GiB": memory(),
            "said": "" if np.isfinite(ends.losses).all() else "a loss is not finite",
        }


def loader_alone(setting, stage, samples) -> float:
    """Return the pictures a second that the loader decodes and cuts."""
    pictures = Pictures(samples, print)
    draw = Uniform().prepare(samples, stage.batch_size, 0)
    crops = Crops(stage.input_size, 0.08)
    steps = max(2, setting.least_steps // 3)
    calls = (
        partial(pictures.training_batch, draw(step), slice(None), crops, (0, step))
        for step in range(steps)
    )
    begin = time.perf_counter()
    for _ in prefetch(calls, min(16, cores())):
        pass
    return steps * stage.batch_size / (time.perf_counter() - begin)


def decoding(setting) -> Iterator[Row]:
    """Decode whole JPEGs by the CPU's threads and by the GPU."""
    count, size = (16, (80, 60)) if setting.quick else (1024, (500, 375))
    random = np.random.default_rng(0)
    files = []
    for _ in range(min(count, 64)):
        small = random.integers(256, size=(size[1] // 5, size[0] // 5, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(small).resize(size).save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    files = [files[place % len(files)] for place in range(count)]
    begin = time.perf_counter()
    with ThreadPoolExecutor(min(16, cores())) as pool:
        list(pool.map(simplejpeg.decode_jpeg, files))
    taken = time.perf_counter() - begin
    yield {"what": f"simplejpeg, {min(16, cores())} threads", "images/s": count / taken}
    import warnings

    from torchvision.io import ImageReadMode, decode_jpeg

    warnings.filterwarnings("ignore", message=".*TorchCodec.*")
    data = [torch.frombuffer(bytearray(file), dtype=torch.uint8) for file in files]
    for _ in range(2):  # the first call starts nvJPEG
        begin = time.perf_counter()
        done = decode_jpeg(data, mode=ImageReadMode.RGB, device=setting.ranks.device)
        if setting.cuda:
            torch.cuda.synchronize()
        taken = time.perf_counter() - begin
    right = np.abs(
        done[0].permute(1, 2, 0).cpu().numpy().astype(int)
        - simplejpeg.decode_jpeg(files[0]).astype(int)
    ).mean()
    yield {
        "what": f"torchvision's decode_jpeg on {setting.ranks.device.type}",
        "images/s": count / taken,
        "said": f"{right:.2f} grey levels from simplejpeg",
    }


def equality(setting) -> Iterator[Row]:
    """Compare losses step by step: engines, compiled, precisions, and the CPU."""
    torch.backends.cudnn.allow_tf32 = False

    def losses(ranks, name, **values):
        stage = Stage(name="t", batch_size=32, lr=0.1, input_size=32, **values)
        made = make_engine(name, Smooth(), stage, ranks, {})
        made.module.train()
        random = torch.Generator().manual_seed(0)
        found = []
        for _ in range(4 if setting.quick else 10):
            images = torch.randn(32, 3, 32, 32, generator=random).to(ranks.device)
            labels = torch.randint(8, (32,), generator=random).to(ranks.device)
            loss = nn.functional.cross_entropy(made(images).float(), labels)
            made.backward(loss)
            made.step()
            found.append(loss.item())
        return np.array(found), made

    on_cpu = Ranks(rank=0, world_size=1, device=torch.device("cpu"))
    expected, _ = losses(on_cpu, "torch")
    kinds = [(name, {}, 1e-4) for name in ENGINES]
    kinds += [("torch", {"compile": True}, 1e-4), ("torch", {"norm_group": 8}, math.inf)]
    kinds += [(name, {"precision": p}, 0.05) for name in ENGINES for p in ("bf16", "fp16")]
    for name, values, allowed in kinds:
        found, made = losses(setting.ranks, name, **values)
        apart = float(np.max(np.abs(found - expected) / expected))
        scale = made.state()["scaler"].get("scale")
        right = np.isfinite(found).all() and apart <= allowed
        yield {
            "what": f"{name} {values or 'fp32'} against the CPU in fp32",
            "greatest difference": apart,
            "said": ("" if right else "WRONG ") + (f"loss scale {scale:.0f}" if scale else ""),
        }
    torch.backends.cudnn.allow_tf32 = True


def cudnn_choices(setting) -> Iterator[Row]:
    """Train with cuDNN's own choice of algorithms, and with what it finds by trying."""
    stage, network = setting.stage(setting.networks[0])
    batch = batch_of(stage, setting.ranks)
    for tried in (False, True):
        torch.backends.cudnn.benchmark = tried
        way = ByHand(network(), stage, setting.ranks)
        seconds(way, batch, setting.ranks, setting.warm)
        taken, _ = seconds(way, batch, setting.ranks, setting.steps)
        yield {"what": f"cudnn.benchmark={tried}", "images/s": stage.batch_size / taken}
    torch.backends.cudnn.benchmark = False


def copies(setting) -> Iterator[Row]:
    """Copy a batch of bytes to the device, from pinned memory and from memory that may be paged."""
    stage, _ = setting.stage(setting.networks[0])
    pixels = np.zeros((stage.batch_size, stage.input_size, stage.input_size, 3), np.uint8)

    class Copy:
        def step(self, source):
            return source.to(setting.ranks.device, non_blocking=True).flatten()[0]

    class Normalize:
        def step(self, source):
            with evaluating(nn.Identity()):
                return normalize(source, setting.ranks.device).flatten()[0]

    source = torch.from_numpy(pixels)
    tried = {"paged": (Copy(), source), "normalize, as testing does": (Normalize(), pixels)}
    if setting.cuda:
        tried["pinned"] = (Copy(), source.pin_memory())
    for name, (way, given) in tried.items():
        seconds(way, (given,), setting.ranks, 2)
        taken, _ = seconds(way, (given,), setting.ranks, setting.steps)
        yield {"what": f"copy of {pixels.nbytes / 2**20:.1f} MiB, {name}",
               "GB/s": pixels.nbytes / taken / 1e9}  # fmt: skip


def all_reduce(setting) -> Iterator[Row]:
    """Add up 100 MB over all GPUs (on the CPU two processes), as gradients of ResNet-50 are."""
    count = torch.cuda.device_count() if setting.cuda else 2
    if count < 2:
        yield {"what": "NCCL", "said": f"left out, {count} GPU"}
        return
    path = setting.folder / "reduced.json"
    # The ranks are forks of one new process: a fork of this one, which used the GPU, could not.
    start = [sys.executable, __file__, f"--worker={path}", f"--ranks={count}"]
    start += ["--quick"] if setting.quick else []
    environment = dict(os.environ) if setting.cuda else os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    subprocess.run(start, check=True, capture_output=True, env=environment, timeout=120)
    yield from json.loads(path.read_text())


def reduce_here(path, *, quick) -> None:
    """Be one of the processes that add up."""
    ranks = join_ranks()
    tensor = torch.ones((1 if quick else 25) * 2**20, device=ranks.device)

    class Reduce:
        def step(self):
            dist.all_reduce(tensor)
            tensor.div_(ranks.world_size)
            return tensor[0]

    seconds(Reduce(), (), ranks, 3)
    taken, value = seconds(Reduce(), (), ranks, 2 if quick else 20)
    bus = 2 * (ranks.world_size - 1) / ranks.world_size * tensor.nbytes / taken / 1e9
    if ranks.first:
        named = f"all-reduce of {tensor.nbytes / 2**20:.0f} MiB, {ranks.world_size} ranks"
        row = {"what": named, "GB/s": bus, "said": "" if value == 1.0 else f"WRONG: {value}"}
        path.write_text(json.dumps([row]))
    say_done()


def methods(setting) -> Iterator[Row]:
    """Run every method on synthweb:tiny by the command line."""
    for name in setting.methods or plugins_with("plan", setting.home):
        if setting.left < 0:
            yield {"what": name, "said": "left out, no time"}
            continue
        command = [sys.executable, "-m", "harness", "run", "--plugin", name]
        command += ["--data", "synthweb:tiny", "--stage", "epochs=1", "--stage", "batch_size=16"]
        command += [] if setting.cuda else ["--gpus", "0"]
        environment = os.environ | {"HARNESS_HOME": str(setting.home)}
        begin = time.perf_counter()
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=240
        )
        said = "" if not done.returncode else done.stderr.strip().splitlines()[-1]
        yield {"what": name, "seconds": time.perf_counter() - begin, "said": said}


PARTS: dict[str, Callable[[Setting], Iterator[Row]]] = {
    "equality": equality,
    "copies": copies,
    "training": training,
    "loading": loading,
    "decoding": decoding,
    "inference": inference,
    "cudnn": cudnn_choices,
    "all-reduce": all_reduce,
    "methods": methods,
}


def card(setting) -> Row:
    """Return what the figures belong to."""
    found = {
        "torch": torch.__version__,
        "timm": timm.__version__,
        "cores": cores(),
        "card": "none, on the CPU",
    }
    if setting.cuda:
        properties = torch.cuda.get_device_properties(setting.ranks.device)
        found |= {
            "card": properties.name,
            "memory, GiB": round(properties.total_memory / 2**30, 1),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "gpus": torch.cuda.device_count(),
        }
    return found


def rows_of(setting, part) -> list[Row]:
    """Run a part; what fails there is a row."""
    rows: list[Row] = []
    if setting.left < 0:
        return [{"what": part, "said": "left out, no time"}]
    try:
        rows += PARTS[part](setting)
    except Exception as error:  # whatever it is, the other parts shall still be measured
        words = " ".join(str(error).split())
        rows.append({"what": part, "said": f"FAILED {type(error).__name__}: {words:.300}"})
    return rows


def measure(asked) -> dict[str, Any]:
    """Run the parts that are asked for and print their tables."""
    with tempfile.TemporaryDirectory() as folder:
        asked.folder = folder
        setting = Setting(asked)
        found: dict[str, Any] = {"card": card(setting)}
        print(tabulate(found["card"].items(), tablefmt="plain"))
        for part in asked.parts:
            begin = time.monotonic()
            rows = found[part] = rows_of(setting, part)
            print(f"\n{part}, {time.monotonic() - begin:.0f} s")
            print(tabulate(rows, "keys", floatfmt=".4g", missingval="-"), flush=True)
    return found


def main():
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    made.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    made.add_argument("--quick", action="store_true", help="Tiny sizes, to try the script.")
    made.add_argument("--parts", nargs="*", choices=list(PARTS), default=list(PARTS))
    made.add_argument("--methods", nargs="*", help="Of the last part.  [default: all installed]")
    made.add_argument("--seconds", type=float, default=360.0, help="No part begins later.")
    made.add_argument("--json", type=Path)
    made.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    made.add_argument("--ranks", type=int, help=argparse.SUPPRESS)
    asked = made.parse_args()
    if asked.worker:
        one = partial(reduce_here, asked.worker, quick=asked.quick)
        sys.exit(launch(one, asked.ranks, ONE_NODE))
    if asked.device == "cuda" and not torch.cuda.is_available():
        print("no GPU was found, so nothing is measured; --device cpu --quick tries the script")
        return
    if asked.device == "cpu" and torch.cuda.is_available():
        sys.exit("--device cpu needs CUDA_VISIBLE_DEVICES= where there is a GPU")
    found = measure(asked)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
