"""The real MiniLM, with one cache for the session, and tiny models in folders."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.language.encoders import TextEncoders
from harness.language.models import minilm_folder
from harness.spec import RunSpec


@pytest.fixture(scope="session")
def minilm(tmp_path_factory) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """Encode texts by the packaged all-MiniLM-L6-v2."""
    spec = RunSpec(plugin="baseline", home=tmp_path_factory.mktemp("minilm"))

    def encode(texts):
        return TextEncoders().encode_texts(spec, "minilm", texts)

    return encode


@pytest.fixture
def spec(tmp_path) -> RunSpec:
    return RunSpec(plugin="baseline", home=tmp_path / "home")


@pytest.fixture
def tiny_bert(tmp_path) -> Callable[..., Path]:
    """Save a BERT of one layer, drawn by ``seed``, with MiniLM's words."""

    def save(seed=0, name="bert") -> Path:
        import torch
        from transformers import BertConfig, BertModel

        folder = tmp_path / name
        torch.manual_seed(seed)
        size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        BertModel(BertConfig(**size, intermediate_size=32)).save_pretrained(folder)
        for file in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
            shutil.copy(minilm_folder() / file, folder)
        return folder

    return save
