"""Passes and noise handling have the same bytes for any number of ranks, which end runs alike."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]

pytestmark = pytest.mark.slow

PROGRAM = """
import gc
import os
import socket
import sys
from functools import partial
from pathlib import Path

from harness.machine.garbage import collect_seldom

collect_seldom()
import numpy as np
import sentence_transformers
import sklearn.cluster
import timm
import torch

from harness.data.pictures.loader import Pictures
from harness.data.synthweb import SynthWeb
from harness.errors import TrainingError
from harness.language import encoders, networks
from harness.samples import Predictions, Samples, StageOutputs, WebClass
from harness.session import division
from harness.session.features import save_outputs
from harness.spec import DataSpec, RunSpec
from harness.testing import predict
from harness.testing.score import Evaluation, Member
from harness.training.ranks import join_ranks
from harness.tricks.noise.confused_clusters import ConfusedClusters
from harness.tricks.noise.density import DensitySubsets
from harness.tricks.noise.kmeans import KMeansSubsets
from harness.values import Stage, View

predict.PIXELS_AT_ONCE = 7 * 32 * 32  # many batches, the last one shorter
# Two groups of texts, the second one shorter: one of three ranks has nothing to encode.
division.GROUP, encoders.GROUP, networks.BATCH = (
    number // 8 for number in (division.GROUP, encoders.GROUP, networks.BATCH)
)
TEXTS = 1400 // 8
TINY = RunSpec(plugin="baseline", data=DataSpec(name="synthweb", path="tiny"))


def pass_over_pictures(ranks, folder):
    samples = {split: SynthWeb().load_samples(TINY, split) for split in ("train", "val")}
    torch.manual_seed(0)
    network = timm.create_model("test_resnet", num_classes=6)
    plain, four = (View(short_side=36, size=32),), tuple(
        View(short_side=side, size=32, flip=flip) for side in (36, 40) for flip in (False, True)
    )
    other = timm.create_model("test_resnet", num_classes=6)
    networks = {Path("one"): network, Path("other"): other}
    members = [
        Member(protocols={"1 view": plain, "4 views": four}, weights={"last": name},
               network=networks.__getitem__)
        for name in networks
    ]
    for combine, tested in (("mean", 1), ("mean", 2), ("vote", 2), ("learned", 2)):
        Evaluation(
            tested=[samples["val"]], members=members[:tested], combine=combine, ranks=ranks,
            threads=2, folder=folder / f"{combine} of {tested}",
        ).scores()
    train = samples["train"]
    batches = predict.extract_features(network, Pictures(train, print), plain[0], ranks, 2)
    save_outputs(folder, batches, train, ranks)


def divide_work(ranks, folder):
    random = np.random.default_rng(0)
    sizes = [5, 400, 3, 90, 1, 120]
    label = np.repeat(np.arange(len(sizes)), sizes).astype(np.int32)
    size = len(label)
    zeros = np.zeros(size, np.int32)
    probabilities = random.dirichlet(np.ones(5), size).astype(np.float32)
    classes = random.integers(len(sizes), size=(size, 5), dtype=np.int32)
    early = StageOutputs(
        features=random.standard_normal((size, 16)).astype(np.float32),
        predictions=Predictions(classes, probabilities, probabilities[:, 0]),
    )
    samples = Samples(
        split="train", root=folder, files=np.array([f"{row}.jpg" for row in range(size)]),
        label=label, source=zeros.astype(np.int8), query=zeros,
        rank=np.arange(size, dtype=np.int32), weight=np.ones(size, np.float32),
        subset=zeros.astype(np.int8),
        classes=tuple(WebClass(f"n{k}", str(k)) for k in range(len(sizes))),
        seen={"early": early}, divide=partial(division.divide, ranks),
    )
    stage = Stage(name="early", epochs=1, batch_size=8, lr=0.1, backbone="x", input_size=32)
    for trick in (
        DensitySubsets(sees=stage), KMeansSubsets(sees=stage),
        *(ConfusedClusters(sees=stage, use=use)
          for use in ("large", "compact", "size", "distance")),
    ):
        found = trick(samples)
        name = f"{type(trick).__name__}-{getattr(trick, 'use', '')}"
        if ranks.first:
            np.savez(folder / name, subset=found.subset, weight=found.weight)
    texts = [f"a photo of {'word ' * (n % 40)}{n}" for n in range(TEXTS)]
    home = RunSpec(plugin="", home=folder / "home")
    encode = partial(encoders.TextEncoders().encode_texts, home, "minilm")
    np.save(folder / f"texts{ranks.rank or ''}", division.encode_divided(ranks, encode, texts))

    def fail(item):
        raise TrainingError(f"item {item} is bad")

    try:
        samples.map(fail, list(range(7)))
    except TrainingError as error:
        (folder / f"error{ranks.rank or ''}.npy").write_text(str(error))


