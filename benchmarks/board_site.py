"""Write the site of made-up runs, and print its processor time and its weight.

    python benchmarks/board_site.py --runs 10000

The records are real files with predictions that give their figures; they are verified before the
clock starts, as ``harness leaderboard`` does once for each record. Ten seeds of each method.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from harness.machine.garbage import collect_seldom, keep
from harness.store.record import (
    Cost,
    Data,
    EffectiveStage,
    Knob,
    Plugin,
    ResultRecord,
    Score,
    digest,
    record_id,
)
from harness.store.record_files import read_records, write_record
from harness.testing.metrics import accuracy
from harness_leaderboard.published import load_published
from harness_leaderboard.site.pages import Site
from harness_leaderboard.site.write import write_site

SEEDS, METHODS = 10, 20
CLASSES, IMAGES, EPOCHS = 20, 1000, 24


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="keep home and site here")
    asked = parser.parse_args()
    collect_seldom()  # as every command of the harness
    with tempfile.TemporaryDirectory() as temporary:
        home = asked.folder or Path(temporary)
        for record in made_up(home, asked.runs):
            write_record(home / "records", record)
        began, wall = time.process_time(), time.perf_counter()
        records, problems = read_records(home / "records")
        keep()  # as ``harness leaderboard --site``
        read = time.process_time()
        site = Site(home, records, problems=problems, published=load_published())
        size = write_site(site, home / "site")
        ended = time.process_time()
        files = sum(1 for _ in (home / "site").rglob("*.*"))
        print(f"{len(records):,} records, {len(site.boards)} boards, {files:,} files")
        print(f"processor time: {read - began:.1f} s to read, {ended - read:.1f} s to write")
        print(f"clock: {time.perf_counter() - wall:.1f} s")
        print(f"{size / 1e6:.1f} MB, {size / len(records) / 1e3:.1f} kB for each run")


def made_up(home: Path, count: int) -> Iterator[ResultRecord]:
    """Yield records with predictions: methods of slightly different accuracy on several data."""
    rng = np.random.default_rng(0)
    labels = np.arange(IMAGES, dtype=np.int32) % CLASSES
    files = np.array([f"test_images_256/test{n:06d}.jpg" for n in range(IMAGES)])
    for number in range(count):
        world, rest = divmod(number, SEEDS * METHODS)
        method, seed = divmod(rest, SEEDS)
        classes = rng.permuted(np.tile(np.arange(CLASSES), (IMAGES, 1)), axis=1)[:, :5]
        right = rng.random(IMAGES) < 0.5 + 0.01 * method
        first = np.where(right, labels, (labels + 1) % CLASSES)
        clash = (classes[:, 1:] == first[:, None]).argmax(axis=1) + 1
        has = (classes[:, 1:] == first[:, None]).any(axis=1)
        classes[np.flatnonzero(has), clash[has]] = classes[has, 0]
        classes[:, 0] = first
        yield _record(home, f"world {world}", f"method_{method}", seed, (files, labels, classes))


def _record(
    home: Path, world: str, plugin: str, seed: int, predicted: tuple[np.ndarray, ...]
) -> ResultRecord:
    files, labels, classes = predicted
    plugin = "baseline" if plugin == "method_0" else plugin
    decides = {"label": plugin, "seed": seed, "data": world}
    name = record_id(plugin, seed, decides)
    kept = {
        "files": files,
        "labels": labels,
        "classes": classes.astype(np.int32),
        "probabilities": np.full(classes.shape, 0.1, np.float16),
    }
    content = io.BytesIO()
    np.savez(content, **kept)
    path = home / "records" / name / "test-1-view-last.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.getvalue())
    top1, top5 = (accuracy(kept["classes"], labels, CLASSES, k) for k in (1, 5))
    score = Score(
        split="test",
        protocol="1 view",
        epoch="last",
        images=IMAGES,
        top1=top1.flat,
        top5=top5.flat,
        top1_class_mean=top1.class_mean,
        top5_class_mean=top5.class_mean,
        per_class_top1=tuple(top1.per_class.tolist()),
        per_class_top5=tuple(top5.per_class.tolist()),
        predictions_sha256=hashlib.sha256(content.getvalue()).hexdigest(),
    )
    values = {f"field_{n}": f"value {n}" for n in range(30)} | {"epochs": str(EPOCHS)}
    history = [
        {"epoch": e + 1.0, "loss": 3 / (e + 1), "val_top1": e / EPOCHS, "val_top5": 1.0}
        for e in range(EPOCHS)
    ]
    return ResultRecord(
        id=name,
        decides=decides,
        plugin=plugin,
        label=plugin,
        knobs={
            f"knob_{n}": Knob(value=str(n), origin="assumed", source="a made-up source of a value")
            for n in range(12)
        },
        plugins=tuple(
            Plugin(name=one, distribution="made-up", version="1", source_sha256="0" * 64)
            for one in (plugin, "synthweb", "timm", "texts", "console")
        ),
        without=(),
        data=Data(
            plugin="made-up",
            edition=world,
            fingerprint=digest(world),
            classes=CLASSES,
            train_samples=2500,
            tested={"test": digest([world, "test"])},
        ),
        seed=seed,
        full_size=True,
        stages=(
            EffectiveStage(
                name="train",
                key=digest([plugin, seed, world]),
                values=values,
                origins=dict.fromkeys(values, "recipe"),
                tricks={"noise": ("MadeUp(floor=0.1)",)},
                history=tuple(history),
            ),
        ),
        members=("train",),
        combine="",
        scores=(score,),
        noise=(),
        commit="0" * 40,
        dirty=False,
        cost=Cost(
            wall_seconds=60.0,
            device_seconds=60.0 + seed,
            stage_seconds={"train": 60.0},
            images_per_second={"train": 1000.0},
            peak_memory_bytes=1 << 30,
            hardware={"devices": "1 x cpu", "processor": "made up"},
            versions={"torch": "2", "numpy": "2"},
            engine="torch",
            created=f"2026-01-01T00:00:{seed:02d}+00:00",
        ),
    )


if __name__ == "__main__":
    main()
