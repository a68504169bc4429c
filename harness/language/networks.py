"""Loads an encoder, and runs texts or pictures through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.errors import HarnessError
from harness.language import clip
from harness.language.models import BERT, CLIP, MAX_TOKENS, MINILM, Model, check_minilm

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")
Encode = Callable[[list[str]], NDArray[np.float32]]

BATCH = 64


def load_network(model: Model) -> Encode:
    """Return the function that maps texts to ``(N, D)`` rows of length 1.

    It computes in ``model.dtype``, on the GPU if there is one. The last digits of a row depend
    on the other texts of its batch: about 1e-3 of a cosine in bf16.

    Raises:
        HarnessError: The model cannot be loaded, or gives rows that are not finite; the packaged
            MiniLM is not the original.
    """
    if model.encoder == MINILM:
        check_minilm(model.folder)
    if model.encoder.startswith(CLIP):
        load = clip.load_texts
    elif model.encoder.startswith(BERT):
        load = _load_bert
    else:
        load = _load_sentence_transformer
    return _to_length_1(model, _loaded(model, load))


def load_pictures(model: Model) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Return the function that maps pictures ``(B, H, H, 3)`` uint8 to ``(B, D)`` rows of length 1.

    They are in the space of the texts that ``load_network`` encodes, and computed as these are. The
    model is loaded at the first call. Raises HarnessError as ``load_network`` does.
    """
    loaded = cache(lambda: _to_length_1(model, _loaded(model, clip.load_pictures)))

    def encode(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        return loaded()(pictures)

    return encode


def _loaded(
    model: Model, load: Callable[[Path, Any, str], Callable[[T], Any]]
) -> Callable[[T], Any]:
    """Return what ``load`` makes of the model's folder, for its dtype and this machine's device."""
    try:
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        with _quietly():
            return load(model.folder, getattr(torch, model.dtype), device)
    except Exception as error:  # a downloaded folder may contain anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise HarnessError(
            f"text encoder {model.encoder!r} at {model.folder} cannot be loaded: {reason}"
        ) from error


def _to_length_1(
    model: Model, encode: Callable[[T], NDArray[np.float32]]
) -> Callable[[T], NDArray[np.float32]]:
    def encode_to_length_1(given: T) -> NDArray[np.float32]:
        vectors_ND = encode(given).astype(np.float32)
        lengths = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
        if not (np.isfinite(lengths).all() and lengths.all()):
            raise HarnessError(f"text encoder {model.encoder!r} gives vectors that are not finite")
        return np.asarray(vectors_ND / lengths)

    return encode_to_length_1


def _load_sentence_transformer(folder: Path, dtype: Any, device: str) -> Encode:
    from sentence_transformers import SentenceTransformer

    network = SentenceTransformer(
        str(folder),
        device=device,
        local_files_only=True,
        trust_remote_code=False,
        model_kwargs={"use_safetensors": True},
    ).to(dtype)
    network.max_seq_length = min(network.max_seq_length or MAX_TOKENS, MAX_TOKENS)

    def encode(texts: list[str]) -> NDArray[np.float32]:
        found = network.encode(
            texts, batch_size=BATCH, show_progress_bar=False, convert_to_tensor=True
        )
        return np.asarray(found.float().cpu())

    return encode


def _load_bert(folder: Path, dtype: Any, device: str) -> Encode:
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    network = AutoModel.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False, use_safetensors=True
    )
    network = network.to(device, dtype).eval()
    longest = min(MAX_TOKENS, tokenizer.model_max_length)

    def encode(texts: list[str]) -> NDArray[np.float32]:
        parts = [texts[first : first + BATCH] for first in range(0, len(texts), BATCH)]
        with torch.inference_mode():
            return np.asarray(torch.cat([pooled(part) for part in parts]).cpu())

    def pooled(texts: list[str]) -> Tensor:
        tokens = tokenizer(
            texts, padding=True, truncation=True, max_length=longest, return_tensors="pt"
        ).to(device)
        hidden_BTD = network(**tokens).last_hidden_state.float()
        return mean_of_tokens(hidden_BTD, tokens["attention_mask"])

    return encode


def mean_of_tokens(hidden_BTD: Tensor, attended_BT: Tensor) -> Tensor:
    """Return the mean ``(B, D)`` of the hidden states ``(B, T, D)`` that are not padding."""
    attended = attended_BT[..., None].to(hidden_BTD.dtype)
    return (hidden_BTD * attended).sum(dim=1) / attended.sum(dim=1)


@contextmanager
def _quietly() -> Iterator[None]:
    """Turn off the library's progress bars and its warnings about unused weights."""
    from transformers.utils import logging as its_own

    logging: Any = its_own
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
