"""Knobs say where their value comes from, and texts become values of their types."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from harness.errors import HarnessError, PluginError
from harness.knobs import UNSTATED, assumed, knobs_of, parse_knobs, parse_value, published


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
    listing: list[int] = field(default_factory=lambda: [7])
    _hidden: int = 3


def test_a_knob_says_where_its_value_comes_from() -> None:
    knobs = knobs_of(Method)
    assert knobs["model"][:3] == ("model", "A", "A | B")
    assert (knobs["model"].origin, knobs["model"].source) == ("published", "deck, Table 1")
    assert (knobs["epochs"].origin, knobs["epochs"].source) == ("assumed", "usual")
    assert (knobs["lr"].origin, knobs["lr"].source) == ("assumed", UNSTATED)


def test_hidden_fields_are_no_knobs_and_factories_give_their_default() -> None:
    knobs = knobs_of(Method)
    assert "_hidden" not in knobs
    assert knobs["listing"].default == [7]
    assert [knobs[name].type for name in ("lr", "counts", "clip")] == [
        "float",
        "tuple[int, ...]",
        "float | None",
    ]


def test_a_plugin_that_is_no_dataclass_has_no_knobs() -> None:
    class Bare:
        pass

    assert knobs_of(Bare) == {}


def test_a_type_that_cannot_be_found_is_said() -> None:
    @dataclass
    class Wrong:
        knob: Missing = 1  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(PluginError, match=r"Wrong.*'Missing' is not defined.*must be imported"):
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
    ],
)
def test_texts_become_values_of_their_type(knob: str, text: str, value: object) -> None:
    parsed = parse_knobs("mine", Method, {knob: text})[knob]
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("knob", "text", "words"),
    [
        ("model", "Z", "knob model='Z' is none of its choices: A, B"),
        ("model", "a", "choices: A, B"),
        ("percent", "51", "choices: 0, 50, 100"),
        ("epochs", "many", "is no int"),
        ("epochs", "1.5", "is no int"),
        ("epochs", "", "is no int"),
        ("epochs", "9" * 5000, "is no int"),
        ("lr", "fast", "is no float"),
        ("lr", "nan", "must be finite"),
        ("lr", "inf", "must be finite"),
        ("clip", "nan", "must be finite"),
        ("pair", "1,nan", "must be finite"),
        ("pair", "1", "is no tuple"),
        ("pair", "1,2,3", "is no tuple"),
        ("counts", "1,x", "is no tuple"),
        ("counts", "1,,2", "is no tuple"),
        ("nesterov", "maybe", "is no bool"),
        ("share", "1.5", "less than or equal to 1"),
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

    with pytest.raises(PluginError, match="no text can be turned into"):
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


def test_a_path_is_read_and_a_home_is_meant_where_it_begins_with_a_tilde() -> None:
    found = parse_knobs("reader", Reader, {"weights": "a b/w.pt", "tables": "~/x, y"})
    assert found == {"weights": Path("a b/w.pt"), "tables": (Path.home() / "x", Path("y"))}


@pytest.mark.parametrize("text", ["", ".", "~nobody_is_called_so/w.pt"])
def test_a_path_that_leads_nowhere_is_refused(text: str) -> None:
    with pytest.raises(HarnessError, match=r"^reader: knob weights='.*'"):
        parse_knobs("reader", Reader, {"weights": text})
