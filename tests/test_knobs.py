"""Knobs say where their value comes from, and texts become values of their types."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, NonNegativeFloat, PositiveInt

from harness.assembly.activation import instance_of
from harness.assembly.descriptions import describe
from harness.errors import HarnessError, PluginError
from harness.knobs import (
    UNSTATED,
    assumed,
    check_fields,
    knobs_of,
    parse_knobs,
    parse_value,
    published,
)


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method."""

    model: Literal["A", "B"] = published("A", "deck, Table 1")
    percent: Literal[0, 50, 100] = published(50, "deck, Table 2")
    epochs: int = assumed(9, "usual")
    lr: float = 0.1
    clip: float | None = None
    nesterov: bool = False
    counts: tuple[int, ...] = (1, 2)
    pair: tuple[int, float] = (1, 0.5)
    networks: tuple[str, ...] = ("a",)
    words: str = ""
    share: Annotated[float, Field(ge=0, le=1)] = 0.5
    steps: PositiveInt = 3
    parts: Annotated[tuple[NonNegativeFloat, ...], Field(min_length=1)] = (1.0,)
    either: Annotated[float, Field(lt=1)] = 0.0
    listing: list[int] = field(default_factory=lambda: [7])
    named: dict[str, float] = field(default_factory=dict)
    floor: Annotated[float, Field(gt=0)] | None = None
    _hidden: int = 3


def test_a_knob_says_where_its_value_comes_from() -> None:
    knobs = knobs_of(Method)
    assert knobs["model"][:3] == ("model", "A", "A | B")
    assert (knobs["model"].origin, knobs["model"].source) == ("published", "deck, Table 1")
    assert (knobs["epochs"].origin, knobs["epochs"].source) == ("assumed", "usual")
    assert (knobs["lr"].origin, knobs["lr"].source) == ("assumed", UNSTATED)


def test_hidden_fields_are_not_knobs_and_factories_give_their_default() -> None:
    knobs = knobs_of(Method)
    assert "_hidden" not in knobs
    assert knobs["listing"].default == [7]
    assert {name: knob.type for name, knob in knobs.items()} == {
        "model": "A | B",
        "percent": "0 | 50 | 100",
        "epochs": "int",
        "lr": "float",
        "clip": "float | None",
        "nesterov": "bool",
        "counts": "tuple[int, ...]",
        "pair": "tuple[int, float]",
        "networks": "tuple[str, ...]",
        "words": "str",
        "share": "float in [0, 1]",
        "steps": "int > 0",
        "parts": "tuple[float >= 0, ...]",
        "either": "float < 1",
        "listing": "list[int]",
        "named": "dict[str, float]",
        "floor": "float > 0 | None",
    }


def test_a_plugin_that_is_not_a_dataclass_has_no_knobs() -> None:
    class Bare:
        pass

    assert knobs_of(Bare) == {}


def test_a_type_that_cannot_be_found_is_said() -> None:
    @dataclass
    class Wrong:
        knob: Missing = 1  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(PluginError, match=r"Wrong.*'Missing' is not defined; import what"):
        knobs_of(Wrong)


@pytest.mark.parametrize(
    ("knob", "text", "value"),
    [
        ("model", "B", "B"),
        ("percent", "100", 100),
        ("epochs", "12", 12),
        ("lr", "1e-3", 1e-3),
        ("clip", "2.5", 2.5),
        ("nesterov", "true", True),
        ("nesterov", "no", False),
        ("counts", "3,4,5", (3, 4, 5)),
        ("counts", "3", (3,)),
        ("counts", "3, 4,", (3, 4)),
        ("counts", "", ()),
        ("pair", "2,0.25", (2, 0.25)),
        ("networks", "resnet50,vit", ("resnet50", "vit")),
        ("words", "a, b=c", "a, b=c"),
        ("share", "1", 1.0),
        ("clip", "none", None),
        ("listing", "3, 4", [3, 4]),
        ("named", "a=0.5,b=1", {"a": 0.5, "b": 1.0}),
        ("named", "", {}),
        ("floor", "0.5", 0.5),
        ("floor", "None", None),
    ],
)
def test_texts_become_values_of_their_type(knob: str, text: str, value: object) -> None:
    parsed = parse_knobs("mine", Method, {knob: text})[knob]
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("knob", "text", "words"),
    [
        ("model", "Z", "knob model must be one of A, B, got 'Z'"),
        ("model", "a", "one of A, B, got 'a'"),
        ("percent", "51", "one of 0, 50, 100, got '51'"),
        ("epochs", "many", "is not an int"),
        ("epochs", "1.5", "is not an int"),
        ("epochs", "", "is not an int"),
        ("epochs", "9" * 5000, "is not an int"),
        ("lr", "fast", "is not a float"),
        ("lr", "nan", "must be finite"),
        ("lr", "inf", "must be finite"),
        ("clip", "nan", "must be finite"),
        ("pair", "1,nan", "must be finite"),
        ("pair", "1", "is not a tuple"),
        ("pair", "1,2,3", "is not a tuple"),
        ("counts", "1,x", "is not a tuple"),
        ("counts", "1,,2", "is not a tuple"),
        ("nesterov", "maybe", "is not a bool"),
        ("share", "1.5", "mine: knob share must be in [0, 1], got 1.5"),
        ("steps", "0", "knob steps must be an int > 0, got 0"),
        ("parts", "1,-1", "knob parts must be >= 0, got -1.0"),
        ("parts", "", "knob parts must have 1 or more values, got ()"),
        ("either", "2", "knob either must be < 1, got 2.0"),
        ("modle", "A", "unknown knob of mine 'modle'; did you mean 'model'?"),
        ("_hidden", "4", "unknown knob"),
    ],
)
def test_a_wrong_text_is_refused_in_one_line(knob: str, text: str, words: str) -> None:
    with pytest.raises(HarnessError) as caught:
        parse_knobs("mine", Method, {knob: text})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_type_that_no_text_can_have_is_the_plugins_fault() -> None:
    class Own:
        pass

    with pytest.raises(PluginError, match="cannot be set from a text"):
        parse_value("knob", Own, "text")


