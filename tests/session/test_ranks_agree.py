"""Passes and noise handling have the same bytes for any number of ranks, which end runs alike."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PASSES = """
import sys
from pathlib import Path

import numpy as np
import timm
import torch

from harness.data.pictures.loader import Pictures
from harness.data.synthweb import SynthWeb
from harness.session.features import save_outputs
from harness.spec import DataSpec, RunSpec
from harness.testing import predict
from harness.testing.score import Evaluation, Member
from harness.training.ranks import join_ranks
from harness.values import View

folder = Path(sys.argv[1])
ranks = join_ranks()
predict.PIXELS_AT_ONCE = 7 * 32 * 32  # many batches, the last one shorter
spec = RunSpec(plugin="baseline", data=DataSpec(name="synthweb", path="tiny"))
samples = {split: SynthWeb().load_samples(spec, split) for split in ("train", "val")}
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
        tested=[samples["val"]], members=members[:tested], combine=combine, ranks=ranks, threads=2,
        folder=folder / f"{combine} of {tested}",
    ).scores()
train = samples["train"]
batches = predict.extract_features(network, Pictures(train, print), plain[0], ranks, 2)
save_outputs(folder, batches, train, ranks)
"""


DIVIDED = """
import sys
from functools import partial
from pathlib import Path

import numpy as np

from harness.errors import TrainingError
from harness.language.encoders import TextEncoders
from harness.samples import StageOutputs, Predictions, Samples, WebClass
from harness.session.division import divide, encode_divided
from harness.spec import RunSpec
from harness.training.ranks import join_ranks
from harness.tricks.noise.confused_clusters import ConfusedClusters
from harness.tricks.noise.density import DensitySubsets
from harness.tricks.noise.kmeans import KMeansSubsets
from harness.values import Stage

folder = Path(sys.argv[1])
ranks = join_ranks()
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
    label=label, source=zeros.astype(np.int8), query=zeros, rank=np.arange(size, dtype=np.int32),
    weight=np.ones(size, np.float32), subset=zeros.astype(np.int8),
    classes=tuple(WebClass(f"n{k}", str(k)) for k in range(len(sizes))),
    seen={"early": early}, divide=partial(divide, ranks),
)
stage = Stage(name="early", epochs=1, batch_size=8, lr=0.1, backbone="x", input_size=32)
for trick in (
    DensitySubsets(sees=stage), KMeansSubsets(sees=stage),
    *(ConfusedClusters(sees=stage, use=use) for use in ("large", "compact", "size", "distance")),
):
    found = trick(samples)
    name = f"{type(trick).__name__}-{getattr(trick, 'use', '')}"
    if ranks.first:
        np.savez(folder / name, subset=found.subset, weight=found.weight)
texts = [f"a photo of {'word ' * (n % 40)}{n % 700}" for n in range(1400)]
encode = partial(TextEncoders().encode_texts, RunSpec(plugin="", home=folder / "home"), "minilm")
vectors = encode_divided(ranks, encode, texts)
np.save(folder / f"texts{ranks.rank or ''}", vectors)


def fail(item):
    raise TrainingError(f"item {item} is bad")


try:
    samples.map(fail, list(range(7)))
except TrainingError as error:
    (folder / f"error{ranks.rank or ''}.npy").write_text(str(error))
"""


SWEEP = """
import sys
from dataclasses import replace
from pathlib import Path

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


def in_ranks(script: str, world_size: int, *arguments: str) -> None:
    """Run a script in several processes that find each other on the loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    place = {"WORLD_SIZE": str(world_size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, *arguments],
            env=os.environ | place | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
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


def by_ranks(script: str, tmp_path: Path, *numbers: int) -> list[dict[str, str]]:
    found = []
    for world_size in numbers:
        folder = tmp_path / str(world_size)
        folder.mkdir()
        in_ranks(script, world_size, str(folder))
        found.append(digests(folder))
    return found


def test_features_and_predictions_have_the_same_bytes(tiny_home: Path, tmp_path: Path) -> None:
    found = by_ranks(PASSES, tmp_path, 1, 2, 3)
    assert len(set(found[0].values())) == len(found[0]) == 2 + 4 * 2  # ways, protocols
    assert {"features.npy", "predictions.npz", "learned of 2/val-4-views-last.npz"} <= set(found[0])
    assert found[1:] == [found[0], found[0]]


def test_divided_work_has_the_same_bytes_and_errors(tmp_path: Path) -> None:
    alone, three = by_ranks(DIVIDED, tmp_path, 1, 3)
    assert len(alone) == 8  # six tricks, texts, the error of a call
    assert {name: digest for name, digest in three.items() if name in alone} == alone
    for rank in (1, 2):
        assert three[f"texts{rank}.npy"] == alone["texts.npy"]
    errors = [(tmp_path / "3" / f"error{rank or ''}.npy").read_text() for rank in range(3)]
    assert errors == ["item 0 is bad"] * 3


def test_a_sweep_outlives_an_error_of_one_rank_or_ends_with_it(
    tiny_home: Path, tmp_path: Path
) -> None:
    in_ranks(SWEEP, 2, str(tmp_path))
    first, second = ((tmp_path / f"{rank}.txt").read_text().splitlines() for rank in range(2))
    assert first[1:5] == second[1:5]
    assert "failed: baseline: knob crops must be one of 1, 2, 5, 10, got '3'" in first[1]
    assert first[2] == "none"
    assert first[4] == next((tiny_home / "records").glob("*.json")).stem
    assert second[5:] == [
        "run 3 of 4: baseline epochs=1, seed 3",
        "rank 1 of 2 failed alone, so the ranks cannot go on to the next run: this rank has no "
        "luck; once that is mended, start the same command again",
    ]
    assert "Connection closed by peer" in first[6]  # so it waits no longer
