"""How often a board tells equal methods apart, by the number of rows, seeds and their deviation.

In every board, equal methods are scored on the same images: whether an answer is correct is drawn
from a probit model of how hard the image is for all methods (half of the variance) and for each
one, of the method's seed, and of noise. Any pair that is told apart is an error, and any row that
is found better or worse than the first, the baseline; 5 % of the boards may have one of each.

    python benchmarks/board_errors.py --boards 400
"""

from __future__ import annotations

import argparse
import itertools
import math

import numpy as np
from scipy.special import ndtri
from tabulate import tabulate

from harness.statistics.intervals import paired_difference
from harness.statistics.many import p_values_of_pairs
from harness.statistics.verdicts import holm
from harness_leaderboard.separation import LEVEL

ACCURACY, SHARED = 0.55, 0.5


def board(random, *, methods, seeds, images, seed_sd):
    """Return the answers of equal methods, (M, S, N); ``seed_sd`` in shares, to first order."""
    level = ndtri(ACCURACY) * math.sqrt(2)
    spread = seed_sd * math.sqrt(4 * math.pi) * math.exp(level**2 / 4)
    latent = level + math.sqrt(SHARED) * random.standard_normal(images)
    latent = latent + math.sqrt(1 - SHARED) * random.standard_normal((methods, 1, images))
    latent = latent + spread * random.standard_normal((methods, seeds, 1))
    return latent + random.standard_normal((methods, seeds, images)) > 0


def errors(count, **shape):
    """Return the shares of boards with an error.

    Of all pairs by the interval's p-value and by the board's; of those with the baseline.
    """
    random = np.random.default_rng([*map(round, shape.values())])
    found = np.zeros(3)
    for _ in range(count):
        answers = board(random, **shape)
        plain = [paired_difference(*pair).p_value() for pair in itertools.combinations(answers, 2)]
        strict = p_values_of_pairs(answers)
        upper = strict[np.triu_indices_from(strict, 1)]
        found += [(holm(values) < LEVEL).any() for values in (plain, upper, strict[0, 1:])]
    return found / count


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boards", type=int, default=400, help="of each setting")
    parser.add_argument("--images", type=int, default=1_000, help="test images")
    options = parser.parse_args()
    rows = []
    for seeds, methods, seed_sd in itertools.product((3, 5, 10), (5, 10), (0.005, 0.015, 0.03)):
        shape = {"methods": methods, "seeds": seeds, "images": options.images, "seed_sd": seed_sd}
        found = 100 * errors(options.boards, **shape)
        rows.append((seeds, methods, 100 * seed_sd, *found))
    head = ("seeds", "rows", "seed sd, points", "interval's p, %", "board's p, %", "baseline's, %")
    print(f"boards of equal methods with a pair told apart, {options.boards} each")
    print(tabulate(rows, head, floatfmt=".1f"))


if __name__ == "__main__":
    main()
