"""The text encoders of the harness; each different text is encoded once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from harness.hookspecs import hookimpl
from harness.language import clip, lexical
from harness.language.cache import VectorCache, key_of
from harness.language.models import CLIP, find_model
from harness.language.networks import Encode, load_network, load_pictures
from harness.progress import ProgressLine
from harness.terminal import note
from harness.values import PictureEncoder

if TYPE_CHECKING:
    from harness.spec import RunSpec

LEXICAL = "lexical"
MAX_CHARACTERS = 4_096  # of a text; many times what 128 tokens can hold
GROUP = 1_024  # texts between two writes to the cache


@dataclass(frozen=True, kw_only=True)
class TextEncoders:
    """Sentence encoders with a cache on disk, CLIP, and a lexical fallback."""

    encoders: ClassVar = ("minilm", "lexical", "st:NAME", "hf:NAME", "clip:NAME")

    @hookimpl
    def encode_texts(
        self, spec: RunSpec, encoder: str, texts: Sequence[str]
    ) -> NDArray[np.float32] | None:
        """Return ``(N, D)`` rows of length 1, or None if the encoder is another plugin's.

        ``minilm`` is all-MiniLM-L6-v2 as packaged, ``st:NAME`` any model of sentence-transformers,
        ``hf:NAME`` the mean of a BERT's last hidden states; NAME is a folder or a name of the
        Hugging Face hub. ``clip:NAME`` is a CLIP, which encodes pictures too. ``lexical`` counts
        words: a fallback for smoke tests. Equal texts are encoded once, at most 128 tokens of each.

        Raises:
            HarnessError: The encoder is not installed, not found, or unsafe to load.
        """
        if encoder == LEXICAL:
            return lexical.encode_words([_clean(text) for text in texts])
        model = find_model(encoder)
        if model is None:
            return None
        asked = [_clean(text) for text in texts] or [""]  # an empty text has the same width
        cache = VectorCache(spec.home / "encodings", model.identity, note)
        with ProgressLine(file_seconds=10.0) as line:
            count = partial(line.count, f"encoding texts with {encoder}")
            return encode_once(asked, cache, lambda: load_network(model), count)[: len(texts)]

    @hookimpl
    def picture_encoder(self, encoder: str) -> PictureEncoder | None:
        """Return what encodes pictures, if the encoder is a CLIP.

        Raises:
            HarnessError: The encoder is not installed, not found, or unsafe to load.
        """
        model = find_model(encoder) if encoder.startswith(CLIP) else None
        if model is None:
            return None
        return PictureEncoder(size=clip.picture_size(model.folder), encode=load_pictures(model))

    @hookimpl
    def encoder_identity(self, encoder: str) -> str | None:
        """Return the identity of an encoder, which changes if its vectors may. No torch is needed.

        It contains the kind, the digest of the weights or the hub's revision, the precision and the
        longest text. None if the encoder is another plugin's.

        Raises:
            HarnessError: The encoder is not installed, not found, or unsafe to load.
        """
        if encoder == LEXICAL:
            return lexical.IDENTITY
        model = find_model(encoder)
        return model.identity if model else None


def encode_once(
    texts: Sequence[str],
    cache: VectorCache,
    load: Callable[[], Encode],
    progress: Callable[[int, int], object],
) -> NDArray[np.float32]:
    """Encode texts ``(N,)`` to ``(N, D)``; each different text once, and only if it is not cached.

    ``load`` is called if a text is missing in ``cache``. Vectors are stored group by group, so a
    killed run continues where it stopped. ``progress`` is called with (texts done, texts missing),
    first with 0 done, after the encoder is loaded.
    """
    keys = [key_of(text) for text in texts]
    different = dict(zip(keys, texts, strict=True))
    vectors = cache.read(different)
    # Texts of one length share a batch without padding; the longest first shows whether they fit.
    missing = sorted(
        (key for key in different if key not in vectors),
        key=lambda key: (-len(different[key]), different[key]),
    )
    if missing:
        encode = load()
        progress(0, len(missing))
        for first in range(0, len(missing), GROUP):
            group = missing[first : first + GROUP]
            rows = encode([different[key] for key in group])
            found = dict(zip(group, rows, strict=True))
            cache.write(found)
            vectors |= found
            progress(first + len(group), len(missing))
    return np.stack([vectors[key] for key in keys])


def _clean(text: str) -> str:
    """Return the beginning of a text, without lone surrogates, which tokenizers refuse."""
    return text[:MAX_CHARACTERS].encode("utf-8", "replace").decode()
