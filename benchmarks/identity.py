"""Cost of identifying data by its images: the pass over sizes, a later opening, every read.

Files of one byte are read from a warm cache; times are processor times. The table of many rows has
names without files, since millions of files take an hour to write. Its first opening looks for each
missing file, which takes longer than for an existing one; its second opening does the same work as
with files.

    python benchmarks/identity.py --files 200000 --rows 16000000 --output identity.json
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from tabulate import tabulate

from harness.data.pictures.decode import decode
from harness.data.pictures.digests import digest_of
from harness.data.pictures.inventory import SeenStore, look_at, with_pictures
from harness.data.pictures.names import Names
from harness.data.pictures.store import FolderStore, TarColumns, Tars, TarStore
from harness.data.pictures.strings import Strings
from harness.samples import Samples, WebClass

PER_FOLDER, SHARDS, PICTURES = 1_000, 33, 200
NAME = b"google_images_resized/q00000/0000000000.jpg"
PART = 1_000_000
KILOBYTE = 1 if sys.platform == "darwin" else 1_024
MEASURES = ("files", "rows", "index", "reads")


def names_of(rows):
    """Names as WebVision 2.0 has them, ``PER_FOLDER`` in a folder, packed a part at a time."""
    packed = np.empty((rows, len(NAME)), np.uint8)
    for first in range(0, rows, PART):
        numbers = np.arange(first, min(first + PART, rows))
        part = packed[first : first + PART]
        part[:] = np.frombuffer(NAME, np.uint8)
        for place in range(10):
            part[:, -5 - place] = ord("0") + numbers // 10**place % 10
        for place in range(5):
            part[:, 27 - place] = ord("0") + numbers // PER_FOLDER // 10**place % 10
    return Strings.from_lengths(packed.reshape(-1), np.full(rows, len(NAME), np.int32))


def samples_of(root, packed, **columns):
    rows = len(packed)
    return Samples(
        split="train",
        root=root,
        files=Names(packed),
        label=np.zeros(rows, np.int32),
        source=np.zeros(rows, np.int8),
        query=np.zeros(rows, np.int32),
        rank=np.zeros(rows, np.int32),
        weight=np.ones(rows, np.float32),
        subset=np.zeros(rows, np.int8),
        classes=(WebClass("n01440764", "tench"),),
        fingerprint="f",
        **columns,
    )


def seconds(call):
    began = time.process_time()
    call()
    return time.process_time() - began


def memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KILOBYTE


def measure_files(count, folder):
    root = Path(folder) / "data"
    packed = names_of(count)
    for row in range(count):
        path = root / packed[row].decode()
        if row % PER_FOLDER == 0:
            path.parent.mkdir(parents=True)
        path.write_bytes(b"p")
    store = FolderStore(root, packed)
    taken = seconds(lambda: look_at(store))
    return {"files": count, "pass_seconds": taken, "files_per_second": count / taken}


def measure_rows(count, folder):
    """Open a table of folders twice."""
    samples = samples_of(Path(folder) / "nowhere", names_of(count))
    before = memory()
    home = Path(folder) / "home"
    first = seconds(lambda: with_pictures(samples, home))
    after_first = memory()
    second = seconds(lambda: with_pictures(samples, home))
    return {
        "rows": count,
        "first_opening_seconds": first,
        "first_opening_added_bytes": after_first - before,
        "second_opening_seconds": second,
        "kept_bytes": sum(path.stat().st_size for path in home.rglob("*.npz")),
    }


def measure_index(count, folder):
    """Open a table of archives, whose sizes the index has."""
    random = np.random.default_rng(0)
    shard = random.integers(0, SHARDS, count).astype(np.int16)
    length = random.integers(1, 30_000, count).astype(np.int32)
    packed = names_of(count)
    columns = TarColumns(shard, np.zeros(count, np.int64), length)
    samples = samples_of(Path(folder), packed, store=TarStore(Tars(()), columns, packed))
    before = memory()
    taken = seconds(lambda: with_pictures(samples, Path(folder) / "home"))
    return {"rows": count, "opening_seconds": taken, "added_bytes": memory() - before}


def measure_reads(_, folder):
    """Read and decode images of 256 pixels, unchecked, checked by size and by digest."""
    random = np.random.default_rng(0)
    data, names = [], [f"{k}.jpg" for k in range(PICTURES)]
    for name in names:
        coarse = Image.fromarray(random.integers(0, 255, (32, 43, 3), np.uint8))
        file = BytesIO()
        coarse.resize((341, 256), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
        data.append(file.getvalue())
        (Path(folder) / name).write_bytes(data[-1])
    store = FolderStore(Path(folder), names)
    digests = np.frombuffer(b"".join(map(digest_of, data)), np.uint8).reshape(-1, 16)
    sizes = look_at(store).size
    checked = {
        "read": store,
        "read_checking_sizes": SeenStore(store, Path(folder), sizes),
        "read_checking_digests": SeenStore(store, Path(folder), sizes, digests),
    }
    calls = {
        name: lambda one=one: [*map(one.read, range(PICTURES))] for name, one in checked.items()
    }
    calls["decode"] = lambda: [*map(decode, data)]
    best = {name: min(seconds(call) for _ in range(9)) for name, call in calls.items()}
    per_picture = {f"{name}_microseconds": 1e6 * best[name] / PICTURES for name in best}
    return {"bytes_per_picture": sum(map(len, data)) / PICTURES, **per_picture}


def show(result):
    files, rows, index, reads = (result[name] for name in MEASURES)
    read, sizes, digests, decoding = (
        reads[f"{name}_microseconds"]
        for name in ("read", "read_checking_sizes", "read_checking_digests", "decode")
    )
    table = [
        [f"pass over {files['files']:,} files", f"{files['pass_seconds']:.2f} s"],
        ["files per second", f"{files['files_per_second']:,.0f}"],
        ["so 4,500 files", f"{4.5e6 / files['files_per_second']:.0f} ms"],
        ["and 16 million files, once", f"{16e6 / files['files_per_second']:.0f} s"],
        [
            f"first opening of {rows['rows']:,} rows of folders",
            f"{rows['first_opening_seconds']:.1f} s",
        ],
        ["memory added by it", f"{rows['first_opening_added_bytes'] / 1e6:.0f} MB"],
        ["second opening", f"{rows['second_opening_seconds']:.2f} s"],
        ["stored on disk", f"{rows['kept_bytes'] / 1e6:.0f} MB"],
        [f"sizes of {index['rows']:,} rows of an index", f"{index['opening_seconds']:.3f} s"],
        ["memory added by them", f"{index['added_bytes'] / 1e6:.0f} MB"],
        [f"read a picture of {reads['bytes_per_picture'] / 1e3:.0f} kB", f"{read:.1f} us"],
        ["the same, size checked", f"{sizes:.1f} us"],
        ["the same, digest checked", f"{digests:.1f} us"],
        ["decode it", f"{decoding:.0f} us"],
        ["digest over read and decode", f"{100 * (digests - sizes) / (read + decoding):.1f} %"],
    ]
    print(tabulate(table, headers=["", "measured"], disable_numparse=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--rows", type=int, default=16_000_000)
    parser.add_argument("--folder", type=Path, help="folder of the temporary files")
    parser.add_argument("--output", type=Path, help="write the figures to this file, too")
    parser.add_argument("--measure", choices=MEASURES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    counts = {"files": options.files, "rows": options.rows, "index": options.rows, "reads": 0}
    if options.measure:
        measure = globals()[f"measure_{options.measure}"]
        print(json.dumps(measure(counts[options.measure], options.folder)))
        return
    result = {}
    for name in MEASURES:  # each in a separate process, for its memory
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            command = [sys.executable, __file__, "--measure", name, "--folder", folder]
            command += ["--files", str(options.files), "--rows", str(options.rows)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        result[name] = json.loads(done.stdout)
    show(result)
    if options.output:
        options.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
