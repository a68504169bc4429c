"""What a network says of pictures, against a plain loop over them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import nn

from harness.data.pictures import loader
from harness.data.pictures.decode import crop_views, decode
from harness.data.pictures.loader import Pictures
from harness.errors import PluginError
from harness.samples import Samples, WebClass
from harness.testing import predict as module
from harness.testing.metrics import top_classes
from harness.testing.predict import FeatureBatch, evaluating, extract_features, predict
from harness.testing.score import epoch_scorer, save_predictions, score_of
from harness.training.batches import normalize
from harness.training.ranks import Ranks
from harness.tricks.testing.crops import MultiCrop
from harness.values import View, Views

CPU = Ranks(rank=0, world_size=1, device=torch.device("cpu"))
PLAIN = (View(short_side=37, size=32),)
TEN = MultiCrop(crops=10)(PLAIN)
CLASSES = 6


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    size = 10
    random = np.random.default_rng(0)
    for row in range(size):
        pixels = random.integers(0, 255, (48, 40 + row, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{row}.png")
    return Samples(
        split="val",
        root=tmp_path,
        files=np.array([f"{row}.png" for row in range(size)]),
        label=np.arange(size, dtype=np.int32) % CLASSES,
        source=np.zeros(size, np.int8),
        query=np.zeros(size, np.int32),
        rank=np.arange(size, dtype=np.int32),
        weight=np.ones(size, np.float32),
        subset=np.zeros(size, np.int8),
        classes=tuple(WebClass(f"n{k}", str(k)) for k in range(CLASSES)),
    )


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("test_resnet", num_classes=CLASSES)


def one_by_one(network: nn.Module, samples: Samples, view: View) -> np.ndarray:
    network.eval()
    rows = []
    for file in samples.files:
        (pixels,) = crop_views(decode((samples.root / str(file)).read_bytes()), (view,))
        with torch.no_grad():
            logits = network(normalize(pixels[None].copy(), CPU.device))
        rows.append(torch.softmax(logits, dim=1).numpy()[0])
    return np.stack(rows)


def predicted(
    network: nn.Module, samples: Samples, protocols: dict[str, Views], threads: int = 2
) -> dict[str, np.ndarray]:
    parts = list(predict(network, Pictures(samples, print), protocols, CPU, threads))
    return {name: np.concatenate([part[name] for part in parts]) for name in protocols}


@pytest.mark.parametrize("pixels_at_once", [1, 40_000, 1 << 22])
def test_probabilities_are_the_mean_over_the_views(
    samples: Samples, network: nn.Module, monkeypatch: pytest.MonkeyPatch, pixels_at_once: int
) -> None:
    monkeypatch.setattr(module, "PIXELS_AT_ONCE", pixels_at_once)
    scales = (*TEN[:3], View(short_side=28, size=24))
    protocols = {"1 view": PLAIN, "10 views": TEN, "two sizes": scales}
    found = predicted(network, samples, protocols)
    for name, views in protocols.items():
        expected = np.mean([one_by_one(network, samples, view) for view in views], axis=0)
        np.testing.assert_allclose(found[name], expected, atol=1e-5)
        np.testing.assert_allclose(found[name].sum(axis=1), 1, atol=1e-5)


def test_each_picture_is_decoded_once_for_all_protocols(
    samples: Samples, network: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[bytes] = []
    monkeypatch.setattr(loader, "decode", lambda data: decoded.append(data) or decode(data))
    predicted(network, samples, {"1 view": PLAIN, "10 views": TEN})
    assert len(decoded) == len(samples)


def test_shared_views_go_through_the_network_once(samples: Samples) -> None:
    seen: list[int] = []

    class Counting(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen.append(len(images))
            return images.mean(dim=(2, 3))

    predicted(Counting(), samples, {"1 view": PLAIN, "10 views": TEN}, threads=1)
    assert sum(seen) == 10 * len(samples)  # the centre view is one of the ten


def test_features_are_what_the_head_sees(samples: Samples, network: nn.Module) -> None:
    parts = list(extract_features(network, Pictures(samples, print), PLAIN[0], CPU, 2))
    seen = FeatureBatch(*map(np.concatenate, zip(*parts, strict=True)))
    assert seen.rows.tolist() == list(range(len(samples)))
    assert seen.features.shape == (len(samples), network.num_features)
    np.testing.assert_allclose(
        seen.probabilities, one_by_one(network, samples, PLAIN[0]), atol=1e-5
    )
    with torch.no_grad():
        logits = network.get_classifier()(torch.from_numpy(seen.features))
    np.testing.assert_allclose(torch.softmax(logits, 1), seen.probabilities, atol=1e-5)


def test_evaluation_leaves_the_network_as_it_was(network: nn.Module, samples: Samples) -> None:
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    predicted(network, samples, {"": PLAIN})
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    with pytest.raises(ValueError, match="stop"), evaluating(network):
        raise ValueError("stop")
    assert network.training


class OneSize(nn.Module):
    """A network that takes pictures of 32 pixels only."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.view(len(images), 3, 32, 32).mean(dim=(2, 3))

    forward_features = forward


@pytest.mark.parametrize("of", ["predictions", "features"])
def test_a_network_that_fails_on_test_views_is_one_line_with_their_size(
    of: str, samples: Samples
) -> None:
    view, pictures = View(short_side=48, size=40), Pictures(samples, print)
    ask = {
        "predictions": predict(OneSize(), pictures, {"1 view": (view,)}, CPU, 1),
        "features": extract_features(OneSize(), pictures, view, CPU, 1),
    }
    words = r"^the trained network \(views of 40 pixels\): RuntimeError: .*test_predict.py, line"
    with pytest.raises(PluginError, match=words):
        next(ask[of])


def test_an_epoch_is_scored_on_val_under_the_plain_view(
    samples: Samples, network: nn.Module
) -> None:
    score: Callable[[nn.Module], dict[str, float]] = epoch_scorer(samples, PLAIN, CPU, 1)
    expected = one_by_one(network, samples, PLAIN[0]).argmax(axis=1) == samples.label
    assert score(network)["val_top1"] == pytest.approx(expected.mean())
    assert set(score(network)) == {"val_top1", "val_top5"}
    assert epoch_scorer(None, PLAIN, CPU, 1)(network) == {}


def test_a_score_has_all_four_accuracies_and_null_for_an_empty_class(samples: Samples) -> None:
    few = samples.assign(label=np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4], np.int32))
    probabilities = np.full((10, CLASSES), 0.1, np.float32)
    probabilities[:, 0] = 0.5
    score = score_of(few, top_classes(probabilities, 5), "1 view", "last")
    assert (score.top1, score.top1_class_mean) == (0.2, 0.2)
    assert (score.top5, score.top5_class_mean) == (1.0, 1.0)
    assert score.per_class_top1 == (1.0, 0.0, 0.0, 0.0, 0.0, None)
    assert score.images == 10


def test_predictions_are_kept_beside_the_record(samples: Samples, tmp_path: Path) -> None:
    probabilities = np.eye(CLASSES, dtype=np.float32)[samples.label]
    path = tmp_path / "record" / "val.npz"
    save_predictions(path, samples, top_classes(probabilities, 5))
    with np.load(path, allow_pickle=False) as kept:
        assert kept["files"].tolist() == samples.files.tolist()
        assert kept["classes"][:, 0].tolist() == samples.label.tolist()
        assert kept["probabilities"].dtype == np.float16
