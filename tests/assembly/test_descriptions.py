"""A value's description is its content: what differs is described differently, the rest refused."""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.assembly.descriptions import describe, describe_provider
from harness.assembly.sources import file_sha256
from harness.errors import HarnessError, PluginError
from harness.schedules import Constant, Part
from harness.store.record import digest


def told(value: object) -> str:
    return digest(describe(value))


@dataclass(frozen=True)
class Point:
    x: Any = 0.5
    type: str = "a field that is called like a description's own words"


@dataclass(frozen=True)
class Other:
    x: Any = 0.5
    type: str = "a field that is called like a description's own words"


@dataclass(frozen=True)
class Further(Point):
    """The same fields in a class below."""


@dataclass
class Hidden:
    x: int = 0
    silent: int = field(default=0, compare=False, repr=False)
    later: int = field(default=0, init=False)


@dataclass(frozen=True, slots=True)
class Slotted:
    x: int = 0


class Plain:
    """No dataclass: it is what it holds."""

    def __init__(self, **holds: Any) -> None:
        self.__dict__.update(holds)

    @functools.cached_property
    def derived(self) -> int:
        return 7


class Pair(NamedTuple):
    a: int
    b: Any


Twin = collections.namedtuple("Twin", "a b")


class Colour(enum.Enum):
    RED = 1
    GREEN = 2


class Size(enum.IntEnum):
    RED = 1


def double(value: Any) -> Any:
    return value * 2


def triple(value: Any) -> Any:
    return value * 3


@functools.lru_cache
def kept(value: int) -> int:
    return value


def scaled(by: int) -> Callable[[int], int]:
    return lambda value: value * by


class Method:
    def method(self) -> None:
        """Be bound."""


class Deque(collections.deque[int]):
    """What it holds is C's."""


def inner(share: float) -> Any:
    class Inside:
        at = share

    return Inside()


made = type("made", (), {"share": 0.5})

DIFFERENT: list[Any] = [
    *(None, True, False, 0, 1, 2, -1, 2**64, 2**65, 10**5000, 10**5000 + 1),
    *(0.0, -0.0, 1.0, 0.5, math.nan, math.inf, -math.inf, 1j, 1 + 0j),
    *("", "1", "None", "nan", "\ud83d\ude00", "\U0001f600", "\ud83d", "?", b"", b"1", bytearray()),
    *([], (), {}, set(), frozenset(), [[]], [()], ([],), ((),), {(): 1}),
    *([1], (1,), {1}, frozenset({1}), {1: 1}, {"1": 1}, {True: 1}, {1.0: 1}, [1.0], [True]),
    *({1: 2, 3: 4}, {3: 4, 1: 2}, [(1, 2), (3, 4)], {"a": {"b": 1}}, {"a": 1, "b": 1}),
    *(collections.OrderedDict(a=1), collections.Counter(a=1), MappingProxyType({"a": 1}), {"a": 1}),
    *({"list": [1]}, {"tuple": [1]}, {"float": "nan"}, {"str": ""}, {"set": [1]}, {"object": []}),
    *(range(3), range(0, 3, 2), range(0), Fraction(1, 2), Fraction(1, 3), PurePosixPath("a")),
    *(Point(), Point(1), Point(True), Point(1.0), Point((1,)), Point([1]), Other(), Further()),
    *(Hidden(), Hidden(x=1), Hidden(silent=1), Slotted(), Slotted(1)),
    *(Plain(), Plain(x=1), Plain(x=2), Plain(y=1), Plain(x=Plain()), Plain(x=Point())),
    *(Pair(1, 2), Pair(1, 3), Twin(1, 2), (1, 2), [1, 2]),
    *(Colour.RED, Colour.GREEN, Size.RED, Colour, Size, Point, Pair),
    *(double, triple, kept, len, math.sqrt, np.float32, torch.nn.functional.relu),
    *(functools.partial(double), functools.partial(double, 1), functools.partial(double, value=1)),
    *(functools.partial(triple), functools.partial(functools.partial(double), [1])),
    *(np.float64(0.5), np.float32(0.5), np.int64(1), np.int32(1), np.bool_(1), np.str_("1")),
    *(np.zeros(2), np.zeros(3), np.zeros((1, 2)), np.zeros((2, 1)), -np.zeros(2), np.array(0.0)),
    *(np.zeros(2, np.float32), np.zeros(2, np.int64), np.zeros(2, ">i8"), np.zeros(16, np.uint8)),
    *(np.zeros(1, [("a", "i4"), ("b", "i4")]), np.zeros(1, [("a", "i4"), ("c", "i4")])),
    *(
        np.array(["ab"]),
        np.array([b"ab"]),
        np.array(["2020"], "M8[D]"),
        np.array(["2020"], "M8[s]"),
    ),
    *(np.dtype("f4"), np.dtype(">f4"), torch.float32, torch.float16, torch.device("cpu")),
    *(torch.zeros(2), torch.zeros(1, 2), torch.zeros(2, dtype=torch.bfloat16), torch.tensor(0.0)),
    *(torch.zeros(2, dtype=torch.float16), torch.zeros(2, dtype=torch.bool), torch.ones(2)),
    *(torch.zeros(2, requires_grad=True), torch.nn.Parameter(torch.zeros(2))),
    *(torch.nn.ReLU(), torch.nn.ReLU(inplace=True), torch.nn.GELU()),
]


