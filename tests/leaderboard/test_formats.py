"""Text that strangers' records cannot break out of."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness_leaderboard.formats import LISTS, PAGES, WIDTH, clean, render
from harness_leaderboard.published import load_published
from harness_leaderboard.table import make_board

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "a | b\n| c",
    '=HYPERLINK("http://x")',
    "-1+1",
    "\\input{/etc/passwd} $x_1$ % & # ~ ^",
    "[5cm] and *",
    "\x1b[31mred\x1b[0m\x07",
    "\u202eevil\u200b\x00",
    "`code` **bold** [link](http://x) _a_",
    "&lt;b&gt;",
    "x" * 5000,
    'comma, "quote" and\r\nline',
]


HTML_TAGS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "section", "p"} | {
    *("table", "thead", "tbody", "tr", "th", "td")
}
LATEX_COMMANDS = {"begin", "end", "centering", "caption", "par", "footnotesize", "noindent"} | {
    *("toprule", "midrule", "bottomrule", "textbackslash", "textasciitilde", "ensuremath")
}


class Page(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words, self.open = set(), set(), [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data.strip())


@pytest.fixture(scope="session")
def page_of(make_record, make_score, make_noise):
    def render_label(label, form):
        record = make_record(
            label=label,
            edition=label,
            scores=(make_score(protocol=label),),
            noise=(make_noise(stage=label),),
        )
        return render(make_board([record], ()), form)[0]

    return render_label


@pytest.mark.parametrize("label", HOSTILE)
def test_html_shows_hostile_text_as_text(page_of, label):
    page = Page(page_of(label, "html"))
    assert page.open == []
    assert page.tags <= HTML_TAGS
    assert not {name for name in page.attributes if name.startswith(("on", "src", "href"))}
    assert clean(label) in page.words


@pytest.mark.parametrize("label", HOSTILE)
def test_csv_is_one_list_with_one_header(page_of, label):
    text = page_of(label, "csv")
    header, row = csv.reader(io.StringIO(text, newline=""), strict=True)
    cells = dict(zip(header, row, strict=True))
    assert cells["method"].removeprefix("'") == clean(label)
    assert not cells["method"].startswith(("=", "+", "-", "@"))
    assert (cells["top1_percent"], cells["kind"]) == ("50.0", "measured")
    assert text.count("\n") == 2


@pytest.mark.parametrize("label", HOSTILE)
def test_json_gives_back_what_was_recorded(page_of, label):
    text = page_of(label, "json")
    (row,) = json.loads(text)
    assert row["method"] == label
    assert text.isascii()
    assert "\x1b" not in text


@pytest.mark.parametrize("label", HOSTILE)
def test_markdown_keeps_its_columns(page_of, label):
    lines = [line for line in page_of(label, "markdown").splitlines() if line.startswith("|")]
    bars = {len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in lines[:3]}
    assert len(bars) == 1
    assert "<" not in "".join(lines)
    assert len(lines) == 6


@pytest.mark.parametrize("label", HOSTILE)
def test_latex_has_no_command_of_a_stranger(page_of, label):
    text = page_of(label, "latex")
    assert set(re.findall(r"\\([A-Za-z]+)", text)) <= LATEX_COMMANDS
    assert not re.search(r"(\\\\|rule)\s*[\[*]", text)
    for line in text.splitlines():
        unescaped = re.sub(r"\\[\\&%$#_{}]", "", line)
        assert "%" not in unescaped
        assert "#" not in unescaped


@pytest.mark.parametrize("label", HOSTILE)
def test_plain_text_is_narrow_and_has_no_control_characters(page_of, label):
    text = page_of(label, "table")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u200b\u202e]", text)
    for line in text.splitlines():
        if "  " in line:
            assert len(line) <= WIDTH + 20


@settings(max_examples=60, deadline=None)
@given(label=st.text(max_size=60), form=st.sampled_from([*PAGES, *LISTS]))
def test_any_text_at_all_can_be_shown(page_of, label, form):
    assert page_of(label, form).endswith("\n")


@pytest.mark.parametrize("measured", [True, False])
def test_the_usual_board_fits_a_terminal(
    malong_records, ensemble_record, make_record, make_score, measured
):
    webvision = make_record(
        edition="WebVision 1.0",
        plugin="malong_curriculum",
        knobs={"model": ("D", "command line")},
        scores=(make_score(split="val"),),
        seconds=4e5,
    )
    records = [*malong_records, ensemble_record, webvision] if measured else []
    text, _ = render(make_board(records, load_published(), epochs=("last", "best")), "table")
    assert max(map(len, text.splitlines())) <= WIDTH


def test_notes_go_with_a_page_and_apart_from_a_list():
    board = make_board([], load_published())
    for form in PAGES:
        text, notes = render(board, form)
        assert "harness run" in text
        assert notes == []
    for form in LISTS:
        text, notes = render(board, form)
        assert "harness run" not in text
        assert len(notes) == 1


def test_only_what_was_asked_is_shown(malong_records):
    board = make_board(malong_records, load_published())
    assert "noise detection" not in render(board, "table", "scores")[0]
    text, _ = render(board, "table", "noise")
    assert "noise detection" in text
    assert "top-1" not in text
    assert text.count("malong_curriculum") == 4
    rows = json.loads(render(board, "json", "noise")[0])
    assert [row["auc"] for row in rows] == [0.81] * 4
    everything, _ = render(board, "table")
    assert everything.index("noise detection") < everything.index("challenge entry")


def test_no_row_at_all_is_still_a_file_that_parses():
    board = make_board([], ())
    assert json.loads(render(board, "json")[0]) == []
    assert len(render(board, "csv")[0].splitlines()) == 1
    Page(render(board, "html")[0])


def test_golden_board(malong_records, ensemble_record, make_record):
    oracle = make_record(edition="synthweb-small v1, true labels")
    records = [*malong_records, ensemble_record, oracle]
    text, _ = render(make_board(records, load_published()), "table")
    assert text == (Path(__file__).parent / "golden_board.txt").read_text(encoding="utf-8")
