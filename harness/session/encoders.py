"""What the noise tricks of a stage may have encoded: texts, and the training pictures."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from harness.assembly.contract import tricks_of
from harness.assembly.descriptions import describe_provider
from harness.assembly.encoding import no_pictures
from harness.assembly.hooks import Hooks
from harness.assembly.prepare import Prepared
from harness.assembly.recipe import StageRecipe
from harness.assembly.stage_key import encoders_of
from harness.data.pictures.loader import Pictures, prefetch
from harness.errors import PluginError
from harness.language.cache import VectorCache
from harness.progress import ProgressLine
from harness.samplers import Rows
from harness.session.division import encode_divided
from harness.spec import RunSpec
from harness.store.record import digest
from harness.terminal import note
from harness.training.ranks import Ranks
from harness.values import PictureEncoder, View

GROUP = 64  # pictures that are encoded together
STORED = 1_024  # pictures between two writes to the cache
FILE_SECONDS = 10.0  # between two lines of progress in a file, as for texts

Vectors = NDArray[np.float32]


def picture_encoders(recipe: StageRecipe) -> list[str]:
    """Return the ids of the encoders that the noise tricks of a stage need for pictures."""
    tricks = tricks_of(recipe.noise)
    return sorted({*encoders_of(tricks)} & {*encoders_of(tricks, "picture_encoder")})


def found_encoder(hooks: Hooks, spec: RunSpec, encoder: str) -> PictureEncoder:
    """Return the picture encoder of this id; raises HarnessError if there is none."""
    found = hooks.picture_encoder(spec, encoder)
    if found is None:
        raise no_pictures(hooks.encoder_providers(spec, encoder), encoder)
    return found


class _Source(NamedTuple):
    """A picture encoder that was asked for, and where its vectors are kept."""

    encoder: PictureEncoder
    cache: VectorCache


class Encoders:
    """Encodes for the noise tricks of one stage; every rank must ask for the same.

    ``report`` is told of broken pictures, each of which another one of its class replaces.
    """

    def __init__(
        self,
        recipe: StageRecipe,
        prepared: Prepared,
        ranks: Ranks,
        report: Callable[[str], None],
    ) -> None:
        self._hooks, self._spec, self._samples = prepared.hooks, prepared.spec, prepared.samples
        self._ranks, self._report = ranks, report
        self._encoders = encoders_of(tricks_of(recipe.noise))
        self._of_pictures = picture_encoders(recipe)
        self._widths: dict[str, tuple[str, int]] = {}
        self._sources: dict[str, _Source] = {}

    def texts(self, encoder: str, texts: Sequence[str]) -> Vectors:
        """Return ``(N, D)`` rows of length 1."""
        if encoder not in self._encoders:  # it would not be in the stage's key
            raise PluginError(
                f"it encodes texts with {encoder!r}, but no noise trick of the stage names it; "
                f"give the trick a field or an attribute encoder = {encoder!r}"
            )
        encode = partial(self._hooks.encode_texts, self._spec, encoder)
        vectors = encode_divided(self._ranks, encode, texts) if texts else encode(texts)
        self._check_width(encoder, "texts", vectors)
        return vectors

    def pictures(self, encoder: str, rows: Rows) -> Vectors:
        """Return the vectors ``(R, D)`` of the pictures of ``rows`` ``(R,)``, in every rank.

        The ranks take turns with groups of pictures, and the division into groups does not depend
        on the number of ranks. So the vectors do not either: in bf16 they depend on their batch.
        """
        if not len(rows):
            return np.empty((0, 0), np.float32)
        if encoder not in self._of_pictures:
            raise PluginError(
                f"it encodes pictures with {encoder!r}, but no noise trick of the stage says so; "
                f"give the trick attributes or fields encoder = picture_encoder = {encoder!r}"
            )
        if encoder not in self._sources:
            self._sources[encoder] = self._ranks.together(lambda: self._open(encoder))
        source = self._sources[encoder]
        groups = [rows[first : first + GROUP] for first in range(0, len(rows), GROUP)]
        own = groups[self._ranks.rank :: self._ranks.world_size]
        vectors = self._ranks.together(lambda: self._encoded(encoder, source, own))
        parts = cast("list[list[Vectors]]", self._ranks.gather(vectors))
        self._pictures.learn(self._ranks.union(self._pictures.broken))
        found: list[Vectors] = [np.empty(0, np.float32)] * len(groups)
        for rank, part in enumerate(parts):
            found[rank :: self._ranks.world_size] = part
        for group in found:
            self._check_width(encoder, "pictures", group)
        return np.concatenate(found)

    def free(self) -> None:
        """Give back the memory of the encoders' networks, before training needs it."""
        if self._widths:
            self._sources.clear()
            gc.collect()  # models of sentence-transformers are cycles

    @cached_property
    def _pictures(self) -> Pictures:
        return Pictures(self._samples, self._report)

    def _open(self, encoder: str) -> _Source:
        found = found_encoder(self._hooks, self._spec, encoder)
        asked = self._hooks.encoder_providers(self._spec, encoder)
        providers = [describe_provider(one.plugin, one.identity) for one in asked]
        identity = f"pictures {digest([encoder, found.size, providers])}"
        return _Source(found, VectorCache(self._spec.home / "encodings", identity, note))

    def _encoded(self, encoder: str, source: _Source, groups: Sequence[Rows]) -> list[Vectors]:
        """Return the vectors of each group; a group is encoded whole if one of it is not kept."""
        found: list[Vectors] = []
        fresh: dict[bytes, Vectors] = {}
        done, total = 0, sum(map(len, groups))
        try:
            with ProgressLine(file_seconds=FILE_SECONDS) as line:
                for keys, pixels in self._read(source.encoder.size, groups):
                    kept = source.cache.read(set(keys))
                    if len(kept) < len(set(keys)):
                        kept = dict(zip(keys, source.encoder.encode(pixels), strict=True))
                        fresh |= kept
                    if len(fresh) >= STORED:
                        source.cache.write(fresh)
                        fresh = {}
                    found.append(np.stack([kept[key] for key in keys]))
                    done += len(keys)
                    if self._ranks.first:
                        line.count(f"encoding pictures with {encoder}", done, total)
        finally:  # Ctrl-C and a plugin's error too: what was encoded is kept
            if fresh:
                source.cache.write(fresh)
        return found

    def _read(
        self, size: int, groups: Sequence[Rows]
    ) -> Iterator[tuple[list[bytes], NDArray[np.uint8]]]:
        """Yield each group's centre squares, and the keys under which their vectors are kept."""
        views = (View(short_side=size, size=size),)

        def read(rows: Rows) -> tuple[list[bytes], NDArray[np.uint8]]:
            (pixels,) = self._pictures.test_batch(rows, views)
            return _keys(pixels), pixels

        return prefetch((partial(read, rows) for rows in groups), self._spec.loader_threads)

    def _check_width(self, encoder: str, what: str, vectors: Vectors) -> None:
        """Refuse texts and pictures that are not in one space."""
        first, width = self._widths.setdefault(encoder, (what, vectors.shape[1]))
        if vectors.shape[1] != width:
            asked = self._hooks.encoder_providers(self._spec, encoder)
            names = " and ".join(repr(one.name) for one in asked)
            raise PluginError(
                f"plugin {names}: encoder {encoder!r} gives {first} {width} columns, and {what} "
                f"{vectors.shape[1]}; all must be vectors of one space"
            )


def _keys(pixels: NDArray[np.uint8]) -> list[bytes]:
    """Return the keys of pictures ``(B, H, W, 3)``: what each shows, and what is beside it.

    The last digits of a vector depend on its batch. So a vector that is kept is the one that would
    be computed again, whoever kept it.
    """
    own = [hashlib.blake2b(one, digest_size=16).digest() for one in pixels]
    beside = hashlib.blake2b(b"".join(own)).digest()
    return [hashlib.blake2b(one + beside, digest_size=16).digest() for one in own]