def test_values_that_differ_are_described_differently() -> None:
    found: dict[str, object] = {}
    for value in DIFFERENT:
        key = told(value)
        assert key not in found, (value, found[key])
        found[key] = value
    # Nor does a description look like that of the value it is written with.
    assert told(describe(Point())) != told(Point())


def test_a_value_is_described_the_same_twice_and_inside_another() -> None:
    for value in DIFFERENT:
        assert told(value) == told(value), value
        inside = (told([value]), told((value,)), told(Point(value)), told([value, value]))
        assert len(set(inside)) == 4, value


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters()),
    st.binary(max_size=4),
    st.sampled_from([*Colour, *Size, double, triple, Point, np.float32(1), np.int64(1)]),
)
hashable = st.recursive(leaves, lambda inside: st.tuples(inside, inside), max_leaves=3)
values = st.recursive(
    leaves,
    lambda inside: st.one_of(
        st.lists(inside, max_size=3),
        st.lists(inside, max_size=3).map(tuple),
        st.dictionaries(hashable, inside, max_size=3),
        st.frozensets(hashable, max_size=3),
        st.builds(Point, inside),
        st.builds(Other, inside),
        st.builds(lambda x: Plain(x=x), inside),
        st.builds(Pair, st.just(1), inside),
        st.builds(functools.partial, st.just(double), inside),
    ),
    max_leaves=8,
)


def exact(value: Any) -> str:
    """A text that is equal for two values if and only if they are the same in every type."""
    kind, text = type(value), getattr(value, "__qualname__", "") or repr(value)
    if isinstance(value, (list, tuple)):
        text = ", ".join(map(exact, value))
    elif isinstance(value, dict):
        text = ", ".join(f"{exact(k)}: {exact(v)}" for k, v in value.items())
    elif isinstance(value, frozenset):
        text = ", ".join(sorted(map(exact, value)))
    elif isinstance(value, functools.partial):
        text = exact(value.args)
    elif isinstance(value, (Point, Other, Plain)):
        text = exact(value.x)
    elif isinstance(value, str):
        text = str([ord(character) for character in value])
    return f"{kind}({text})"


@given(values, values)
def test_two_values_share_a_description_only_if_they_are_the_same(one: Any, other: Any) -> None:
    assert (told(one) == told(other)) == (exact(one) == exact(other))


def test_equal_values_have_equal_descriptions_in_any_place() -> None:
    wide = np.arange(12.0).reshape(3, 4)
    assert told(wide[:, ::2]) == told(np.ascontiguousarray(wide[:, ::2]))
    assert told(torch.arange(6.0)[::2]) == told(torch.tensor([0.0, 2.0, 4.0]))
    assert told({"b", "a", "c"}) == told({"c", "b", "a"})
    assert told(Point(x=0.5)) == told(Point())
    used, fresh = Plain(x=1), Plain(x=1)
    assert used.derived == 7
    assert told(used) == told(fresh)  # a cached property is no content


def test_what_an_instance_holds_beside_its_fields_counts() -> None:
    one, other, set_later = Hidden(), Hidden(), Hidden()
    set_later.later = 1
    object.__setattr__(other, "memory", [1])
    assert len({told(one), told(other), told(set_later)}) == 3


def test_an_array_on_disk_is_its_content(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(3))
    on_disk = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert told(on_disk) == told(np.arange(3))


REFUSED: dict[str, Any] = {
    "a lambda": lambda x: x,
    "a closure": scaled(2),
    "a bound method": Method().method,
    "an object of nothing": object(),
    "a class inside a function": inner(0.5),
    "a class made by a call": made(),
    "a generator": (x for x in "a"),
    "a random generator": np.random.default_rng(0),
    "a state of C's": collections.deque([1]),
    "a class over a state of C's": Deque([1]),
    "a pattern": re.compile("a"),
    "an array of objects": np.array([1, "a"], object),
    "a long double": np.longdouble(1),
    "a masked array": np.ma.masked_array([1], [True]),
    "a sparse tensor": torch.zeros(2).to_sparse(),
    "a meta tensor": torch.zeros(2, device="meta"),
    "a text's own method": "a".join,
    "a made dataclass": dataclasses.make_dataclass("Made", ["x"])(1),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: Point([{1: value}])])
