from __future__ import annotations

import numpy as np

from harness.tricks.noise.ranking.search_order import top_ranked


def test_the_first_by_rank_then_query_then_place_are_marked():
    label = np.array([1, 1, 1, 1, 0, 1])
    rank = np.array([2, 0, 1, 1, 9, 1])
    query = np.array([0, 0, 5, 4, 1, 4])
    # Class 1 in order: row 1; of rank 1 row 3, row 5 (query 4), row 2 (query 5); row 0.
    for count, marked in [(1, {1, 4}), (2, {1, 3, 4}), (3, {1, 3, 4, 5}), (9, set(range(6)))]:
        assert set(np.flatnonzero(top_ranked(label, rank, query, count=count))) == marked


def test_the_marked_are_those_of_a_sort_class_by_class():
    random = np.random.default_rng(0)
    label, rank = random.integers(0, 7, 500), random.permutation(500)
    marked = top_ranked(label, rank, np.zeros(500, int), count=30)
    for k in range(7):
        rows = np.flatnonzero(label == k)
        first = rows[np.argsort(rank[rows])[:30]]
        assert set(np.flatnonzero(marked & (label == k))) == set(first)
