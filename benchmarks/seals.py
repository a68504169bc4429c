"""Cost of seals and verification: digests of large files, boards of many records.

python benchmarks/seals.py --output seals.json
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tabulate import tabulate

from harness.samples import WebClass
from harness.store.record import Cost, Data, ResultRecord
from harness.store.record_files import read_records, write_record
from harness.store.seals import file_seal
from harness.studies.standing import standing
from harness.testing.metrics import top_classes
from harness.testing.score import save_predictions, score_of

CLASSES, IMAGES = 20, 1_000


def seconds(work: Callable[[], object]) -> float:
    """Return how long the work takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def write_home(home: Path, count: int) -> None:
    """Write records of one score each, with predictions of ``IMAGES`` pictures."""
    from harness.samples import Samples

    zeros = np.zeros(IMAGES, np.int32)
    samples = Samples(
        split="test",
        root=home,
        files=np.array([f"test/{row:06d}.jpg" for row in range(IMAGES)]),
        label=np.arange(IMAGES, dtype=np.int32) % CLASSES,
        source=zeros.astype(np.int8),
        query=zeros,
        rank=zeros,
        weight=np.ones(IMAGES, np.float32),
        subset=zeros.astype(np.int8),
        classes=tuple(WebClass(f"n{k}", str(k)) for k in range(CLASSES)),
    )
    random = np.random.default_rng(0)
    cost = Cost(
        wall_seconds=1,
        device_seconds=1,
        stage_seconds={},
        images_per_second={},
        peak_memory_bytes=1,
        hardware={},
        versions={},
        engine="torch",
        created="2024-05-01",
    )
    data = Data(plugin="d", edition="e", fingerprint="f", classes=CLASSES, train_samples=1)
    for number in range(count):
        name = f"run-{number}"
        top = top_classes(random.dirichlet(np.ones(CLASSES), IMAGES).astype(np.float32), 5)
        kept = home / "records" / name / "test-1-view-last.npz"
        sha256 = save_predictions(kept, samples, top)
        record = ResultRecord(
            id=name,
            decides={},
            plugin="baseline",
            label=name,
            knobs={},
            plugins=(),
            without=(),
            data=data,
            seed=0,
            full_size=False,
            stages=(),
            members=(),
            combine="",
            scores=(score_of(samples, top, "1 view", "last", sha256),),
            noise=(),
            commit="",
            dirty=False,
            cost=cost,
        )
        write_record(home / "records", record)


def main() -> None:
    """Measure, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[100, 2_000])
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in asked.megabytes:
            path = Path(folder) / "features.npy"
            block = np.random.default_rng(0).bytes(1 << 20)
            with path.open("wb") as file:
                for _ in range(size):
                    file.write(block)
            found[f"seal of {size} MiB, s"] = seconds(lambda path=path: file_seal(path))
            path.unlink()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        write_home(home, asked.records)
        records, _ = read_records(home / "records")
        told: list[str] = []
        for name, work in (
            ("read and checked", lambda: read_records(home / "records")),
            ("verified for the first time", lambda: standing(home, records, told.append)),
            ("verified again", lambda: standing(home, records, told.append)),
        ):
            found[f"{asked.records} records {name}, s"] = seconds(work)
    print(tabulate([(name, f"{value:.2f}") for name, value in found.items()], ("what", "cost")))
    if asked.output:
        asked.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
