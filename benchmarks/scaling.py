"""How the cost of each pass grows with the number of samples: exponents fitted to four sizes.

The seconds are those of the processor, of all threads, so that a busy machine changes them little;
each is the smallest of some rounds, over which the sizes alternate. The exponent is the slope of a
straight line through the logarithms: 1 is a cost in proportion to n, 2 one to its square. The start
of a pass that does not depend on n pulls it down.

    python benchmarks/scaling.py --json scaling.json
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
from pathlib import Path

from harness.machine.garbage import collect_seldom
from harness.machine.launch import keep_freed_memory, share_cores

share_cores()  # before torch is imported, as in a run
keep_freed_memory()
collect_seldom()

import numpy as np  # noqa: E402
import timm  # noqa: E402
import torch  # noqa: E402
from clustering import features  # noqa: E402
from decoding import draw_pictures, samples_of  # noqa: E402
from rows import write_index  # noqa: E402
from tabulate import tabulate  # noqa: E402
from tar_reads import make_data  # noqa: E402
from text_matching import crawled  # noqa: E402

from harness.data.pictures.loader import Crops, Pictures  # noqa: E402
from harness.data.webvision.index.build import build_index  # noqa: E402
from harness.data.webvision.index.open import open_index  # noqa: E402
from harness.language.lexical import encode_words  # noqa: E402
from harness.testing.predict import extract_features  # noqa: E402
from harness.training.ranks import join_ranks  # noqa: E402
from harness.tricks.noise.clustering.clusters import fit_kmeans  # noqa: E402
from harness.tricks.noise.density import density  # noqa: E402
from harness.values import View  # noqa: E402

WIDTH, CLUSTERS = 512, 3
SMALL, PICTURES, ROWS = (2_000, 4_000, 8_000, 16_000), (32, 64, 128, 256), (1, 2, 4, 8)


def computed():
    """Return the processor seconds of this process and of those it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def decode(folder, count):
    draw_pictures(folder, count)
    pictures = Pictures(samples_of(folder), print)
    return lambda: pictures.training_batch(np.arange(count), slice(None), Crops(224, 0.08), (0, 0))


def feature_pass(folder, count):
    draw_pictures(folder, count)
    pictures, ranks = Pictures(samples_of(folder), print), join_ranks()
    module = timm.create_model("resnet18", num_classes=10)
    module = module.to(ranks.device, memory_format=torch.channels_last)
    view = View(short_side=128, size=112)
    return lambda: list(extract_features(module, pictures, view, ranks, 1))


def density_clustering(_, count):
    x = features(count, WIDTH)
    return lambda: density(x)


def kmeans(_, count):
    x = features(count, WIDTH)
    return lambda: fit_kmeans(x, count=CLUSTERS, seed=0)


def encode_texts(folder, count):
    samples, _ = crawled("large", 0, folder)
    texts = [" ".join((text.title, text.description)) for text in samples.texts()[:count]]
    return lambda: encode_words(texts)


def index_archives(folder, count):
    make_data(folder, count)
    return lambda: build_index(folder)


def open_table(folder, count):
    write_index(folder, count)

    def use():
        split = open_index(folder, "train")
        return np.bincount(split.label)

    return use


MILLION = 1_000_000
PASSES = {
    "decode and crop, 224 px": (decode, PICTURES),
    "features, resnet18, 112 px": (feature_pass, PICTURES),
    f"density of one class, {WIDTH} features": (density_clustering, SMALL),
    f"K-means of one class, {WIDTH} features": (kmeans, SMALL),
    "texts, TF-IDF": (encode_texts, SMALL),
    "index archives": (index_archives, SMALL),
    "open an index, count its classes": (open_table, [MILLION * one for one in ROWS]),
}


def measure(make, sizes, rounds):
    """Return the smallest seconds of each size."""
    with tempfile.TemporaryDirectory() as name:
        calls = []
        for size in sizes:
            folder = Path(name, str(size))
            folder.mkdir()
            calls.append(make(folder, size))
        calls[0]()  # loads what is loaded once
        least = [float("inf")] * len(sizes)
        for _ in range(rounds):
            for place, call in enumerate(calls):
                began = computed()
                call()
                least[place] = min(least[place], computed() - began)
    return least


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--passes", nargs="*", default=list(PASSES), help="Beginnings of names.")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    load, rows = os.getloadavg()[0], []
    for name, (make, sizes) in PASSES.items():
        if not name.startswith(tuple(asked.passes)):
            continue
        seconds = measure(make, sizes, asked.rounds)
        slope, _ = np.polyfit(np.log(sizes), np.log(np.maximum(seconds, 1e-6)), 1)
        told = ", ".join(f"{one:.3g}" for one in seconds)
        rows.append({"pass": name, "sizes": f"{sizes[0]:,} to {sizes[-1]:,}",
                     "s of processor": told, "exponent": float(slope),
                     "per second, largest": sizes[-1] / seconds[-1]})  # fmt: skip
    print(f"{torch.get_num_threads()} threads of torch, load before {load:.1f}")
    print(tabulate(rows, "keys", floatfmt=("", "", "", ".2f", ",.0f")))
    if asked.json:
        asked.json.write_text(json.dumps({"load": load, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
