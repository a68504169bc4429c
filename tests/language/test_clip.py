"""A CLIP of one layer, saved by its library: the vectors are the library's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness.errors import HarnessError
from harness.language import models
from harness.language.encoders import TextEncoders
from harness.language.models import find_model

SIDE = 32


@pytest.fixture
def tiny_clip(tmp_path: Path) -> Callable[..., Path]:
    """Save a CLIP drawn by ``seed``, whose tokens are letters."""

    def save(seed: int = 0) -> Path:
        import torch
        from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer

        folder = tmp_path / f"clip{seed}"
        folder.mkdir()
        letters = [chr(code) for code in range(33, 127)]
        words = [*letters, *(f"{one}</w>" for one in letters), "<|startoftext|>", "<|endoftext|>"]
        (folder / "vocab.json").write_text(json.dumps({word: n for n, word in enumerate(words)}))
        (folder / "merges.txt").write_text("#version: 0.2\n")
        CLIPTokenizer.from_pretrained(folder).save_pretrained(folder)
        size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        size["intermediate_size"] = 32
        first, last = len(words) - 2, len(words) - 1
        ends = {"vocab_size": len(words), "bos_token_id": first, "eos_token_id": last}
        config = CLIPConfig(
            text_config=size | ends,
            vision_config={**size, "image_size": SIDE, "patch_size": 8},
            projection_dim=8,
        )
        torch.manual_seed(seed)
        CLIPModel(config).save_pretrained(folder)
        square = {"height": SIDE, "width": SIDE}
        CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=square).save_pretrained(folder)
        return folder

    return save


@pytest.fixture
def in_full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_multiplies_bf16", lambda: False)


@pytest.mark.usefixtures("in_full_precision")
def test_cosines_are_those_of_the_library(spec, tiny_clip):
    import torch
    from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizer

    folder = tiny_clip()
    texts = ["a photo of a crane.", "", "a text of more than 77 tokens" * 9]
    pictures = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 3), np.uint8)
    encoder = TextEncoders().picture_encoder(f"clip:{folder}")
    assert encoder.size == SIDE
    looks = encoder.encode(pictures)
    said = TextEncoders().encode_texts(spec, f"clip:{folder}", texts)
    assert looks.shape == (5, 8)
    np.testing.assert_allclose(np.linalg.norm(looks, axis=1), 1, rtol=1e-5)

    network = CLIPModel.from_pretrained(folder)
    tokens = CLIPTokenizer.from_pretrained(folder)(
        texts, padding=True, truncation=True, max_length=77, return_tensors="pt"
    )
    values = CLIPImageProcessor.from_pretrained(folder)(list(pictures), return_tensors="pt")
    with torch.inference_mode():
        logits = network(**tokens, **values).logits_per_image / network.logit_scale.exp()
    np.testing.assert_allclose(looks @ said.T, logits.numpy(), atol=1e-5)
    # The largest cosine of pictures and texts that were drawn apart: they differ at all.
    assert np.ptp(looks @ said.T) > 0.1


def test_other_weights_are_another_encoder(tiny_clip):
    identity = TextEncoders().encoder_identity
    one, other = (identity(f"clip:{tiny_clip(seed)}") for seed in (0, 1))
    assert one.startswith("clip ")
    assert one != other


def test_only_a_clip_encodes_pictures(tiny_bert):
    folder = tiny_bert()
    encoders = TextEncoders()
    assert encoders.picture_encoder("minilm") is None
    assert encoders.picture_encoder(f"hf:{folder}") is None
    with pytest.raises(HarnessError, match="is a model of the kind 'bert', not 'clip'; a plugin"):
        encoders.picture_encoder(f"clip:{folder}")
    (folder / "config.json").write_text("{}")
    with pytest.raises(HarnessError, match="does not say what model it is: KeyError"):
        find_model(f"clip:{folder}")


def test_weights_that_are_missing_or_pickled_are_one_line(tiny_clip):
    with pytest.raises(HarnessError, match="'clip:/no/such/folder' is not a folder; name another"):
        find_model("clip:/no/such/folder")
    folder = tiny_clip()
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(HarnessError, match=r"has no weights as \*\.safetensors"):
        find_model(f"clip:{folder}")


def test_weights_that_cannot_be_read_are_one_line(tiny_clip):
    folder = tiny_clip()
    (folder / "model.safetensors").write_bytes(b"not weights")
    encoder = TextEncoders().picture_encoder(f"clip:{folder}")
    with pytest.raises(HarnessError, match="cannot be loaded") as raised:
        encoder.encode(np.zeros((1, SIDE, SIDE, 3), np.uint8))
    assert "\n" not in str(raised.value)
