"""Text matching of a whole split of synthweb: its time and its accuracy.

The texts are those of the data set, without drawing images. Each method is a separate process, and
its time includes loading libraries and weights. MiniLM starts with an empty cache and then runs
again. The area under the ROC says how well the weight separates entries whose image shows their
class from all others: 0.5 is chance.

    python benchmarks/text_matching.py --preset large --json text_matching.json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from tabulate import tabulate

from harness.data.synthweb import PRESETS
from harness.data.synthweb.plan import SOURCES, plan_crawl
from harness.data.synthweb.text import write_about
from harness.data.webvision.lists.texts import text_of
from harness.language.encoders import TextEncoders
from harness.samples import Samples, WebClass
from harness.spec import RunSpec
from harness.tricks.noise.keyword_match import KeywordMatch
from harness.tricks.noise.semantic_match import SemanticMatch

METHODS = {
    "minilm, empty cache": SemanticMatch(encoder="minilm"),
    "minilm, again": SemanticMatch(encoder="minilm"),
    "lexical": SemanticMatch(encoder="lexical"),
    "keywords": KeywordMatch(),
}


def crawled(preset, seed, home):
    """The training samples with their texts, and which of them are clean and why not."""
    crawl = plan_crawl(PRESETS[preset], seed)
    entries = crawl.train
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, 4))))
    texts = [
        text_of(write_about(entry, crawl.classes, crawl.queries[entry.query], random))
        for entry in entries
    ]
    words = {n: query.words.replace("+", " ") for n, query in enumerate(crawl.queries, start=1)}
    encoders, spec = TextEncoders(), RunSpec(plugin="baseline", home=home)
    samples = Samples(
        split="train",
        root=Path(),
        files=np.array([entry.file for entry in entries]),
        label=np.array([entry.label for entry in entries], np.int32),
        source=np.array([SOURCES.index(entry.source) for entry in entries], np.int8),
        query=np.array([entry.query + 1 for entry in entries], np.int32),
        rank=np.zeros(len(entries), np.int32),
        weight=np.ones(len(entries), np.float32),
        subset=np.zeros(len(entries), np.int8),
        classes=tuple(WebClass(c.wnid, c.lemmas, c.gloss) for c in crawl.classes),
        read_texts=lambda: texts,
        read_queries=lambda: dict.fromkeys(SOURCES, words),
        encode_texts=partial(encoders.encode_texts, spec),
    )
    return samples, np.array([entry.kind for entry in entries])


def measure(method, preset, seed, home):
    """Measure in a separate process."""
    samples, kind = crawled(preset, seed, Path(home))
    start, worked = time.perf_counter(), time.process_time()
    weighed = METHODS[method](samples)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - worked
    from sklearn.metrics import roc_auc_score

    auc = {"all": float(roc_auc_score(kind == "clean", weighed.weight))}
    for other in ("confused", "outside", "second_sense"):
        rows = (kind == "clean") | (kind == other)
        auc[other] = float(roc_auc_score(kind[rows] == "clean", weighed.weight[rows]))
    times = {"seconds": seconds, "cpu_seconds": cpu_seconds}
    print(json.dumps({**times, "images": len(samples), "auc": auc}))


def in_a_process(method, preset, seed, home):
    command = [sys.executable, __file__, "--preset", preset, "--seed", str(seed)]
    answer = subprocess.run(
        [*command, "--measure", method, home], check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(answer.stdout.splitlines()[-1])


def show(result):
    rows = [
        [method, run["seconds"], run["cpu_seconds"], *run["auc"].values()]
        for method, run in result["runs"].items()
    ]
    images = next(iter(result["runs"].values()))["images"]
    load = result["load"]
    print(
        f"synthweb {result['preset']}, {images:,} images, {result['threads']} threads, "
        f"load before {load:.1f}: on a busy machine, compare the processor times"
    )
    headers = ["", "s", "s of one core", "AUC all", "confused", "outside", "second sense"]
    print(tabulate(rows, headers=headers, floatfmt=("", ".1f", ".1f", ".3f", ".3f", ".3f", ".3f")))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="large", choices=PRESETS)
    parser.add_argument("--seed", type=int, default=0, help="of the data")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure[0], options.preset, options.seed, options.measure[1])
        return
    result = {"preset": options.preset, "seed": options.seed}
    result["threads"] = int(os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0))))
    result["load"] = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as home:
        result["runs"] = {
            method: in_a_process(method, options.preset, options.seed, home) for method in METHODS
        }
    show(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
