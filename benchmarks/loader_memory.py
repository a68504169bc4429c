"""Private memory of a loader: with few rows and with 16 million, one worker and several.

Training crops are drawn from a table in folders and from one in an indexed archive, each in a
separate process. All rows refer to the same few images, so only the table grows. "Private" is
memory that no other process can share; the page cache, which contains the index, is not private. A
worker is a thread; its cost is the difference between several workers and one.

    python benchmarks/loader_memory.py --rows 16000000 --few 160000 --json loader_memory.json
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rows import COLUMN_FOLDER, private_bytes, write_index
from tabulate import tabulate

from harness.data.pictures.loader import Crops, Pictures, prefetch
from harness.data.webvision import WebVision2
from harness.data.webvision.index.open import FOLDER, MARKER
from harness.samplers import Uniform
from harness.spec import DataSpec, RunSpec
from harness.training.batches import Collator

PICTURES, SIDES = 1_000, (341, 256)
CLASSES, QUERIES = 5_000, 12_597
BATCH, STEPS, CROP, PAUSE = 64, 24, 224, 0.3
WORKERS = (1, 4)
PART = 100_000  # lines written at once
MB = 1e6


def pictures():
    """A thousand JPEGs of about 8 KB."""
    random = np.random.default_rng(0)
    for _ in range(PICTURES):
        coarse = random.integers(0, 256, (16, 21, 3), np.uint8)
        file = io.BytesIO()
        Image.fromarray(coarse).resize(SIDES, Image.Resampling.BICUBIC).save(file, "JPEG")
        yield file.getvalue()


def names():
    """As 2.0 has them; every row names one of these."""
    return [f"google_images_resized/q{k // 10 + 1:05d}/{k:010d}.jpg" for k in range(PICTURES)]


def write_info(root):
    (root / "info").mkdir(parents=True)
    synsets = "".join(f"n{k:08d} class {k}\n" for k in range(CLASSES))
    (root / "info" / "synsets.txt").write_text(synsets)
    (root / "info" / "glosses.txt").write_text(synsets)


def write_folders(root, rows):
    """Plain folders, whose lists name the same pictures again and again."""
    write_info(root)
    for name, data in zip(names(), pictures(), strict=True):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    known = names()
    with (root / "info" / "train_filelist_google.txt").open("w") as file:
        for first in range(0, rows, PART):
            numbers = range(first, min(first + PART, rows))
            file.write("".join(f"{known[k % PICTURES]} {k % CLASSES}\n" for k in numbers))


def write_archive(root, rows):
    """An index whose rows lie in one archive, again and again."""
    write_info(root)
    write_index(root / FOLDER, rows)
    offsets, sizes = [], []
    with tarfile.open(root / "all.tar", "w") as archive:
        for name, data in zip(names(), pictures(), strict=True):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            offsets.append(archive.offset + tarfile.BLOCKSIZE)
            sizes.append(len(data))
            archive.addfile(member, io.BytesIO(data))
    columns = {"offset": (offsets, np.int64), "length": (sizes, np.int32)}
    columns |= {"shard": ([0], np.int16), "source": ([0], np.int8)}
    for name, (values, kind) in columns.items():
        column = np.resize(np.array(values, kind), rows)
        np.save(root / FOLDER / COLUMN_FOLDER / "train" / f"{name}.npy", column)
    status = (root / "all.tar").stat()
    marker = root / FOLDER / MARKER
    about = json.loads(marker.read_text())
    about["tars"] = [("all.tar", status.st_size, status.st_mtime_ns)]
    about["files"] = {}  # columns were exchanged
    marker.write_text(json.dumps(about))


def measure(root, workers):
    """Private bytes before anything is read, with the table, and with the loader at work."""
    torch.set_num_threads(1)
    before = private_bytes()
    options = {"source": "google"}
    spec = RunSpec(plugin="any", data=DataSpec(name="webvision2", path=str(root), options=options))
    samples = WebVision2().load_samples(spec, "train")
    loader = Pictures(samples, print)
    columns = Collator(samples)
    table = private_bytes()
    draw = Uniform().prepare(samples, BATCH, seed=0)
    draw(0)
    order = private_bytes()

    def load(step):
        crops = Crops(CROP, 0.08)
        loaded = loader.training_batch(draw(step), slice(None), crops, (0, step))
        return columns.collate(loaded, step)

    most = 0
    for _ in prefetch((partial(load, step) for step in range(STEPS)), workers):
        time.sleep(PAUSE)  # all that may be made ahead is there
        most = max(most, private_bytes())
    return {
        "rows": len(samples),
        "workers": workers,
        "table_bytes": table - before,
        "order_bytes": order - table,
        "at_work_bytes": most - order,
    }


def measured_apart(root, workers):
    command = [sys.executable, __file__, "--measure", str(root), "--workers", str(workers)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure_all(folder, sizes, rounds):
    results = []
    for kind, write in (("folders", write_folders), ("indexed archive", write_archive)):
        for rows in sizes:
            root = Path(folder) / f"{kind} {rows}"
            write(root, rows)
            measured_apart(root, 1)  # fills the page cache
            runs = {w: [measured_apart(root, w) for _ in range(rounds)] for w in WORKERS}
            work = {w: np.median([run["at_work_bytes"] for run in runs[w]]) for w in WORKERS}
            few, many = WORKERS
            results.append(
                {
                    "pictures": kind,
                    "rows": rows,
                    "table_bytes": float(np.median([r["table_bytes"] for r in runs[few]])),
                    "order_bytes": float(np.median([r["order_bytes"] for r in runs[few]])),
                    "at_work_bytes": {str(w): float(work[w]) for w in WORKERS},
                    "per_worker_bytes": float((work[many] - work[few]) / (many - few)),
                    "runs": [run for w in WORKERS for run in runs[w]],
                }
            )
    return results


def show(results):
    few, many = map(str, WORKERS)
    rows = [
        [
            found["pictures"],
            f"{found['rows']:,}",
            *(f"{found[name] / MB:.0f}" for name in ("table_bytes", "order_bytes")),
            *(f"{found['at_work_bytes'][w] / MB:.0f}" for w in (few, many)),
            f"{found['per_worker_bytes'] / MB:.1f}",
        ]
        for found in results
    ]
    head = ["pictures in", "rows", "table", "order", f"{few} at work", f"{many} at work"]
    print("private MB of a process; medians")
    print(tabulate(rows, headers=[*head, "per worker"], stralign="right", disable_numparse=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=16_000_000)
    parser.add_argument("--few", type=int, default=160_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="folder of the temporary tables")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.workers)))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        results = measure_all(folder, (options.few, options.rows), options.rounds)
    show(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
