"""Texts, queries, their map and glosses are in the second fingerprint, and in no other."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.data.webvision import WebVision1
from harness.data.webvision.index.build import build_index
from harness.data.webvision.pack.write import Packing, pack
from harness.samples import Samples
from harness.spec import DataSpec, RunSpec


@pytest.fixture
def root(tiny_copy: Path) -> Path:
    return tiny_copy


def load(root: Path) -> Samples:
    spec = RunSpec(plugin="any", data=DataSpec(name="webvision1", path=str(root)))
    return WebVision1().load_samples(spec, "train")


def put(path: Path, content: bytes) -> None:
    """Write a file that takes the place of a link to one that other tests have too."""
    path.unlink()
    path.write_bytes(content)


def lengthen(path: Path) -> None:
    put(path, path.read_bytes() + b"\n")


def turn_a_letter(path: Path) -> None:
    """Change a byte of a title, and neither size nor time."""
    status, text = path.stat(), path.read_bytes()
    place = text.index(b'"title": "') + len(b'"title": "')
    put(path, text[:place] + b"#" + text[place + 1 :])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def first_text(root: Path) -> Path:
    return next(path for path in sorted((root / "google").glob("q*.json")))


@pytest.mark.parametrize(
    "change",
    [
        lambda root: lengthen(first_text(root)),
        lambda root: turn_a_letter(first_text(root)),
        lambda root: first_text(root).unlink(),
        lambda root: lengthen(root / "info" / "train_meta_list_flickr.txt"),
        lambda root: lengthen(root / "info" / "queries_google.txt"),
        lambda root: lengthen(root / "info" / "queries_synsets_map.txt"),
        lambda root: (root / "info" / "queries_synsets_map.txt").unlink(),
        lambda root: put(root / "info" / "glosses.txt", b"n01440764 a fish of ours\n"),
    ],
)
def test_what_surrounds_the_pictures_is_in_the_context_alone(
    root: Path, change: Callable[[Path], object]
) -> None:
    before = load(root)
    context = before.context_fingerprint()
    assert load(root).context_fingerprint() == context != before.fingerprint
    change(root)
    assert load(root).fingerprint == before.fingerprint
    assert load(root).context_fingerprint() != context


def test_the_texts_of_an_index_are_in_its_context(root: Path, tmp_path: Path) -> None:
    packed = tmp_path / "packed"
    pack(root, packed, Packing(short_side=None))
    before = load(packed)
    context = before.context_fingerprint()
    build_index(packed, texts=False)
    assert load(packed).fingerprint == before.fingerprint
    without = load(packed).context_fingerprint()
    lengthen(packed / "info" / "queries_google.txt")
    assert len({context, without, load(packed).context_fingerprint()}) == 3
