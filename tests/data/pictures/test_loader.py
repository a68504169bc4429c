"""Feeding pictures: order, errors, memory, and what replaces a broken picture."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from harness.data.pictures import loader
from harness.data.pictures.loader import Crops, Loaded, Pictures, prefetch
from harness.data.pictures.store import FolderStore
from harness.errors import DataError, HarnessError
from harness.picture_store import PictureStore
from harness.samples import Samples, WebClass
from harness.store import reading
from harness.values import Picture, View

CROPS = Crops(16, 0.25)
CLASSES = 4


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    """Two hundred pictures of four classes; row r is all of colour r."""
    size = 200
    for row in range(size):
        Image.new("RGB", (24, 20), (row, row, row)).save(tmp_path / f"{row}.png")
    return Samples(
        split="train",
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


def loader_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("loader")}


def load(pictures: Pictures, rows: list[int], part: slice = slice(None), step: int = 0) -> Loaded:
    return pictures.training_batch(np.array(rows), part, CROPS, (3, step))


# ahead


def slow(number: int) -> Callable[[], int]:
    def call() -> int:
        time.sleep(0.002 * (number % 3))
        return number

    return call


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_results_come_in_the_order_of_the_calls(threads: int) -> None:
    assert list(prefetch((slow(number) for number in range(30)), threads)) == list(range(30))
    assert list(prefetch(iter(()), threads)) == []


def test_only_a_few_calls_run_ahead_of_the_consumer() -> None:
    taken = [0]

    def calls() -> Iterator[Callable[[], int]]:
        for number in range(1_000):
            taken[0] += 1
            yield slow(number)

    for eaten, _ in enumerate(prefetch(calls(), 2)):
        assert taken[0] - eaten <= 6


def test_an_error_surfaces_at_its_place_and_ends_the_threads() -> None:
    before = loader_threads()

    def broken() -> int:
        raise DataError("this one is broken")

    results = prefetch([slow(0), slow(1), broken, slow(3)], 2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(DataError, match="this one"):
        next(results)
    assert loader_threads() == before


def test_an_error_in_the_list_of_calls_surfaces_too() -> None:
    def calls() -> Iterator[Callable[[], int]]:
        yield slow(0)
        raise DataError("no more")

    with pytest.raises(DataError, match="no more"):
        list(prefetch(calls(), 2))


def test_closing_early_frees_the_threads_and_drops_what_waits() -> None:
    before, started = loader_threads(), []

    def call(number: int) -> Callable[[], int]:
        def run() -> int:
            started.append(number)
            time.sleep(0.01)
            return number

        return run

    results = prefetch((call(number) for number in range(100)), 2)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert loader_threads() == before
    assert len(started) <= 6


# pictures


def test_a_batch_does_not_depend_on_how_it_is_parted(samples: Samples) -> None:
    rows = list(range(0, 64, 2))
    whole = load(Pictures(samples, print), rows)
    parts = [load(Pictures(samples, print), rows, slice(first, first + 8))
             for first in range(0, 32, 8)]  # fmt: skip
    np.testing.assert_array_equal(whole.pixels, np.concatenate([part.pixels for part in parts]))
    np.testing.assert_array_equal(whole.rows, rows)
    assert whole.pixels[:, 0, 0, 0].tolist() == rows


def test_pictures_are_read_once_if_all_of_the_split_fit(
    samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = list(range(16))
    monkeypatch.setattr(loader, "KEPT_BYTES", 24 * 20 * 3 * len(samples))
    kept = Pictures(samples, report=print)
    load(kept, rows)
    monkeypatch.setattr(loader, "KEPT_BYTES", 24 * 20 * 3 * len(samples) - 1)
    read_again = Pictures(samples, report=print)
    expected = load(read_again, rows, step=1)
    for row in rows:
        (samples.root / f"{row}.png").unlink()
    np.testing.assert_array_equal(load(kept, rows, step=1).pixels, expected.pixels)
    with pytest.raises(DataError, match="are broken so far"):
        load(read_again, rows, step=1)


def test_crops_and_flips_change_with_the_step_and_come_back_with_it(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "0.png")
    one = np.zeros(1, np.int32)
    samples = Samples(
        split="train", root=tmp_path, files=np.array(["0.png"]), label=one,
        source=one.astype(np.int8), query=one, rank=one, weight=np.ones(1, np.float32),
        subset=one.astype(np.int8), classes=(WebClass("n0", "zero"),),
    )  # fmt: skip
    first, again, other = (load(Pictures(samples, print), [0] * 8, step=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert not np.array_equal(first.pixels, other.pixels)
    assert len({crop.tobytes() for crop in first.pixels}) == 8


def break_files(samples: Samples, *rows: int) -> None:
    for row in rows:
        (samples.root / f"{row}.png").write_bytes(b"no picture")


def test_a_broken_picture_is_reported_once_and_replaced_by_its_class(samples: Samples) -> None:
    said: list[str] = []
    break_files(samples, 5)
    pictures = Pictures(samples, said.append)
    loaded = [load(pictures, [1, 5, 9], step=step) for step in range(3)]
    taken = {int(batch.rows[1]) for batch in loaded}
    assert len(taken) == 1  # chosen by the row alone
    (other,) = taken
    assert other != 5
    assert samples.label[other] == samples.label[5]
    assert loaded[0].pixels[1, 0, 0, 0] == other
    assert list(pictures.broken) == [5]
    assert said == [
        f"broken image {samples.root / '5.png'}: not a picture; "
        "replaced by another picture of its class"
    ]


def test_a_broken_picture_is_replaced_from_its_subset_and_never_by_what_was_left_out(
    samples: Samples,
) -> None:
    break_files(samples, 5, 13)
    same = samples.label == samples.label[5]
    subset = np.where(same, -1, 0).astype(np.int8)
    subset[[5, 9, 13]] = 1, 0, 2
    subset[[101, 105]] = 1
    mixed = Pictures(samples.assign(subset=subset), print)
    rows = load(mixed, [5, 13]).rows
    assert rows[0] in (101, 105)
    assert rows[1] in (9, 101, 105)  # nothing else is left of its subset


def test_a_class_without_a_whole_picture_stops(samples: Samples) -> None:
    label = samples.label.copy()
    label[label == 3] = 0
    label[7] = 3
    break_files(samples, 7)
    pictures = Pictures(samples.assign(label=label), lambda line: None)
    with pytest.raises(DataError, match="class n3: no other picture can replace a broken one"):
        load(pictures, [7])


def test_more_than_one_in_a_hundred_stops(samples: Samples) -> None:
    said: list[str] = []
    break_files(samples, 0, 1, 2)
    pictures = Pictures(samples, said.append)
    load(pictures, [0, 1])
    with pytest.raises(DataError, match="3 of 200 pictures are broken so far, more than 1%") as end:
        load(pictures, [2])
    assert str(samples.root / "2.png") in str(end.value)
    assert len(said) == 3


def test_what_other_ranks_found_counts_and_is_reported_here(samples: Samples) -> None:
    said: list[str] = []
    break_files(samples, 0)
    pictures = Pictures(samples, said.append)
    load(pictures, [0])
    pictures.learn({0: "known", 4: "broken image four"})
    assert sorted(pictures.broken) == [0, 4]
    assert len(said) == 2
    assert said[1].startswith("broken image four")
    with pytest.raises(DataError, match="more than 1%"):
        pictures.learn({8: "broken image eight"})


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_broken_picture_of_a_test_is_an_error(samples: Samples, split: str) -> None:
    break_files(samples, 3)
    pictures = Pictures(samples.assign(split=split), print)
    views = (View(short_side=18, size=16),)
    with pytest.raises(DataError, match=f"3.png: not a picture; {split} cannot be scored"):
        pictures.test_batch(np.array([2, 3]), views)


class Failing:
    """A store whose disk fails for some reads of one row."""

    def __init__(self, store: PictureStore, row: int, error: BaseException, times: int) -> None:
        self._store, self._row, self._error, self._left = store, row, error, times

    def __len__(self) -> int:
        return len(self._store)

    def name(self, row: int) -> str:
        return self._store.name(row)

    def take(self, rows: NDArray[np.int64]) -> PictureStore:
        return self._store.take(rows)

    def read(self, row: int) -> bytes:
        if row == self._row and self._left:
            self._left -= 1
            raise self._error
        return self._store.read(row)


def failing(samples: Samples, error: BaseException, times: int) -> Samples:
    files = FolderStore(samples.root, samples.files.tolist())
    return samples.assign(store=Failing(files, 5, error, times))


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), MemoryError()])
def test_an_error_that_passes_is_not_a_broken_picture(
    samples: Samples, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setattr(reading, "WAITS", (0.0, 0.0))
    pictures = Pictures(failing(samples, error, 2), print)
    loaded, undisturbed = load(pictures, [1, 5]), load(Pictures(samples, print), [1, 5])
    np.testing.assert_array_equal(loaded.rows, undisturbed.rows)
    np.testing.assert_array_equal(loaded.pixels, undisturbed.pixels)
    assert pictures.broken == {}


def test_an_error_that_does_not_pass_stops_and_calls_nothing_broken(
    samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "WAITS", (0.0, 0.0))
    pictures = Pictures(failing(samples, OSError(errno.EIO, "Input/output error"), 3), print)
    with pytest.raises(HarnessError, match=r"cannot read .*5\.png: Input/output error \(EIO\)"):
        load(pictures, [1, 5])
    assert pictures.broken == {}


def test_a_missing_data_folder_is_not_a_broken_picture(samples: Samples) -> None:
    pictures = Pictures(samples, print)
    samples.root.rename(samples.root.with_name("unmounted"))
    with pytest.raises(HarnessError, match=f"cannot read {samples.root}: No such file"):
        load(pictures, [1])
    assert pictures.broken == {}


def test_all_views_come_from_one_decoding(
    samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[bytes] = []
    decode = loader.decode
    monkeypatch.setattr(loader, "decode", lambda data: decoded.append(data) or decode(data))
    views = tuple(View(short_side=18, size=size, flip=flip)
                  for size in (12, 16) for flip in (False, True))  # fmt: skip
    batch = Pictures(samples, print).test_batch(np.array([4, 9]), views)
    assert [part.shape for part in batch] == [(2, 12, 12, 3)] * 2 + [(2, 16, 16, 3)] * 2
    assert len(decoded) == 2
    assert batch[0][:, 0, 0, 0].tolist() == [4, 9]


# several crops, and tricks on them


@dataclass(frozen=True)
class Marks:
    """Writes its seed and view into the first pixel."""

    def __call__(self, picture: Picture) -> Picture:
        pixels = picture.pixels.copy()
        pixels[0, 0] = (picture.seed % 251, picture.view, 7)
        return picture._replace(pixels=pixels)


def test_a_picture_is_cut_several_times_and_the_first_crop_stays_the_same(samples: Samples) -> None:
    pictures = Pictures(samples, print)
    rows = np.arange(20)
    one = pictures.training_batch(rows, slice(None), CROPS, (3, 5))
    three = pictures.training_batch(rows, slice(None), CROPS._replace(views=3), (3, 5))
    assert one.further == ()
    assert np.array_equal(one.pixels, three.pixels)
    assert len(three.further) == 2
    for view in three.further:
        assert view.shape == one.pixels.shape
        assert np.array_equal(view[:, 0, 0, 0], rows)  # of the same pictures


def test_tricks_get_a_seed_of_their_own_whatever_the_part(samples: Samples) -> None:
    pictures, rows = Pictures(samples, print), np.arange(20)
    crops = CROPS._replace(views=2, tricks=(Marks(),))
    whole = pictures.training_batch(rows, slice(None), crops, (3, 5))
    seeds = [view[:, 0, 0, 0].tolist() for view in (whole.pixels, *whole.further)]
    assert len({*seeds[0], *seeds[1]}) > 20
    assert [set(view[:, 0, 0, 1].tolist()) for view in (whole.pixels, *whole.further)] == [{0}, {1}]
    half = pictures.training_batch(rows, slice(10, 20), crops, (3, 5))
    assert np.array_equal(half.pixels, whole.pixels[10:])
    first, second = whole.split(2)
    assert np.array_equal(second.further[0], whole.further[0][10:])
    assert first.rows.tolist() == list(range(10))
    other = pictures.training_batch(rows, slice(None), crops, (3, 6))
    assert other.pixels[:, 0, 0, 0].tolist() != seeds[0]
