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

from harness_leaderboard.board import make_board
from harness_leaderboard.formats import LISTS, PAGES, SUFFIXES, WIDTH, clean
from harness_leaderboard.rows import BoardRow
from harness_leaderboard.show import Filters, Shown, show, text_of
from harness_leaderboard.table import flat, noise_tables, score_tables

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


@pytest.fixture(scope="session", params=["headline", "every table"])
def page_of(request, make_record, make_score, make_noise, tmp_path_factory):
    """Render a run whose names are all hostile: as the headline, and as the tables of --all."""
    home = tmp_path_factory.mktemp("home")

    def render_label(label, form):
        record = make_record(
            label=label,
            edition=label,
            scores=(make_score(protocol=label),),
            noise=(make_noise(stage=label),),
        )
        if request.param == "headline":
            shown = show("headline", [record], home, Filters(), ())
        else:
            board = make_board([record], ())
            tables = [*score_tables(board.rows), *noise_tables(board.noise)]
            shown = Shown(tables, flat(board.rows, BoardRow))
        return text_of(shown, form)[0]

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
    assert cells["top1_percent"] == "50.0"
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
    assert len(lines) in (3, 6)  # of one table, or of accuracies and noise


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
            assert len(line) <= WIDTH


@settings(max_examples=60, deadline=None)
@given(label=st.text(max_size=60), form=st.sampled_from([*PAGES, *LISTS]))
def test_any_text_at_all_can_be_shown(page_of, label, form):
    assert page_of(label, form).endswith("\n")


@pytest.mark.parametrize("width", [60, 80, WIDTH])
def test_every_board_fits_the_terminal(
    malong_records, ensemble_record, make_record, make_score, tmp_path, width
):
    webvision = make_record(
        edition="WebVision 1.0",
        plugin="malong_curriculum",
        knobs={"model": ("D", "command line")},
        scores=(make_score(split="val"),),
        seconds=4e5,
    )
    records = [*malong_records, ensemble_record, webvision]
    for kind in ("headline", "noise", "published", "all"):
        shown = show(kind, records, tmp_path, Filters(), set())
        text, _ = text_of(shown, "table", width)
        assert [line for line in text.splitlines() if len(line) > width] == [], kind


def test_what_does_not_fit_is_told_and_its_legend_left_out(malong_records, tmp_path):
    shown = show("headline", malong_records, tmp_path, Filters(), ())
    whole, narrow = (" ".join(text_of(shown, "table", width)[0].split()) for width in (120, 40))
    assert "images: trained on" in whole
    assert "Too narrow" not in whole
    assert "images: trained on" not in narrow
    assert "Too narrow for: images, time, top-5, AUC," in narrow


def test_notes_go_with_a_page_and_apart_from_a_list(tmp_path):
    for form in PAGES:
        text, notes = text_of(show("headline", [], tmp_path, Filters(), ()), form)
        assert "harness run" in text
        assert notes == ()
    for form in LISTS:
        text, notes = text_of(show("headline", [], tmp_path, Filters(), ()), form)
        assert "harness run" not in text
        assert len(notes) == 3


def test_only_what_was_asked_is_shown(malong_records, tmp_path):
    def shown(kind, form="table"):
        return text_of(show(kind, malong_records, tmp_path, Filters(), ()), form)[0]

    assert "noise detection" not in shown("headline") + shown("published")
    assert "malong_curriculum" not in shown("published")
    text = shown("noise")
    assert "noise detection" in text
    assert "top-1" not in text
    assert text.count("model=") == 4
    assert [row["auc"] for row in json.loads(shown("noise", "json"))] == [0.81] * 4
    everything = shown("all")
    assert everything.index("noise detection") < everything.index("challenge entry")


def test_numbers_are_numbers_in_json(malong_records, tmp_path):
    for kind in ("headline", "all"):
        shown = show(kind, malong_records, tmp_path, Filters(), ())
        for row in json.loads(text_of(shown, "json")[0]):
            assert all(isinstance(seed, int) for seed in row["seeds"])
            numbers = [name for name in row if name.endswith(("_percent", "_low", "_high", "_sd"))]
            assert all(isinstance(row[name], (float, type(None))) for name in numbers)
            assert len(numbers) > 5


def test_no_row_at_all_is_still_a_file_that_parses(tmp_path):
    empty = show("headline", [], tmp_path, Filters(), ())
    assert json.loads(text_of(empty, "json")[0]) == []
    assert len(text_of(empty, "csv")[0].splitlines()) == 1
    Page(text_of(empty, "html")[0])


def test_a_suffix_names_a_form_that_there_is():
    assert set(SUFFIXES.values()) == {*PAGES, *LISTS}


def test_golden_board(malong_records, ensemble_record, make_record, tmp_path):
    oracle = make_record(edition="synthweb-small v1, true labels")
    shown = show("all", [*malong_records, ensemble_record, oracle], tmp_path, Filters(), None)
    text, _ = text_of(shown, "table")
    assert text == (Path(__file__).parent / "golden_board.txt").read_text(encoding="utf-8")
