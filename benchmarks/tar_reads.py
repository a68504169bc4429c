"""Images in an indexed tar against plain files, and indexing against ``tarfile``.

Random reads of every record, all in the page cache. The ways alternate every few thousand reads, so
that they see the same load. Each has a different order, so that none profits from what another has
left in the processor's cache. Times are processor times, since no read waits for a disk; ratios are
medians over the turns.

    python benchmarks/tar_reads.py --records 200000 --rounds 5 --json tar_reads.json
"""

from __future__ import annotations

import argparse
import io
import json
import tarfile
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from tabulate import tabulate

from harness.data.pictures.store import FolderStore
from harness.data.tar.headers import TarWalk
from harness.data.webvision.index.build import build_index
from harness.data.webvision.index.open import open_index

PER_FOLDER = 1_000
LEAST, MOST = 6_000, 14_000  # bytes of a record, as of 256-pixel JPEGs
TURN = 10_000  # reads
FEW = 20_000  # members of the archive with a pax header each


def make_data(root, records):
    """The same records as plain files and in one archive, with the lists of WebVision 1.0."""
    random = np.random.default_rng(0)
    noise = random.bytes(1 << 20)
    names = [f"google/q{k // PER_FOLDER + 1:04d}/{k:012d}.jpg" for k in range(records)]
    sizes = random.integers(LEAST, MOST, records).tolist()
    starts = random.integers(0, len(noise) - MOST, records).tolist()
    (root / "info").mkdir(parents=True)
    (root / "info" / "synsets.txt").write_text("n01440764 tench\n")
    lines = "".join(f"{name} 0\n" for name in names)
    (root / "info" / "train_filelist_google.txt").write_text(lines)
    with tarfile.open(root / "google.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        for number, (name, size, start) in enumerate(zip(names, sizes, starts, strict=True)):
            data = b"\xff\xd8\xff" + noise[start : start + size]
            if number % PER_FOLDER == 0:
                (root / name).parent.mkdir(parents=True)
            (root / name).write_bytes(data)
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
            archive.members.clear()
    return names


def make_pax(path):
    """Give every member a pax header, as ``tar --format=posix`` writes them."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for number in range(FEW):
            member = tarfile.TarInfo(f"google/q0001/{number:012d}.jpg")
            member.mtime, member.size = 0.5, LEAST
            archive.addfile(member, io.BytesIO(bytes(LEAST)))
            archive.members.clear()


def seconds(work):
    began = time.process_time()
    work()
    return time.process_time() - began


def take_turns(ways, rounds):
    """Seconds of each way, per round; the first round warms up and does not count."""
    times = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, work in ways.items():
            spent = seconds(work)
            if number:
                times[name].append(spent)
    return times


def read_all(read, order):
    for row in order:
        read(row)


def measure_reads(root, names, rounds):
    index_seconds = seconds(lambda: build_index(root, texts=False))
    opened = []
    open_seconds = seconds(lambda: opened.append(open_index(root, "train")))
    paths = [str(root / name) for name in names]

    def read_file(row):
        with open(paths[row], "rb") as file:  # noqa: PTH123 - the fastest plain way
            return file.read()

    folder = FolderStore(root, names)
    store = opened[0].store
    if not all(store.read(row) == read_file(row) == folder.read(row) for row in range(1_000)):
        raise SystemExit("the ways do not read the same bytes")
    readers = {"plain files": read_file, "FolderStore": folder.read, "indexed tar": store.read}
    random = np.random.default_rng(1)
    orders = {name: random.permutation(len(names)).tolist() for name in readers}
    times = {name: [] for name in readers}
    for number in range(rounds + 1):  # the first one warms up
        for first in range(0, len(names), TURN):
            for name, read in readers.items():
                turn = orders[name][first : first + TURN]
                spent = seconds(partial(read_all, read, turn))
                if number:
                    times[name].append(spent / len(turn))
    return {
        "index_seconds": index_seconds,
        "open_seconds": open_seconds,
        "reads_per_second": {name: 1 / median(spent) for name, spent in times.items()},
        "ratio": ratio(times, "plain files", "indexed tar"),
        "times": times,
    }


def measure_walk(path, rounds):
    counts = {}

    def with_tarfile():
        with tarfile.open(path) as archive:
            counts["tarfile"] = sum(1 for _ in archive)

    def with_walk():
        counts["TarWalk"] = sum(1 for _ in TarWalk(path))

    times = take_turns({"tarfile": with_tarfile, "TarWalk": with_walk}, rounds)
    if counts["tarfile"] != counts["TarWalk"]:
        raise SystemExit(f"the ways do not find the same members: {counts}")
    return {
        "members_per_second": {name: counts[name] / median(spent) for name, spent in times.items()},
        "ratio": ratio(times, "tarfile", "TarWalk"),
        "times": times,
    }


def ratio(times, slow, fast):
    return median(a / b for a, b in zip(times[slow], times[fast], strict=True))


def show(result):
    reads = result["reads"]["reads_per_second"]
    rows = [[name, f"{speed:,.0f}"] for name, speed in reads.items()]
    print(f"{result['records']:,} records of {LEAST:,} to {MOST:,} bytes, warm")
    print(tabulate(rows, headers=["", "random reads/s"], disable_numparse=True, stralign="right"))
    print(f"indexed tar / plain files: {result['reads']['ratio']:.2f}\n")
    for name in ("usual headers", "pax headers"):
        speeds = result[name]["members_per_second"]
        rows = [[way, f"{speed:,.0f}"] for way, speed in speeds.items()]
        print(tabulate(rows, headers=[name, "members/s"], disable_numparse=True, stralign="right"))
        print(f"TarWalk / tarfile: {result[name]['ratio']:.2f}\n")
    reads = result["reads"]
    print(
        f"harness data index: {reads['index_seconds']:.2f} s; opening it: "
        f"{reads['open_seconds'] * 1e3:.1f} ms"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="folder of the temporary data")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        root = Path(folder) / "webvision"
        names = make_data(root, options.records)
        make_pax(Path(folder) / "pax.tar")
        result = {
            "records": options.records,
            "reads": measure_reads(root, names, options.rounds),
            "usual headers": measure_walk(root / "google.tar", options.rounds),
            "pax headers": measure_walk(Path(folder) / "pax.tar", options.rounds),
        }
    show(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
