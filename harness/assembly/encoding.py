"""Encoders of texts and pictures: what they must return, and what is said if there is none."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from harness.assembly.calling import calling
from harness.assembly.stage_values import LARGEST
from harness.errors import HarnessError, PluginError
from harness.values import PictureEncoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEAR = 0.6  # alike: "minilmm" is 0.92 of "minilm", "clp" 0.86 of "clip"
OFF = 1e-2  # of a vector's length: bf16 has 8 bits


class Encoding(NamedTuple):
    """A plugin that may answer for an encoder: its name, the object and the encoder's identity."""

    name: str
    plugin: object
    identity: object = None


def listed_encoders(plugin: object) -> tuple[str, ...]:
    """Return the ids that a plugin lists in ``encoders``; another kind of attribute is none."""
    listed = getattr(plugin, "encoders", ())
    named = listed if isinstance(listed, (tuple, list)) else (listed,)
    return tuple(known for known in named if isinstance(known, str))


def unit_vectors(who: str, vectors: object, count: int) -> NDArray[np.float32]:
    """Return ``(count, D)`` vectors of length 1; raises PluginError if they are anything else."""
    if not isinstance(vectors, np.ndarray) or vectors.dtype.kind != "f":
        kind = vectors.dtype if isinstance(vectors, np.ndarray) else type(vectors).__name__
        raise PluginError(
            f"{who} must return ({count}, D) vectors, a numpy array of floats, not {kind}"
        )
    if vectors.ndim != 2 or len(vectors) != count or not vectors.shape[1]:
        raise PluginError(f"{who} must return ({count}, D) vectors, not {vectors.shape}")
    lengths = np.linalg.norm(vectors, axis=1)
    if not np.isfinite(lengths).all():
        raise PluginError(f"{who} returns vectors that are not finite")
    if len(lengths) and np.abs(lengths - 1).max() > OFF:
        worst = lengths[np.abs(lengths - 1).argmax()]
        raise PluginError(
            f"{who} must return vectors of length 1, not {worst:.3g}; divide each by its length"
        )
    return vectors.astype(np.float32, copy=False)


def checked_encoder(name: str, answer: object) -> PictureEncoder:
    """Return a plugin's picture encoder, whose answers are checked and whose errors name it."""
    who = f"plugin {name!r}: picture_encoder"
    if not isinstance(answer, PictureEncoder):
        raise PluginError(f"{who} must return a PictureEncoder or None, not {answer!r:.80}")
    size, encode = answer.size, answer.encode
    if type(size) is not int or not 0 < size <= LARGEST["input_size"]:
        raise PluginError(f"{who}: size must be pixels from 1 to 16,384, not {size!r:.80}")
    if not callable(encode):
        raise PluginError(f"{who}: encode must be a function of pictures, not {encode!r:.80}")

    def checked(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        with calling(who, hook="encode", draws=("torch", "numpy")):
            vectors = encode(pictures)
        return unit_vectors(who, vectors, len(pictures))

    return replace(answer, encode=checked)


def unknown_encoder(asked: Sequence[Encoding], encoder: str) -> HarnessError:
    """Return an error that no plugin provides the text encoder."""
    return HarnessError(
        f"no active plugin provides text encoder {encoder!r}{_nearest(asked, encoder)} "
        f"(asked: {', '.join(one.name for one in asked) or 'none'})"
    )


def _nearest(asked: Sequence[Encoding], encoder: str) -> str:
    """Say which of the ids that the plugins list in ``encoders`` may have been meant.

    Of an id such as ``hf:NAME`` only what is before the colon is compared.
    """
    listed = [known for one in asked for known in listed_encoders(one.plugin)]
    kinds = {known.partition(":")[0]: known for known in listed if known != encoder}
    near = difflib.get_close_matches(encoder.partition(":")[0], kinds, n=1, cutoff=NEAR)
    return f"; did you mean {kinds[near[0]]!r}?" if near else ""


def ambiguous_encoder(names: Sequence[str], encoder: str) -> PluginError:
    """Return an error that several plugins know the same encoder."""
    both = " and ".join(map(repr, names))
    return PluginError(f"{both} both provide text encoder {encoder!r}; leave one out")


def no_pictures(asked: Sequence[Encoding], encoder: str) -> HarnessError:
    """Return an error that an encoder is one of texts only, or not known to who was asked."""
    names = ", ".join(one.name for one in asked)
    if all(one.identity is None for one in asked):
        near = _nearest(asked, encoder)
        said = f"no active plugin encodes pictures by {encoder!r}{near} (asked: {names})"
    else:
        said = f"encoder {encoder!r} of plugin {names!r} encodes texts but no pictures"
    return HarnessError(
        f"{said}; choose one that does both, such as clip:FOLDER or one that a plugin provides by "
        "the hook picture_encoder"
    )
