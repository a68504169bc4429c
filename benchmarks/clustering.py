"""Density clustering of one category: this project's blocks against the full matrix.

Each run is a separate process, so that nothing is warm. The two methods alternate, so that both see
the same load. Memory is the peak above that with the features loaded.

    python benchmarks/clustering.py --n 10000 --d 2048 --pairs 3 --json clustering.json
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from tabulate import tabulate

from harness.tricks.noise.density import density, split_by_density


def full_matrix(features_ND):
    """The straightforward way: all N x N distances, sorted."""
    size = len(features_ND)
    norms = (features_ND * features_ND).sum(axis=1)
    squares = norms[:, None] + norms[None, :] - 2 * (features_ND @ features_ND.T)
    distance = np.sqrt(np.abs(squares))
    np.fill_diagonal(distance, 0)
    d_c = np.sort(distance, axis=None)[int(size * size * 0.6)]
    return (distance < d_c).sum(axis=1) - 1


METHODS = {"blocked": density, "full matrix": full_matrix}


def features(size, width):
    """Like pooled activations of one category: a dense part, two looser ones, none negative."""
    random = np.random.default_rng(0)
    centres = random.standard_normal((3, width), dtype=np.float32)
    part = random.choice(3, size=size, p=[0.5, 0.3, 0.2])
    looseness = np.array([0.5, 0.8, 1.2], np.float32)[part] * random.uniform(0.7, 1.3, size)
    x = random.standard_normal((size, width), dtype=np.float32)
    x *= looseness[:, None].astype(np.float32)
    for start in range(0, size, 1_000):
        rows = slice(start, start + 1_000)
        x[rows] += centres[part[rows]]
    return np.maximum(x, 0, out=x)


def peak_bytes():
    unit = 1 if sys.platform == "darwin" else 1_024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def measure(method, path, out, calls):
    """Measure in a separate process: the first call, and the best of the later ones."""
    x = np.load(path)
    if method == "blocked":
        import torch  # in a run, training has loaded it long before

        torch.nn.functional.linear(torch.ones(9, 9).to_mkldnn(), torch.ones(9, 9))
    METHODS[method](x[:64])
    before, seconds = peak_bytes(), []
    for _ in range(calls):
        start = time.perf_counter()
        rho = METHODS[method](x)
        seconds.append(time.perf_counter() - start)
    np.save(out, rho)
    print(json.dumps({"seconds": seconds, "extra_bytes": peak_bytes() - before}))


def in_a_process(method, path, out, calls):
    command = [sys.executable, __file__, "--measure", method, str(path), str(out)]
    answer = subprocess.run(
        [*command, "--calls", str(calls)], check=True, capture_output=True, text=True
    )
    return json.loads(answer.stdout.splitlines()[-1])


def compare(size, width, pairs, calls):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "features.npy")
        np.save(path, features(size, width))
        runs, rho = {method: [] for method in METHODS}, {}
        for _ in range(pairs):
            for method in METHODS:
                out = Path(folder, f"{method}.npy")
                runs[method].append(in_a_process(method, path, out, calls))
                rho[method] = np.load(out)
    first, later = (
        {m: [pick(run["seconds"]) for run in runs[m]] for m in METHODS}
        for pick in (lambda s: s[0], lambda s: min(s[1:] or s))
    )
    subsets = [split_by_density(rho[method]) for method in METHODS]
    return {
        "n": size,
        "d": width,
        "threads": len(os.sched_getaffinity(0)),
        "runs": runs,
        "seconds_first": {m: median(first[m]) for m in METHODS},
        "seconds_later": {m: median(later[m]) for m in METHODS},
        "ratio_first": median(b / a for a, b in zip(*first.values(), strict=True)),
        "ratio_later": median(b / a for a, b in zip(*later.values(), strict=True)),
        "extra_megabytes": {m: max(r["extra_bytes"] for r in runs[m]) / 1e6 for m in METHODS},
        "counts_that_differ": int(np.count_nonzero(rho["blocked"] != rho["full matrix"])),
        "largest_difference": int(np.abs(rho["blocked"] - rho["full matrix"]).max()),
        "subset_agreement": float(np.mean(subsets[0] == subsets[1])),
    }


def show(result):
    rows = [
        [
            method,
            result["seconds_first"][method],
            result["seconds_later"][method],
            result["extra_megabytes"][method],
        ]
        for method in METHODS
    ]
    rows.append(["ratio", result["ratio_first"], result["ratio_later"], ""])
    print(f"{result['n']:,} x {result['d']:,} float32, {result['threads']} threads")
    headers = ["", "s, first call", "s, best later", "extra MB"]
    print(tabulate(rows, headers=headers, floatfmt=("", ".2f", ".2f", ".0f")))
    print(
        f"subsets agree on {result['subset_agreement']:.2%}; {result['counts_that_differ']} "
        f"densities differ (float32 rounding of the full matrix), by at most "
        f"{result['largest_difference']}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=10_000, help="samples")
    parser.add_argument("--d", type=int, default=2_048, help="features")
    parser.add_argument("--pairs", type=int, default=3, help="processes per method")
    parser.add_argument("--calls", type=int, default=3, help="calls per process")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(*options.measure, options.calls)
        return
    result = compare(options.n, options.d, options.pairs, options.calls)
    show(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
