"""The site as files: what is written, what is escaped, and what it refuses."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.store.origins import Origin
from harness.store.record import ResultRecord, Score
from harness.values import SLOTS
from harness_leaderboard.published import load_published
from harness_leaderboard.site.board_page import front
from harness_leaderboard.site.pages import Site, file_name
from harness_leaderboard.site.write import write_site

MakeRecord = Callable[..., ResultRecord]
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{7*7}}\u202e"


class Tags(HTMLParser):
    """Collects the elements of a page with their attributes, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def read(path: Path) -> Tags:
    tags = Tags()
    tags.feed(path.read_text())
    return tags


def hostile_record(make_record: MakeRecord, make_score: Callable[..., Score]) -> ResultRecord:
    """A record that says something evil wherever it may say anything."""
    score = make_score(split=HOSTILE, protocol=HOSTILE, per_class_top1=(0.5, 0.25))
    plain = make_record(
        label=f"evil {HOSTILE}",
        plugin=HOSTILE,
        edition=HOSTILE,
        hardware=HOSTILE,
        knobs={HOSTILE: (HOSTILE, HOSTILE)},
        scores=(score,),
        without=(HOSTILE,),
        extra={HOSTILE: {HOSTILE: 1.0}},
    )
    values: dict[str, Any] = plain.model_dump(mode="json")
    stage = values["stages"][0]
    stage |= {"name": HOSTILE, "values": {HOSTILE: HOSTILE}, "tricks": {HOSTILE: [HOSTILE]}}
    stage["history"] = [{"epoch": 1.0, "loss": 2.0, "val_top1": 0.5}]
    values["cost"] |= {"versions": {HOSTILE: HOSTILE}, "stage_seconds": {HOSTILE: 1.0}}
    values["plugins"][0] |= {"version": HOSTILE, "distribution": HOSTILE}
    values["data"]["asked"] = HOSTILE
    return ResultRecord.model_validate(values)


def test_no_text_of_a_record_becomes_markup_or_script(
    tmp_path: Path, make_record: MakeRecord, make_score: Callable[..., Score]
) -> None:
    evil = hostile_record(make_record, make_score)
    write_site(Site(tmp_path, [evil], problems=[HOSTILE]), tmp_path / "site")
    pages = sorted((tmp_path / "site").rglob("*.html"))
    names = [page.relative_to(tmp_path / "site").as_posix() for page in pages]
    assert f"runs/{evil.id}.html" in names
    assert f"methods/{file_name(HOSTILE)}.html" in names
    for page in pages:
        tags = read(page)
        for tag, attributes in tags.found:
            assert not [name for name in attributes if name.startswith("on")], page
            assert tag != "img", page
            if tag == "script":
                assert re.fullmatch(r"(\.\./)?(look|runs)\.js", attributes["src"] or ""), page
        assert "alert(1)" not in [tag for tag, _ in tags.found]
        assert "\u202e" not in page.read_text(), page
    assert "onerror=alert(2)" in read(tmp_path / "site" / f"runs/{evil.id}.html").text
    script = (tmp_path / "site" / f"runs/{evil.id}.js").read_text()
    assert script.startswith("run({")
    assert script.count("\n") == 1
    assert json.loads(script[4:-3])["label"].startswith("evil </script>")


def test_a_run_shows_the_tricks_of_every_slot(tmp_path: Path, make_record: MakeRecord) -> None:
    values: dict[str, Any] = make_record().model_dump(mode="json")
    values["stages"][0]["tricks"] = {slot: [f"Trick({slot!r})"] for slot in SLOTS}
    record = ResultRecord.model_validate(values)
    write_site(Site(tmp_path, [record]), tmp_path / "site")
    text = read(tmp_path / "site" / f"runs/{record.id}.html").text
    missing = [s for s in SLOTS if f"1 {s} trick" not in text or f"Trick({s!r})" not in text]
    assert missing == []


def test_names_of_files_stay_in_their_folder_and_differ() -> None:
    names = ["pci", "../../etc/passwd", "a b", "a/b", "a_b", "unnamed", "", ".hidden", "é"]
    files = [file_name(name) for name in names]
    assert len(set(files)) == len(names)
    assert files[0] == "pci"
    assert [file for file in files if not re.fullmatch(r"\w[\w.-]*", file, re.ASCII)] == []


