"""What every trick of the toolbox must keep; a new one fails here until it is in the table."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import pkgutil

import numpy as np
import pytest
import torch
from torch import nn

import harness.tricks
from harness.samples import COLUMNS
from harness.tricks.model.multi_scale_stem import MultiScaleStem
from harness.tricks.noise.density import DensitySubsets
from harness.tricks.noise.kmeans import KMeansSubsets
from harness.tricks.noise.subsets import KeepSubsets, WeighSubsets
from harness.tricks.testing.crops import MultiCrop
from harness.values import View

# One canonical tiny setting of every trick.
TOOLBOX = {
    "noise": [
        DensitySubsets(sees="initial"),
        KMeansSubsets(sees="initial", num_subsets=2),
        WeighSubsets(weights=(1.0, 0.5, 0.25)),
        KeepSubsets(count=3, highly_noisy_share=0.5, seed=1),
    ],
    "model": [MultiScaleStem(kernels=(5, 9))],
    "testing": [MultiCrop(crops=10)],
}
TRICKS = [
    pytest.param(trick, id=type(trick).__name__) for slot in TOOLBOX.values() for trick in slot
]


def of(slot):
    return [pytest.param(trick, id=type(trick).__name__) for trick in TOOLBOX[slot]]


def found_tricks():
    """Every public class of ``harness.tricks`` that can be called and is no network layer."""
    found = set()
    for info in pkgutil.walk_packages(harness.tricks.__path__, "harness.tricks."):
        module = importlib.import_module(info.name)
        found |= {
            kind
            for name, kind in vars(module).items()
            if isinstance(kind, type)
            and kind.__module__ == module.__name__
            and not name.startswith("_")
            and "__call__" in vars(kind)
            and not issubclass(kind, nn.Module)
        }
    return found


def test_every_trick_has_a_canonical_setting_here():
    known = {type(trick) for slot in TOOLBOX.values() for trick in slot}
    missing = sorted(kind.__qualname__ for kind in found_tricks() - known)
    assert not missing, f"add a tiny setting of {missing} to TOOLBOX in {__file__}"
    assert known <= found_tricks()


def test_every_trick_stands_in_the_folder_of_its_slot():
    for slot, tricks in TOOLBOX.items():
        for trick in tricks:
            assert type(trick).__module__.startswith(f"harness.tricks.{slot}.")


@pytest.mark.parametrize("trick", TRICKS)
def test_a_trick_is_a_frozen_value(trick):
    kind = type(trick)
    assert dataclasses.is_dataclass(kind)
    assert kind.__dataclass_params__.frozen
    assert all(field.kw_only for field in dataclasses.fields(kind))
    assert hash(trick) == hash(copy.deepcopy(trick))
    name = dataclasses.fields(kind)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(trick, name, None)


@pytest.mark.parametrize("trick", TRICKS)
def test_its_repr_says_every_field(trick):
    again = eval(repr(trick), {type(trick).__name__: type(trick)})
    assert again == trick
    for field in dataclasses.fields(trick):
        assert f"{field.name}=" in repr(trick)


@pytest.mark.parametrize("trick", TRICKS)
def test_it_names_its_source(trick):
    assert "**Source:**" in type(trick).__doc__


@pytest.fixture
def samples(make_samples):
    random = np.random.default_rng(0)
    whole = make_samples(
        np.arange(60) % 4,
        random.standard_normal((60, 8)),
        num_classes=5,
        weight=random.uniform(0, 2, 60).astype(np.float32),
        subset=(np.arange(60) % 7 % 4 - 1).astype(np.int8),
    )
    for name in COLUMNS:
        getattr(whole, name).flags.writeable = False
    whole.features("initial").flags.writeable = False
    return whole


@pytest.mark.parametrize("trick", of("noise"))
def test_a_noise_trick_keeps_samples_sound(trick, samples):
    before = {name: getattr(samples, name).copy() for name in COLUMNS}
    after, again = trick(samples), trick(samples)
    assert len(after) == len(samples)
    assert np.isfinite(after.weight).all()
    assert after.weight.min() >= 0
    assert after.subset.min() >= -1
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(samples, name), before[name])
        np.testing.assert_array_equal(getattr(after, name), getattr(again, name))
        assert getattr(after, name).dtype == before[name].dtype
    assert (after.subset[samples.subset == -1] == -1).all()


@pytest.mark.parametrize("trick", of("testing"))
def test_a_testing_trick_gives_views(trick):
    views = (View(short_side=36, size=32), View(short_side=48, size=40, flip=True))
    after = trick(views)
    assert after == trick(views)
    assert len(after) == len(set(after)) > 0
    assert all(0 < view.size <= view.short_side for view in after)


@pytest.mark.parametrize("trick", of("model"))
def test_a_model_trick_keeps_the_outputs_shape(trick):
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 5),
    )
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images = torch.rand(2, 3, 32, 32)
    outputs = []
    for _ in range(2):
        torch.manual_seed(0)
        outputs.append(trick(network)(images))
    assert outputs[0].shape == network(images).shape
    torch.testing.assert_close(outputs[0], outputs[1])
    assert before.keys() == network.state_dict().keys()
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, before[name])
