from __future__ import annotations

import numpy as np

from harness.samples import rows_by_class


def test_rows_come_class_by_class_in_rising_order(make_samples):
    samples = make_samples([2, 0, 2, 0, 2], num_classes=4)
    assert [rows.tolist() for rows in rows_by_class(samples)] == [[1, 3], [0, 2, 4]]


def test_left_out_samples_are_passed_over(make_samples):
    samples = make_samples([1, 0, 1], subset=np.array([0, -1, 2], np.int8))
    assert [rows.tolist() for rows in rows_by_class(samples)] == [[0, 2]]


def test_no_samples_give_no_classes(make_samples):
    assert list(rows_by_class(make_samples([], num_classes=2))) == []
