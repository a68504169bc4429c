"""A table of 16 million rows: how long it takes to open, and to draw the order of an epoch.

The table is an index as ``harness data index`` writes it, opened in a separate process. "Private"
memory is what a second process would need again; the rest is shared through the page cache.

    python benchmarks/rows.py --rows 16000000 --json rows.json
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from tabulate import tabulate

from harness.data.webvision.index.open import COLUMNS, FORMAT, MARKER, Members, open_index
from harness.samplers import Uniform, generator

CLASSES, QUERIES, SHARDS, BATCH = 5_000, 12_597, 33, 1_024
COLUMN_FOLDER = "columns-000000000000"
NAME = b"google_images_resized/q00000/0000000000.jpg"
PART = 1_000_000
KILOBYTE = 1 if sys.platform == "darwin" else 1_024


def write_index(index, rows):
    """Columns of the right kinds and sizes; the archives that they point into are not there."""
    folder = index / COLUMN_FOLDER / "train"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    highest = {"label": CLASSES, "query": QUERIES, "rank": 2_000, "shard": SHARDS, "source": 2}
    highest |= {"offset": 1 << 34, "length": 30_000}
    for name, kind in COLUMNS.items():
        if name == "name_start":
            column = np.arange(rows) * len(NAME)
        elif name == "name_length":
            column = np.full(rows, len(NAME))
        else:
            column = random.integers(0, highest[name], rows)
        np.save(folder / f"{name}.npy", column.astype(kind))
    with (folder / "names.bin").open("wb") as file:
        for first in range(0, rows, PART):
            numbers = np.arange(first, min(first + PART, rows))
            names = np.tile(np.frombuffer(NAME, np.uint8), (len(numbers), 1))
            for place in range(10):
                names[:, -5 - place] = ord("0") + numbers // 10**place % 10
            names.tofile(file)
    about = {
        "format": FORMAT,
        "edition": "webvision2",
        "root": "..",
        "tars": [],
        "lists": {},
        "members": asdict(Members(members=rows)),
        "splits": {"train": {"rows": rows, "source_names": ["google", "flickr"], "texts": []}},
        "columns": COLUMN_FOLDER,
        "files": {},
    }
    (index / MARKER).write_text(json.dumps(about))


def private_bytes():
    """Return the private memory of this process, or nothing if the system does not report it."""
    try:
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    return sum(int(line.split()[1]) * 1_024 for line in lines if line.startswith("Private_Dirty"))


def measure(index):
    """Open the table and use every column once; then draw the order of an epoch."""
    began = time.perf_counter()
    split = open_index(index, "train")
    opened = time.perf_counter()
    per_class = np.bincount(split.label, minlength=CLASSES)
    per_source = np.bincount(split.source)
    samples = SimpleNamespace(subset=np.zeros(len(split), np.int8), label=split.label)
    name = split.store.name(len(split) - 1)
    used = time.perf_counter()
    after_open = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KILOBYTE
    private = private_bytes()
    began_order = time.perf_counter()
    draw = Uniform().prepare(samples, BATCH, seed=0)
    first = draw(0)
    drawn = time.perf_counter()
    total = sum(int(draw(step).sum()) for step in range(len(split) // BATCH))
    walked = time.perf_counter()
    if len(first) != BATCH or total <= 0 or per_class.sum() != per_source.sum():
        raise SystemExit("the table is not what was written")
    began_permutation = time.perf_counter()
    generator(0, 0, 0).permutation(len(split))
    return {
        "rows": len(split),
        "last_name": name,
        "open_seconds": opened - began,
        "open_and_use_seconds": used - began,
        "peak_bytes_open": after_open,
        "private_bytes_open": private,
        "first_batch_seconds": drawn - began_order,
        "epoch_seconds": walked - began_order,
        "permutation_seconds": time.perf_counter() - began_permutation,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KILOBYTE,
    }


def show(result):
    private = result["private_bytes_open"]
    rows = [
        ["open the table", f"{result['open_seconds'] * 1e3:.1f} ms", "10 s"],
        ["open, count classes, read a name", f"{result['open_and_use_seconds']:.2f} s", "10 s"],
        ["peak memory, mapped pages included", f"{result['peak_bytes_open'] / 1e9:.2f} GB", "3 GB"],
        ["of it private", "unknown" if private is None else f"{private / 1e9:.3f} GB", ""],
        ["order of an epoch: first batch", f"{result['first_batch_seconds']:.2f} s", "5 s"],
        [f"order of an epoch: all batches of {BATCH:,}", f"{result['epoch_seconds']:.2f} s", "5 s"],
        ["a bare permutation", f"{result['permutation_seconds']:.2f} s", ""],
        ["peak memory with the order", f"{result['peak_bytes'] / 1e9:.2f} GB", "3 GB"],
    ]
    print(f"{result['rows']:,} rows")
    print(tabulate(rows, headers=["", "measured", "goal"], disable_numparse=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=16_000_000)
    parser.add_argument("--folder", type=Path, help="folder of the temporary table")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        write_index(Path(folder), options.rows)
        command = [sys.executable, __file__, "--measure", folder]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        result = json.loads(done.stdout)
    show(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
