from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest

from harness.errors import PluginError, TrainingError
from harness.tricks.noise.density import DensitySubsets, density, split_by_density
from harness.values import Stage

INITIAL = Stage(name="initial")


def literal(features_ND, quantile=0.6):
    """The deck's steps one and two, written down as they stand there, in float64."""
    return counted(distances(features_ND), quantile)


def distances(features_ND):
    x = np.asarray(features_ND, np.float64)
    return np.array([[np.sqrt(np.sum((a - b) ** 2)) for b in x] for a in x])


def counted(distance, quantile):
    size = len(distance)
    d_c = np.sort(distance, axis=None)[min(int(size * size * quantile), size * size - 1)]
    return np.maximum((distance < d_c).sum(axis=1) - 1, 0)


def cloud(kind, size, width, seed=0):
    random = np.random.default_rng(seed)
    x = random.standard_normal((size, width)).astype(np.float32)
    if kind == "duplicates":
        return x[random.integers(max(1, size // 3), size=size)]
    if kind == "ties":
        return np.round(x)
    if kind == "identical":
        return np.repeat(x[:1], size, axis=0)
    if kind == "far from the origin":
        return x / 100 + 100
    if kind == "an outlier":
        x[0] *= 1e4
    return x


def test_four_points_on_a_line_by_hand():
    # Distances 1, 2, 3 from 0; 1, 2 between the others; 7, 8, 9, 10 to the last.
    points = np.array([[0], [1], [3], [10]], np.float32)
    # The sixteen in order: 0 0 0 0 1 1 2 2 3 3 7 7 9 9 10 10; element int(9.6) is 3.
    assert density(points).tolist() == [1, 2, 1, 0]
    # Element int(16 * 0.4) is 2: only 0 and 1 are nearer.
    assert density(points, quantile=0.4).tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize(
    "kind", ["plain", "duplicates", "ties", "identical", "far from the origin", "an outlier"]
)
def test_the_same_as_the_deck_says_for_every_block_size(kind):
    wrong = []
    for size, width in [(1, 3), (2, 3), (3, 1), (10, 2), (90, 30)]:
        x = cloud(kind, size, width)
        distance = distances(x)
        for quantile, block in itertools.product((0, 0.05, 0.6, 1), (7, 32, 1024)):
            found = density(x, quantile=quantile, block=block)
            if found.tolist() != counted(distance, quantile).tolist():
                wrong.append((size, width, quantile, block))
    assert wrong == []


def test_many_blocks_of_many_features():
    x = cloud("plain", 700, 300)
    np.testing.assert_array_equal(density(x, block=64), density(x))


def test_ties_beyond_what_can_be_measured_again():
    x = np.eye(600, dtype=np.float32)  # every distance is the square root of 2
    for block in (100, 600):
        np.testing.assert_array_equal(density(x, block=block), np.zeros(600))
    x[0] = 2  # but for one sample that is farther from all the others
    expected = np.r_[0, np.full(599, 598)]
    for block in (100, 600):
        np.testing.assert_array_equal(density(x, block=block, quantile=0.9999), expected)


def test_the_order_of_the_samples_does_not_matter():
    x = cloud("duplicates", 150, 20)
    order = np.random.default_rng(1).permutation(150)
    for block in (16, 1024):
        np.testing.assert_array_equal(
            density(x[order], block=block), density(x, block=block)[order]
        )


def test_the_seed_decides_nothing_but_the_bracket():
    x = cloud("plain", 300, 8)
    np.testing.assert_array_equal(density(x, block=64, seed=1), density(x, block=64, seed=2))


def test_the_features_stay_as_they_are():
    x = cloud("plain", 50, 4)
    x.flags.writeable = False
    density(x, block=16)


def test_no_samples():
    assert density(np.empty((0, 4), np.float32)).shape == (0,)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_features_that_are_not_finite_are_refused(value):
    x = cloud("plain", 20, 3)
    x[4, 1] = value
    with pytest.raises(TrainingError, match="of 20 feature vectors"):
        density(x)


@pytest.mark.parametrize("quantile", [-0.1, 1.1, np.nan])
def test_a_quantile_that_is_none_is_refused(quantile):
    with pytest.raises(PluginError, match=r"quantile must be in \[0, 1\], got"):
        density(np.ones((3, 1), np.float32), quantile=quantile)
    with pytest.raises(PluginError, match=r"quantile must be in \[0, 1\], got"):
        DensitySubsets(sees=INITIAL, quantile=quantile)


def test_the_densest_are_subset_0():
    assert split_by_density(np.array([1, 50, 99, 2, 51, 100])).tolist() == [2, 1, 0, 2, 1, 0]


@pytest.mark.parametrize(
    ("rho", "expected"),
    [([], []), ([7], [0]), ([3, 3, 3], [0, 0, 0]), ([1, 9, 1, 9], [1, 0, 1, 0])],
)
def test_fewer_densities_than_subsets(rho, expected):
    assert split_by_density(np.array(rho, np.int64)).tolist() == expected


def best_cuts(rho, num_subsets):
    """The least sum of squares of any cut into intervals, by trying all."""
    values = np.sort(rho).astype(float)
    cost = lambda a, b: ((values[a:b] - values[a:b].mean()) ** 2).sum()  # noqa: E731
    assert num_subsets == 3
    size = len(values)
    return min(
        cost(0, i) + cost(i, j) + cost(j, size)
        for i in range(1, size - 1)
        for j in range(i + 1, size)
    )


@pytest.mark.parametrize("seed", range(5))
def test_three_means_is_the_best_cut(seed):
    rho = np.random.default_rng(seed).integers(0, 40, size=40)
    subset = split_by_density(rho, seed=seed)
    found = sum(((rho[subset == k] - rho[subset == k].mean()) ** 2).sum() for k in range(3))
    assert found <= 1.02 * best_cuts(rho, 3)
    assert [rho[subset == k].mean() for k in range(3)] == sorted(
        (rho[subset == k].mean() for k in range(3)), reverse=True
    )


def test_the_split_does_not_depend_on_the_order():
    random = np.random.default_rng(0)
    rho, order = random.integers(0, 500, size=300), random.permutation(300)
    np.testing.assert_array_equal(split_by_density(rho[order]), split_by_density(rho)[order])


def test_every_category_is_split_by_itself(make_samples):
    random = np.random.default_rng(0)
    label = np.repeat([0, 2], 60)  # class 1 has no samples
    tight = np.tile(np.repeat([0.1, 1.0, 5.0], 20), 2)
    x = random.standard_normal((120, 16)) * tight[:, None] + 100 * label[:, None]
    samples = make_samples(label, x, num_classes=3)
    subset = DensitySubsets(sees=INITIAL)(samples).subset
    for rows in (slice(0, 60), slice(60, 120)):
        alone = split_by_density(density(x[rows].astype(np.float32)))
        np.testing.assert_array_equal(subset[rows], alone)
        assert set(subset[rows][:20]) == {0}
        assert subset[rows][40:].mean() > 1
    assert not samples.subset.any()


def test_left_out_samples_are_nobodys_neighbours(make_samples):
    x = np.random.default_rng(0).standard_normal((30, 4))
    kept = np.arange(30) % 3 > 0
    samples = make_samples(np.zeros(30), x, subset=np.where(kept, 0, -1).astype(np.int8))
    subset = DensitySubsets(sees=INITIAL)(samples).subset
    assert set(subset[~kept]) == {-1}
    alone = DensitySubsets(sees=INITIAL)(make_samples(np.zeros(20), x[kept])).subset
    np.testing.assert_array_equal(subset[kept], alone)


def test_a_stage_that_is_not_seen_is_an_error(make_samples):
    with pytest.raises(PluginError, match="cannot be seen"):
        DensitySubsets(sees=INITIAL)(make_samples([0, 0]))


@pytest.mark.parametrize("num_subsets", [0, 128])
def test_a_number_of_subsets_that_int8_cannot_hold_is_refused(num_subsets):
    with pytest.raises(PluginError, match="num_subsets"):
        DensitySubsets(sees=INITIAL, num_subsets=num_subsets)


def test_importing_the_noise_tricks_is_light():
    code = (
        "import sys, harness.tricks.noise.density, harness.tricks.noise.subsets, "
        "harness.tricks.noise.kmeans, harness.tricks.testing.crops; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'sklearn', 'pandas')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