@given(st.integers(-(10**18), 10**18))
def test_every_int_reads_as_itself(value: int) -> None:
    assert parse_value("knob", int, str(value)) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_float_reads_as_itself(value: float) -> None:
    assert parse_value("knob", float, str(value)) == value


@given(st.lists(st.integers()))
def test_every_tuple_reads_as_itself(values: list[int]) -> None:
    assert parse_value("knob", tuple[int, ...], ",".join(map(str, values))) == tuple(values)


@given(st.text())
@pytest.mark.parametrize("annotation", [int, float, bool, tuple[int, ...], Literal["A"], str])
def test_any_text_is_a_value_or_one_line(annotation: Any, text: str) -> None:
    said = ""
    try:
        parse_value("knob", annotation, text)
    except HarnessError as error:
        said = str(error)
    assert "\n" not in said


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A method that reads files."""

    weights: Path | None = None
    tables: tuple[Path, ...] = ()


def test_a_path_may_begin_with_a_tilde_for_the_home() -> None:
    found = parse_knobs("reader", Reader, {"weights": "a b/w.pt", "tables": "~/x, y"})
    assert found == {"weights": Path("a b/w.pt"), "tables": (Path.home() / "x", Path("y"))}


@pytest.mark.parametrize("text", ["", ".", "~nobody_is_called_so/w.pt"])
def test_a_path_that_leads_nowhere_is_refused(text: str) -> None:
    with pytest.raises(HarnessError, match=r"^reader: knob weights='.*'"):
        parse_knobs("reader", Reader, {"weights": text})


def test_sound_fields_pass_numpy_numbers_among_them() -> None:
    check_fields(Method())
    check_fields(Method(share=np.float32(0.25), steps=np.int64(2), parts=(0, 1)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"model": "Z"}, "Method: model must be one of A, B, got 'Z'"),
        ({"percent": True}, "Method: percent must be one of 0, 50, 100, got True"),
        ({"share": 1.5}, "Method: share must be in [0, 1], got 1.5"),
        ({"share": float("nan")}, "Method: share must be in [0, 1], got nan"),
        ({"share": "0.5"}, "Method: share must be in [0, 1], got '0.5'"),
        ({"share": None}, "Method: share must be in [0, 1], got None"),
        ({"steps": 2.5}, "Method: steps must be an int > 0, got 2.5"),
        ({"steps": True}, "Method: steps must be an int > 0, got True"),
        ({"parts": (1.0, float("inf"))}, "Method: parts must be >= 0, got inf"),
        ({"parts": ()}, "Method: parts must have 1 or more values, got ()"),
        ({"parts": 1.0}, "Method: parts must be a tuple, got 1.0"),
    ],
)
def test_a_field_outside_its_range_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(PluginError) as caught:
        check_fields(Method(**fields))
    assert str(caught.value) == words


def test_a_knob_out_of_range_is_refused_before_the_plan() -> None:
    with pytest.raises(PluginError, match="Wrong: share must be < 1, got 2"):
        instance_of("wrong", Wrong, {})


@dataclass(frozen=True)
class Wrong:
    """A plugin whose default is outside its range."""

    share: Annotated[float, Field(lt=1)] = 2


@dataclass(frozen=True)
class WithRange:
    """A value whose field has a range."""

    share: Annotated[float, Field(lt=1)] = 0.5


@dataclass(frozen=True)
class Plain:
    """The same value without a range."""

    share: float = 0.5


def test_a_range_does_not_change_the_description_of_a_value() -> None:
    (ranged,), (plain,) = (describe(v, "v").values() for v in (WithRange(), Plain()))
    assert ranged[2:] == plain[2:] == [[["share", 0.5]], []]
