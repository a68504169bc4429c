"""CLIP, loaded from a folder by transformers: texts and pictures in one space."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BATCH = 64


def picture_size(folder: Path) -> int:
    """Return the height and width, in pixels, of the pictures that a CLIP takes."""
    from transformers import CLIPConfig

    config: Any = CLIPConfig.from_pretrained(folder, local_files_only=True)
    return int(config.vision_config.image_size)


def load_texts(folder: Path, dtype: Any, device: str) -> Callable[[list[str]], NDArray[np.float32]]:
    """Return the function that maps texts to ``(N, D)`` rows of any length; 77 tokens of each."""
    import torch
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    network = _network(folder, dtype, device)
    longest = min(tokenizer.model_max_length, network.config.text_config.max_position_embeddings)

    def encode(texts: list[str]) -> NDArray[np.float32]:
        parts = [texts[first : first + BATCH] for first in range(0, len(texts), BATCH)]
        with torch.inference_mode():
            return np.concatenate([vectors(part) for part in parts])

    def vectors(texts: list[str]) -> NDArray[np.float32]:
        tokens = tokenizer(
            texts, padding=True, truncation=True, max_length=longest, return_tensors="pt"
        ).to(device)
        return _numbers(network.get_text_features(**tokens))

    return encode


def load_pictures(
    folder: Path, dtype: Any, device: str
) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Return the function that maps pictures ``(B, H, H, 3)`` to ``(B, D)`` rows of any length.

    They are normalised as the model's ``preprocessor_config.json`` says; they have its size.
    """
    import torch
    from transformers import AutoImageProcessor

    processors: Any = AutoImageProcessor
    processor = processors.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    network = _network(folder, dtype, device)

    def encode(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        values = processor(
            list(pictures),
            do_resize=False,
            do_center_crop=False,
            input_data_format="channels_last",
            return_tensors="pt",
        )["pixel_values"]
        with torch.inference_mode():
            return _numbers(network.get_image_features(pixel_values=values.to(device, dtype)))

    return encode


def _network(folder: Path, dtype: Any, device: str) -> Any:
    from transformers import CLIPModel

    network: Any = CLIPModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    return network.to(device, dtype).eval()


def _numbers(features: Any) -> NDArray[np.float32]:
    """Return features as numpy has them: transformers 5 wraps them, 4 does not."""
    return np.asarray(getattr(features, "pooler_output", features).float().cpu())
