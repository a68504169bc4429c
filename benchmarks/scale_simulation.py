"""Loader and all-reduce as ranks grow: how much of its own speed each GPU keeps. A simulation.

Each rank has a loader, whose batches take a random time and wait in a queue of fixed length, and a
network. A step begins when the rank's batch is ready and the step before has ended everywhere. Its
gradients go round a ring: 2 (G - 1) / G of their bytes pass over the slowest link, in 2 (G - 1)
messages; what does not fit behind the backward pass is waited for, and every step ends with its
slowest rank. Nothing here is measured: the speeds of a device, of decoding, of disks and of links
are options.

Per step, with B pictures a rank, s and d pictures a second of network and loader, p bytes of
gradients: compute B / s; loader B / d; ring 2 (G - 1) / G p / bandwidth + 2 (G - 1) latency.

    python benchmarks/scale_simulation.py --images-per-second 2500 --decode 300 --json scale.json
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tabulate import tabulate

BACKWARD = 2 / 3  # of a step's compute: gradients may travel meanwhile
PICTURES = 16_076_665  # of WebVision 2.0's training list


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What a rank has; speeds in pictures or bytes a second."""

    images_per_second: float
    decode: float  # of one core
    cores: int  # of each rank's loader
    batch: int
    gradient_bytes: float
    picture_bytes: float
    storage: float  # shared by all ranks, bytes a second
    link: float  # bytes a second of a rank inside a machine
    network: float  # bytes a second of a rank between machines
    per_machine: int
    latency: float  # seconds a message
    spread: float  # standard deviation of a step's and a batch's time, as a share of it
    queue: int


def loader_speed(cluster, ranks):
    """Return the pictures a second of one rank's loader: its cores, or its share of the disks."""
    disks = cluster.storage / ranks / cluster.picture_bytes
    return min(cluster.cores * cluster.decode, disks)


def ring_seconds(cluster, ranks):
    """Return the seconds of an all-reduce over a ring."""
    slowest = cluster.link if ranks <= cluster.per_machine else min(cluster.link, cluster.network)
    passed = 2 * (ranks - 1) / ranks * cluster.gradient_bytes
    return passed / slowest + 2 * (ranks - 1) * cluster.latency


def simulate(cluster, ranks, steps=400, seed=0):
    """Return the pictures a second of all ranks, and the shares of time that they waited."""
    random = np.random.default_rng(seed)
    shape = math.sqrt(math.log(1 + cluster.spread**2))  # of a lognormal with mean 1

    def times(mean):
        return mean * random.lognormal(-(shape**2) / 2, shape, (steps, ranks))

    load = times(cluster.batch / loader_speed(cluster, ranks))
    compute = times(cluster.batch / cluster.images_per_second)
    exposed = np.maximum(0, ring_seconds(cluster, ranks) - BACKWARD * compute)
    taken = np.zeros((steps, ranks))  # when the network took a batch: its place is free
    free, end = np.zeros(ranks), 0.0
    waited_data = waited_ranks = waited_ring = 0.0
    for step in range(steps):
        if step >= cluster.queue:
            free = np.maximum(free, taken[step - cluster.queue])
        free = free + load[step]  # the loader makes one batch after another
        taken[step] = np.maximum(free, end)
        done = taken[step] + compute[step]
        late = float(taken[step].max()) - end  # the last rank to have its batch stops all
        waited_data += late
        waited_ranks += float(done.max() - end - compute[step].mean()) - late
        waited_ring += float(exposed[step].max())
        end = done.max() + float(exposed[step].max())
    return {
        "ranks": ranks,
        "images/s": ranks * steps * cluster.batch / end,
        "efficiency": steps * cluster.batch / end / cluster.images_per_second,
        "waits for data": waited_data / end,
        "for slower ranks": waited_ranks / end,
        "for the ring": waited_ring / end,
        "ring, ms": 1e3 * ring_seconds(cluster, ranks),
        "epoch, min": PICTURES / (ranks * steps * cluster.batch / end) / 60,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--ranks", type=int, nargs="*", default=[1, 8, 64])
    add("--images-per-second", type=float, default=2_500, help="of one device's network")
    add("--decode", type=float, default=500, help="pictures a second of one core")
    add("--cores", type=int, default=16, help="of each rank's loader")
    add("--batch", type=int, default=256, help="pictures of each rank")
    add("--parameters", type=float, default=25.6e6, help="gradients of 4 bytes each")
    add("--picture-bytes", type=float, default=16e3)
    add("--storage", type=float, default=5e9, help="bytes a second of the disks for all ranks")
    add("--link", type=float, default=150e9, help="bytes a second of a rank within a machine")
    add("--network", type=float, default=12.5e9, help="bytes a second of a rank between machines")
    add("--per-machine", type=int, default=8, help="ranks of a machine")
    add("--latency", type=float, default=10e-6, help="seconds a message")
    add("--spread", type=float, default=0.02, help="of times, as a share of them")
    add("--queue", type=int, default=8, help="batches that a loader holds ready")
    add("--json", type=Path)
    asked = parser.parse_args()
    cluster = Cluster(
        gradient_bytes=4 * asked.parameters,
        **{name: getattr(asked, name) for name in Cluster.__annotations__ if name in vars(asked)},
    )
    rows = [simulate(cluster, ranks) for ranks in asked.ranks]
    print(tabulate(rows, "keys", floatfmt=("", ",.0f", ".3f", ".3f", ".3f", ".3f", ".2f", ".1f")))
    if asked.json:
        asked.json.write_text(json.dumps({"cluster": asdict(cluster), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