# Imported once: forks are started in no time. The first use of either imports much more.
home = RunSpec(plugin="", home=Path(sys.argv[1]) / "first")
encoders.TextEncoders().encode_texts(home, "minilm", ["a text"])
SynthWeb().load_samples(TINY, "train")
gc.freeze()  # to look at what was imported would copy it into each fork
for world_size in (1, 2, 3):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    folders = [Path(sys.argv[1], str(world_size), part) for part in ("passes", "divided")]
    for folder in folders:
        folder.mkdir(parents=True)
    children = []
    for rank in range(world_size):
        children.append(os.fork())
        if not children[-1]:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "MASTER_PORT": port,
                           "WORLD_SIZE": str(world_size), "MASTER_ADDR": "127.0.0.1"}
            ranks = join_ranks()
            pass_over_pictures(ranks, folders[0])
            divide_work(ranks, folders[1])
            sys.exit()
    if any([os.waitpid(child, 0)[1] for child in children]):
        sys.exit(1)
"""


SWEEP = """
import sys
from dataclasses import replace
from pathlib import Path

from harness.machine.garbage import collect_seldom

collect_seldom()
from harness.errors import HarnessError
from harness.machine.place import read_place
from harness.spec import DataSpec, Override, RunSpec
from harness.studies.sweep import sweep
from harness.training import agreement

agreement.ALONE_SECONDS = 3.0
told, first = Path(sys.argv[1]), read_place().rank == 0
short = (Override("", "epochs", "1"),)
tiny = DataSpec(name="synthweb", path="tiny")
good = RunSpec(plugin="baseline", data=tiny, overrides=short, engine="torch")
odd = replace(good, knobs={} if first else {"crops": "3"})
mix = replace(good, seed=3)


def fail(*ignored):
    raise HarnessError("this rank has no luck")


lines = []
try:
    for outcome in sweep([odd, good, mix, good], lines.append):
        lines.append("none" if outcome.record is None else outcome.record.id)
        if outcome.spec is good and not first:
            agreement.check_one_identity = fail  # the others wait for its answer
except (HarnessError, RuntimeError) as error:
    lines.append(str(error))
(told / f"{0 if first else 1}.txt").write_text("\\n".join(lines))
"""


@pytest.fixture(scope="module")
def found(drawn_data: Path, tmp_path_factory: pytest.TempPathFactory, fork: Call) -> Path:
    """A folder with what one, two and three ranks made, each in a folder named by their number."""
    folder = tmp_path_factory.mktemp("ranks")
    (folder / "home").mkdir()
    (folder / "home" / "data").symlink_to(drawn_data)
    environment = {"HARNESS_HOME": str(folder / "home"), "CUDA_VISIBLE_DEVICES": ""}
    with fork("-c", PROGRAM, str(folder), **environment) as process:
        _, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return folder


def in_ranks(fork: Call, script: str, world_size: int, *arguments: str) -> None:
    """Run a script in several processes that find each other on the loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    place = {"WORLD_SIZE": str(world_size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                fork("-c", script, *arguments, RANK=str(rank), LOCAL_RANK=str(rank), **place)
            )
            for rank in range(world_size)
        ]
        said = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * world_size, said


def digests(folder: Path) -> dict[str, str]:
    """The sha256 of every array file; markers name their folder."""
    paths = [path for path in folder.rglob("*") if path.suffix in (".npy", ".npz")]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
    }


def test_features_and_predictions_have_the_same_bytes(found: Path) -> None:
    alone, two, three = (digests(found / number / "passes") for number in "123")
    assert len(set(alone.values())) == len(alone) == 2 + 4 * 2  # ways, protocols
    assert {"features.npy", "predictions.npz", "learned of 2/val-4-views-last.npz"} <= set(alone)
    assert two == three == alone


def test_divided_work_has_the_same_bytes_and_errors(found: Path) -> None:
    alone = digests(found / "1" / "divided")
    assert len(alone) == 8  # six tricks, texts, the error of a call
    for number in (2, 3):
        folder = found / str(number) / "divided"
        several = digests(folder)
        assert {name: digest for name, digest in several.items() if name in alone} == alone
        for rank in range(1, number):
            assert several[f"texts{rank}.npy"] == alone["texts.npy"]
        errors = [(folder / f"error{rank or ''}.npy").read_text() for rank in range(number)]
        assert errors == ["item 0 is bad"] * number


def test_a_sweep_outlives_an_error_of_one_rank_or_ends_with_it(
    tiny_home: Path, tmp_path: Path, fork: Call
) -> None:
    in_ranks(fork, SWEEP, 2, str(tmp_path))
    first, second = ((tmp_path / f"{rank}.txt").read_text().splitlines() for rank in range(2))
    assert first[1:5] == second[1:5]
    assert "failed: baseline: knob crops must be one of 1, 2, 5, 10, got '3'" in first[1]
    assert first[2] == "none"
    assert first[4] == next((tiny_home / "records").glob("*.json")).stem
    assert second[5:] == [
        "run 3 of 4: baseline epochs=1, seed 3",
        "rank 1 of 2 failed alone, so the ranks cannot continue with the next run: this rank has "
        "no luck; once that is solved, start the same command again",
    ]
    assert "Connection closed by peer" in first[6]  # so it waits no longer