def test_every_page_forbids_requests_and_links_only_to_files_that_are_there(
    tmp_path: Path, make_record: MakeRecord
) -> None:
    records = [make_record(label=label, plugin=label) for label in ("baseline", "pci")]
    site = tmp_path / "site"
    write_site(Site(tmp_path, records, published=load_published()), site)
    listed = json.loads((site / "site.json").read_text())
    assert sorted(p.relative_to(site).as_posix() for p in site.rglob("*.*")) == sorted(
        [*listed, "site.json"]
    )
    broken = []
    for page in site.rglob("*.html"):
        for tag, attributes in read(page).found:
            if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy":
                assert (attributes["content"] or "").startswith("default-src 'none'; ")
                break
        else:
            broken.append(f"{page} has no policy")
        for tag, attributes in read(page).found:
            assert "style" not in attributes, f"{page}: the policy forbids style in {tag}"
            for name in ("href", "src"):
                target = (attributes.get(name) or "#").partition("?")[0].partition("#")[0]
                if target and target != "data:," and not (page.parent / target).is_file():
                    broken.append(f"{page}: {target}")
    assert broken == []


def test_a_second_site_replaces_the_first_and_leaves_strangers_alone(
    tmp_path: Path, make_record: MakeRecord
) -> None:
    site = tmp_path / "site"
    one, other = make_record(), make_record(label="pci", plugin="pci")
    write_site(Site(tmp_path, [one, other]), site)
    (site / "mine.txt").write_text("kept")
    written = (site / "look.css").stat().st_mtime_ns
    write_site(Site(tmp_path, [one]), site)
    assert not (site / f"runs/{other.id}.html").exists()
    assert (site / f"runs/{one.id}.html").exists()
    assert (site / "mine.txt").read_text() == "kept"
    assert (site / "look.css").stat().st_mtime_ns == written

    other_folder = tmp_path / "thesis"
    other_folder.mkdir()
    (other_folder / "index.html").write_text("mine")
    with pytest.raises(HarnessError, match="not the folder of a site"):
        write_site(Site(tmp_path, [one]), other_folder)
    assert (other_folder / "index.html").read_text() == "mine"


def test_the_same_command_goes_on_after_it_was_killed_while_it_wrote(
    tmp_path: Path, make_record: MakeRecord
) -> None:
    class Killed(Site):
        def files(self) -> Iterator[tuple[str, bytes]]:
            yield from islice(super().files(), 5)
            raise KeyboardInterrupt

    folder, one = tmp_path / "site", make_record()
    with pytest.raises(KeyboardInterrupt):
        write_site(Killed(tmp_path, [one]), folder)
    half, being_written = (folder / f"index.html.{k * 16}" for k in "ab")
    strange = folder / f"mine.html.{'a' * 16}"
    for path in (half, being_written, strange):
        path.write_text("half of a page")
    for path in (half, strange):
        os.utime(path, (0, 0))
    write_site(Site(tmp_path, [one]), folder)
    write_site(Site(tmp_path, [one]), tmp_path / "other")
    assert not half.exists()
    left = {being_written, strange}
    assert {path.name for path in folder.rglob("*")} - {path.name for path in left} == {
        path.name for path in (tmp_path / "other").rglob("*")
    }
    assert all(path.exists() for path in left)


def test_the_list_of_an_earlier_site_cannot_lead_out_of_it(
    tmp_path: Path, make_record: MakeRecord
) -> None:
    site, precious = tmp_path / "site", tmp_path / "precious.txt"
    precious.write_text("kept")
    site.mkdir()
    away = tmp_path / "away"
    away.mkdir()
    (away / "page.html").write_text("kept")
    (site / "link").symlink_to(away)
    (site / "runs").mkdir()
    out = ["../precious.txt", "runs/../../precious.txt", str(precious), "link/page.html", "..", ""]
    (site / "site.json").write_text(json.dumps([*out, "runs/..", "old.html"]))
    (site / "old.html").write_text("old")
    write_site(Site(tmp_path, [make_record()]), site)
    assert precious.exists()
    assert (away / "page.html").exists()
    assert not (site / "old.html").exists()


def test_what_others_made_is_marked(tmp_path: Path, make_record: MakeRecord) -> None:
    own, other = make_record(), make_record(label="pci", plugin="pci")
    origin = Origin(source="sent.zip", sha256="", data="synthweb:tiny", taken="2026-01-02T03:04:05")
    write_site(Site(tmp_path, [own, other], origins={other.id: origin}), tmp_path / "site")
    assert read(tmp_path / "site" / "index.html").text.count("submitted: sent.zip") == 1
    page = read(tmp_path / "site" / f"runs/{other.id}.html").text
    assert "it came from sent.zip on 2026-01-02" in page
    assert "compared with those of synthweb:tiny" in page
    assert "submitted" not in read(tmp_path / "site" / f"runs/{own.id}.html").text


def test_an_empty_home_says_what_to_type(tmp_path: Path) -> None:
    write_site(Site(tmp_path, []), tmp_path / "site")
    assert "harness run --plugin baseline" in read(tmp_path / "site" / "index.html").text


def test_the_front_is_what_no_other_beats() -> None:
    assert front([(3, 50.0), (1, 40.0), (2, 60.0), (2, 55.0), (5, 61.0), (9, 61.0)]) == [
        (1, 40.0),
        (2, 60.0),
        (5, 61.0),
    ]
    assert front([]) == []
