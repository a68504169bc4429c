"""What later stages may see of a finished one, written as it comes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.errors import HarnessError
from harness.samples import Samples, WebClass
from harness.session.features import load_outputs, save_outputs
from harness.testing.predict import FeatureBatch
from harness.training.ranks import Ranks

CPU = Ranks(rank=0, world_size=1, device=torch.device("cpu"))
SIZE, WIDTH, CLASSES = 10, 4, 7


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    zeros = np.zeros(SIZE, np.int32)
    return Samples(
        split="train",
        root=tmp_path,
        files=np.array([f"{row}.jpg" for row in range(SIZE)]),
        label=np.arange(SIZE, dtype=np.int32) % CLASSES,
        source=zeros.astype(np.int8),
        query=zeros,
        rank=zeros,
        weight=np.ones(SIZE, np.float32),
        subset=zeros.astype(np.int8),
        classes=tuple(WebClass(f"n{k}", str(k)) for k in range(CLASSES)),
    )


def parts(features: np.ndarray, probabilities: np.ndarray) -> Iterator[FeatureBatch]:
    for first in range(0, SIZE, 4):
        rows = np.arange(first, min(first + 4, SIZE))
        yield FeatureBatch(rows, features[rows], probabilities[rows])


def test_parts_are_put_together_in_one_mapped_file(samples: Samples, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    features = random.standard_normal((SIZE, WIDTH)).astype(np.float32)
    probabilities = random.dirichlet(np.ones(CLASSES), SIZE).astype(np.float32)
    assert load_outputs(tmp_path) is None
    save_outputs(tmp_path, parts(features, probabilities), samples, CPU)
    sight = load_outputs(tmp_path)
    assert sight is not None
    assert isinstance(sight.features, np.memmap)
    np.testing.assert_array_equal(sight.features, features)
    own = probabilities[np.arange(SIZE), samples.label]
    np.testing.assert_array_equal(sight.predictions.of_label, own)
    np.testing.assert_array_equal(sight.predictions.classes[:, 0], probabilities.argmax(axis=1))
    assert sight.predictions.probabilities.shape == (SIZE, 5)


def test_what_broke_off_is_not_there(samples: Samples, tmp_path: Path) -> None:
    def broken() -> Iterator[FeatureBatch]:
        yield from parts(np.ones((SIZE, WIDTH), np.float32), np.ones((SIZE, CLASSES), np.float32))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save_outputs(tmp_path, broken(), samples, CPU)
    assert load_outputs(tmp_path) is None
    assert not (tmp_path / "features.npy").exists()


def test_a_disk_without_room_is_one_line_before_anything_is_written(
    samples: Samples, tmp_path: Path
) -> None:
    wide = np.broadcast_to(np.float32(1), (SIZE, 1 << 42))

    def too_wide() -> Iterator[FeatureBatch]:
        yield FeatureBatch(np.arange(SIZE), wide, np.ones((SIZE, CLASSES), np.float32))

    with pytest.raises(HarnessError, match="cannot write"):
        save_outputs(tmp_path, too_wide(), samples, CPU)
    assert list(tmp_path.iterdir()) == []
