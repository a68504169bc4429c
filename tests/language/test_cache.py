from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest

from harness.language.cache import VectorCache, key_of


def unit(*numbers):
    vector = np.array(numbers, np.float32)
    return vector / np.linalg.norm(vector)


ONE, TWO = key_of("one"), key_of("two")
KNOWN = {ONE: unit(1, 2), TWO: unit(-3, 4)}


@pytest.fixture
def said():
    return []


@pytest.fixture
def cache(tmp_path, said):
    return VectorCache(tmp_path / "encodings", "minilm 53aa bf16", said.append)


def test_what_was_kept_is_found_again_bit_by_bit(cache, said):
    assert cache.read([ONE]) == {}
    cache.write(KNOWN)
    cache.write({ONE: unit(5, 5)})  # another process was faster
    found = cache.read([TWO, key_of("three"), ONE])
    assert set(found) == {ONE, TWO}
    for key, vector in found.items():
        np.testing.assert_array_equal(vector, KNOWN[key])
        assert vector.dtype == np.float32
    assert not said


def test_many_keys_are_found(cache):
    many = {key_of(str(number)): unit(number, 1) for number in range(1_300)}
    cache.write(many)
    assert set(cache.read(many)) == set(many)


def test_every_model_has_a_file_of_its_own(cache, tmp_path, said):
    cache.write(KNOWN)
    other = VectorCache(tmp_path / "encodings", "minilm 53aa fp32", said.append)
    assert other.path != cache.path
    assert other.read([ONE]) == {}
    assert cache.path.name.startswith("minilm-")


def damage(path, kind):
    if kind == "garbage":
        path.write_bytes(b"no database at all" * 1_000)
    elif kind == "cut short":
        path.write_bytes(path.read_bytes()[:5_000])
    elif kind == "overwritten inside":
        path.write_bytes(path.read_bytes()[:4_096] + b"\xff" * (path.stat().st_size - 4_096))
    else:
        changes = {
            "not of length 1": "UPDATE vectors SET vector = zeroblob(8)",
            "of another size": "UPDATE vectors SET vector = x'0000803f' WHERE rowid = 1",
            "of no size": "UPDATE vectors SET vector = x''",
        }
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(changes[kind])


@pytest.mark.parametrize("kind", ["garbage", "cut short", "overwritten inside"])
def test_a_damaged_file_is_begun_anew(cache, said, kind):
    cache.write(KNOWN)
    damage(cache.path, kind)
    assert cache.read([ONE, TWO]) == {}
    assert len(said) == 1
    assert str(cache.path) in said[0]
    assert "damaged" in said[0]
    cache.write(KNOWN)
    assert set(cache.read([ONE, TWO])) == {ONE, TWO}
    assert len(said) == 1


SWAPPED = "substr(vector, 5, 4) || substr(vector, 1, 4) || substr(vector, 9)"


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ("SET vector = zeroblob(12)", set()),
        ("SET vector = x''", set()),
        ("SET vector = x'0000803f' WHERE rowid = 1", {TWO}),
        # As long as before, but another direction: only the check sum tells.
        (f"SET vector = CAST({SWAPPED} AS BLOB)", set()),
        (f"SET vector = {SWAPPED}", set()),  # text
        ("SET vector = 7", set()),
        ("SET vector = (SELECT vector FROM vectors WHERE rowid = 2) WHERE rowid = 1", {TWO}),
    ],
)
def test_damaged_rows_are_encoded_again_and_the_others_stay(cache, said, change, left):
    cache.write(KNOWN)
    with closing(sqlite3.connect(cache.path)) as connection, connection:
        connection.execute(f"UPDATE vectors {change}")
    assert set(cache.read([ONE, TWO])) == left
    assert len(said) == 1
    assert f"{2 - len(left)} of the encodings in {cache.path} are damaged" in said[0]
    cache.write(KNOWN)
    found = cache.read([ONE, TWO])
    assert {key: vector.tolist() for key, vector in found.items()} == {
        key: vector.tolist() for key, vector in KNOWN.items()
    }
    assert len(said) == 1


def test_if_nothing_can_be_kept_the_run_goes_on(tmp_path, said):
    (tmp_path / "encodings").touch()
    cache = VectorCache(tmp_path / "encodings", "minilm", said.append)
    cache.write(KNOWN)
    assert cache.read([ONE]) == {}
    assert len(said) == 1
    assert "continuing without" in said[0]


WRITER = """
import os, sqlite3, sys
from pathlib import Path
import numpy as np
from harness.language.cache import VectorCache, key_of
cache = VectorCache(Path(sys.argv[1]), "minilm 53aa bf16", print)
for group in range(20):
    numbers = range(group * 10, group * 10 + 10)
    cache.write({key_of(f"{n % 150}"): np.array([0, 1], np.float32) for n in numbers})
connection = sqlite3.connect(cache.path)
connection.execute("BEGIN IMMEDIATE")
connection.execute("DELETE FROM vectors")
os._exit(9)
"""


def test_many_processes_write_at_once_and_are_killed_in_the_middle(cache, said):
    command = [sys.executable, "-c", WRITER, str(cache.path.parent)]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    told = [writer.communicate()[0] for writer in writers]
    assert [writer.returncode for writer in writers] == [9, 9, 9]
    assert told == ["", "", ""]
    assert len(cache.read([key_of(str(number)) for number in range(150)])) == 150
    assert not said