def test_what_has_no_fixed_description_is_refused(kind: str, wrap: Callable[[Any], Any]) -> None:
    with pytest.raises(PluginError, match="has no fixed description") as caught:
        describe(wrap(REFUSED[kind]))
    assert "\n" not in str(caught.value)
    assert "write" in str(caught.value)


def test_a_refusal_says_where_the_value_is() -> None:
    with pytest.raises(PluginError, match=r"^Point\.x\[0\]\['a'\]: <function .*<lambda>"):
        describe(Point([{"a": lambda x: x}]))
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(PluginError, match="contains itself"):
        describe(loop)


def test_values_are_described_with_the_source_behind_them() -> None:
    digests = {__name__: file_sha256(__file__)}
    for value in (
        Point(),
        Plain(),
        Colour.RED,
        double,
        Point,
        functools.partial(double),
        Pair(1, 2),
    ):
        assert str(digests) in str(describe(value))
    assert "sources" not in str(describe(Constant()))
    # The harness's own schedule is known by the protocol; what another put into it is not.
    part = describe(Part(whole=Plain(), begin=0, end=1))  # type: ignore[arg-type]
    assert str(digests) in str(part)
    assert f"version {torch.__version__}" in str(describe(torch.nn.ReLU()))


# files and folders


def folder_of(place: Path, **files: str) -> Path:
    place.mkdir(parents=True)
    for name, text in files.items():
        (place / name).write_text(text)
    return place


def test_a_path_is_what_it_holds_and_its_name(tmp_path: Path) -> None:
    one = folder_of(tmp_path / "one", weights="a", other="b") / "weights"
    two = folder_of(tmp_path / "two", weights="a") / "weights"
    assert told(one) == told(two)
    assert told(one) != told(one.rename(one.with_name("other name")))
    before = told(two)
    two.write_text("c")
    assert told(two) != before
    os.utime(two, ns=(1, 1))
    assert told(two) != before


def test_a_folder_is_described_by_all_files_in_it(tmp_path: Path) -> None:
    one, two = (folder_of(tmp_path / name / "w", a="1", b="2") for name in ("one", "two"))
    (two / "a").unlink()
    (two / "a").symlink_to(one / "a")  # as the hub's cache has its files
    assert told(one) == told(two)
    folder_of(one / "below", c="3")
    deeper = told(one)
    assert deeper != told(two)
    (one / "below" / "c").rename(one / "below" / "d")
    assert told(one) != deeper
    assert told(Point(one)) != told(Point(str(one)))


def test_a_path_that_cannot_be_read_is_named_with_who_reads_it(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(HarnessError) as caught:
        describe(Point(missing))
    assert str(caught.value) == f"Point.x: {missing} cannot be read: No such file or directory"
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(HarnessError, match=r"^Point\.x: .* is neither a file nor a folder"):
            describe(Point(path))
    loop = folder_of(tmp_path / "loop")
    (loop / "self").symlink_to(loop)
    with pytest.raises(HarnessError, match="self is a link; put the folder itself there"):
        describe(loop)


def test_a_folder_of_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.store import contents

    folder = folder_of(tmp_path / "w", a="1", b="2")
    monkeypatch.setattr(contents, "MAX_FILES", 1)
    with pytest.raises(
        HarnessError, match="holds more than 1 files; name only those that are read"
    ):
        describe(folder)
    monkeypatch.setattr(contents, "MAX_FILES", 2)
    monkeypatch.setattr(contents, "MAX_BYTES", 1)
    with pytest.raises(HarnessError, match="GiB; name only the files that are read"):
        describe(folder)


class Reads(Plain):
    """It says what it reads."""

    @property
    def reads(self) -> Any:
        return self.asked


def test_what_a_part_says_it_reads_counts_by_its_content(tmp_path: Path) -> None:
    file = tmp_path / "table"
    file.write_text("1")
    part = Reads(asked=str(file))
    before, provider = told(part), digest(describe_provider(part))
    file.write_text("2, changed")
    assert told(part) != before
    assert digest(describe_provider(part)) != provider
    assert told(Reads(asked=(str(file), file))) != told(part)
    for wrong in (3, [None], {"a"}):
        with pytest.raises(PluginError, match=r"Reads\.reads must be a path or a tuple of paths"):
            describe(Reads(asked=wrong))
    file.unlink()
    with pytest.raises(HarnessError, match=r"^Reads\.reads: .*table cannot be read"):
        describe(part)
