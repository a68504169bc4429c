from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans

from harness.errors import PluginError
from harness.samples import Predictions, StageOutputs
from harness.tricks.noise.confused_clusters import USES, ConfusedClusters
from harness.values import Stage

INITIAL = Stage(name="initial")

# Class 0: eight samples, one of which looks like class 1. Class 2 is confused with nothing.
LABEL = np.array([0] * 8 + [1] * 6 + [2] * 3)
PLACE = np.array([0.0] * 7 + [10.0] + [10.0] * 6 + [10.0] * 3)
PREDICTED = np.array([0] * 7 + [1] + [1] * 6 + [2] * 3)


@pytest.fixture
def samples(make_samples):
    x = PLACE[:, None] + np.linspace(-0.1, 0.1, len(PLACE))[:, None] * [1, 0]
    whole = make_samples(LABEL, x)
    classes = PREDICTED[:, None].astype(np.int32)
    nothing = np.zeros((len(LABEL), 1), np.float32)
    predictions = Predictions(classes, nothing, nothing[:, 0])
    return whole.assign(seen={"initial": StageOutputs(whole.features(INITIAL), predictions)})


def cluster(use, **settings):
    return ConfusedClusters(sees=INITIAL, use=use, clusters_per_class=1, **settings)


def test_what_lies_in_another_classs_cluster_is_left_out(samples):
    kept = cluster("large")(samples)
    assert np.flatnonzero(kept.subset == -1).tolist() == [7]
    assert kept.weight.tolist() == samples.weight.tolist()
    assert not samples.subset.any()


def test_alone_a_class_has_no_other_cluster(samples):
    assert (cluster("large", others=0)(samples).subset == 0).all()


def test_weights_by_size_keep_the_classs_mean(samples):
    weight = cluster("size")(samples).weight
    # Class 0: sizes 7 (seven times) and 1 (once), 50 / 8 = 6.25 in the mean.
    np.testing.assert_allclose(weight[:8], [1.12] * 7 + [0.16], rtol=1e-6)
    assert weight[8:].tolist() == [1] * 9
    assert weight.dtype == np.float32


def test_weights_by_closeness_look_at_the_top_ranked(samples):
    first_is_wrong = samples.assign(rank=np.arange(len(LABEL), dtype=np.int32)[::-1].copy())
    for asked, low in [(samples, 7), (first_is_wrong, 0)]:
        weight = cluster("distance")(asked).weight
        assert weight.argmin() == low
        assert weight[:8].mean() == pytest.approx(1)


def test_compact_clusters_are_those_around_their_centre(samples):
    x = samples.features(INITIAL).copy()
    x[:7, 1] = [-3, -2, -1, 0, 1, 2, 3]  # the class's own cluster is loose
    loose = samples.assign(seen={"initial": samples.seen["initial"]._replace(features=x)})
    kept = cluster("compact")(loose)
    assert np.flatnonzero(kept.subset == -1).tolist() == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("use", USES)
def test_what_was_left_out_takes_no_part(samples, use):
    left_out = LABEL == 1
    without = cluster(use)(samples.assign(subset=-left_out.astype(np.int8)))
    assert (without.subset[left_out] == -1).all()
    assert (without.weight[left_out] == 1).all()
    # Nobody is left to be confused with.
    alone = cluster(use, others=0)(samples)
    assert without.subset[:8].tolist() == alone.subset[:8].tolist()
    assert without.weight[:8].tolist() == alone.weight[:8].tolist()
    nothing = cluster(use)(samples.assign(subset=np.full(len(samples), -1, np.int8)))
    assert (nothing.subset == -1).all()


def test_the_clusters_are_scikit_learns(make_samples):
    random = np.random.default_rng(0)
    label = np.repeat([0, 1, 2], [40, 30, 20])
    x = (label[:, None] + random.standard_normal((90, 4))).astype(np.float32)
    predicted = np.where(np.arange(90) % 5, label, (label + 1) % 3)[:, None].astype(np.int32)
    nothing = np.zeros((90, 1), np.float32)
    whole = make_samples(label, x)
    predictions = Predictions(predicted, nothing, nothing[:, 0])
    seen = {"initial": StageOutputs(x, predictions)}
    trick = ConfusedClusters(sees=INITIAL, use="size", seed=3)
    weight = trick(whole.assign(seen=seen)).weight
    # 8 of 40 and 6 of 30 go 0 -> 1 -> 2, 4 of 20 go 2 -> 0: every pair 1/5, the lower first.
    order = np.concatenate([np.flatnonzero(label == k) for k in (1, 0, 2)])
    oracle = KMeans(6, n_init="auto", random_state=3).fit_predict(x[order])[:30]
    sizes = np.bincount(oracle)[oracle]
    np.testing.assert_allclose(weight[label == 1], sizes / sizes.mean(), rtol=1e-6)


@pytest.mark.parametrize(
    "settings", [{"others": -1}, {"clusters_per_class": 0}, {"top_share": 0}, {"top_share": 1.5}]
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(PluginError, match=rf"ConfusedClusters: {next(iter(settings))} must be"):
        ConfusedClusters(sees=INITIAL, use="large", **settings)
