"""What others wrote reaches no terminal raw."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.terminal import note, page, visible

ANY = st.text(st.characters(exclude_categories=()), max_size=60)
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def hidden(text: str) -> list[str]:
    return [c for c in text if unicodedata.category(c) in HIDDEN]


@given(ANY)
def test_a_line_has_nothing_hidden_and_stays_one_line(text: str) -> None:
    line = visible(text)
    assert not hidden(line)
    assert len(line.splitlines()) <= 1
    assert visible(line) == line
    line.encode()  # a name that is not UTF-8 can be printed


@given(ANY)
def test_a_page_keeps_its_lines_and_blanks_and_hides_nothing_else(text: str) -> None:
    shown = page(text)
    assert shown.count("\n") == text.count("\n")
    assert not hidden(shown.replace("\n", ""))
    assert shown.count(" ") == text.count(" ")


@given(st.text(st.sampled_from("aäß鳥🐟 %\\|<"), max_size=20))
def test_what_can_be_seen_stays_as_it_is(text: str) -> None:
    assert page(text) == text
    assert visible(text) == " ".join(text.split())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jgone\x07", r"\x1b[2Jgone\x07"),
        ("one\r\ntwo\x85three\u2028four", "one two three four"),
        ("\u202egpj.exe\u200b", r"\u202egpj.exe\u200b"),
        ("caf\udce9.jpg", r"caf\xe9.jpg"),
        ("\x9b31m", r"\x9b31m"),
        ("\ue000\ufeff\ud800", r"\ue000\ufeff\ud800"),
    ],
)
def test_hidden_characters_are_spelt_out(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_a_long_line_is_cut_only_if_asked() -> None:
    assert visible("x" * 500) == "x" * 500
    assert visible("x" * 500, longest=10) == "xxxxxxx..."


def test_a_note_is_one_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    note("a\x1b[2J\nb")
    assert capsys.readouterr() == ("", "a\\x1b[2J b\n")
