"""The site in Debian's Chromium, opened as files: sorting, filters, comparing, dark, phone, axe."""

from __future__ import annotations

import functools
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

import harness
from harness.api import spec_of
from harness.store.live import drop_live, write_live
from harness.studies.ablation import ablation
from harness.studies.contributions import TrickEffect
from harness.studies.pages import ablation_page, comparison_page
from harness.studies.standing import verified_records
from harness_leaderboard.published import load_published
from harness_leaderboard.site.pages import Site
from harness_leaderboard.site.serve import Server
from harness_leaderboard.site.write import write_site
from harness_reproductions.report import write_report
from harness_reproductions.results import results
from harness_reproductions.tables import claims_of, find_tables
from harness_reproductions.trials import Trials, recipes_of

if TYPE_CHECKING:
    from harness.store.record import ResultRecord

pytestmark = pytest.mark.slow

CHROMIUM = "chromium"  # Debian's package, which .ci/run installs
PHONE, DESK = 390, 1280
RUNS = (
    ("baseline", {}, 0), ("baseline", {}, 1), ("baseline", {}, 2),
    ("baseline", {"lr": 1e-9}, 0), ("baseline", {"lr": 1e-9}, 1), ("baseline", {"lr": 1e-9}, 2),
    ("pci", {}, 0),
)  # fmt: skip


class Made(NamedTuple):
    """A site of real runs, and their records."""

    folder: Path
    records: list[ResultRecord]

    def at(self, name: str) -> str:
        """Return the address of a page as a file."""
        return f"{self.folder.as_uri()}/{name}"

    def run_of(self, plugin: str) -> ResultRecord:
        """Return the first run of a method."""
        return next(record for record in self.records if record.plugin == plugin)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, drawn_data: Path) -> Made:
    home = tmp_path_factory.mktemp("home")
    (home / "data").symlink_to(drawn_data)
    for plugin, knobs, seed in RUNS:
        harness.run(plugin, data="synthweb:tiny", seed=seed, home=home, engine="torch", knobs=knobs)
    found = verified_records(home, (), print)
    site = Site(home, found.records, unverified=found.unverified, published=load_published())
    write_site(site, home / "site")
    write_reports(home / "site" / "reports", home)
    return Made(home / "site", found.records)


def write_reports(folder: Path, home: Path) -> None:
    """Write a page of each kind of report beside the site."""
    folder.mkdir()
    compared = harness.compare("baseline", "baseline lr=1e-09", home=home)
    (folder / "compared.html").write_text(comparison_page(compared))
    plan = ablation(spec_of("pci", data="synthweb:tiny", home=home, engine="torch"), 3)
    worth = TrickEffect(intervals={"top1": compared.difference, "top5": compared.difference})
    effects = [[worth, TrickEffect(intervals={}, reason="was not run")] for _ in plan.rows]
    (folder / "ablated.html").write_text(ablation_page(plan, effects, "test", ["a line"]))
    tables = find_tables("malong/table1")
    claims = [claim for table in tables for claim in claims_of(table)]
    trials = Trials(plan.method, (0,), recipes_of(tables, claims))
    write_report(folder, results(tables, claims, trials))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which(CHROMIUM)
    assert path, f"{CHROMIUM} is not installed: apt-get install {CHROMIUM}"
    with sync_playwright() as playwright:
        # Its sandbox needs rights that containers seldom give; it opens only our own pages here.
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


Open = Callable[..., Page]


class Pages:
    """A page for each width and colour scheme: what a new one would cost is paid once a module."""

    def __init__(self, browser: Browser, made: Made) -> None:
        self._browser, self._made = browser, made
        self._pages: dict[tuple[int, Any], Page] = {}
        self.complaints: list[str] = []

    def open(self, name: str, *, width: int = DESK, scheme: Any = "light") -> Page:
        """Open a page of the site in the page for its width and scheme."""
        page = self._pages.get((width, scheme)) or self._new(width, scheme)
        page.goto(self._made.at(name))
        return page

    def _new(self, width: int, scheme: Any) -> Page:
        viewport: Any = {"width": width, "height": 900}
        context = self._browser.new_context(viewport=viewport, color_scheme=scheme)
        page = self._pages[width, scheme] = context.new_page()
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", functools.partial(note_request, self.complaints, self._made))
        return page

    def forget(self) -> None:
        """Leave every page with nothing stored, as if it was new."""
        for page in self._pages.values():
            page.evaluate("localStorage.clear()")


@pytest.fixture(scope="module")
def pages(browser: Browser, made: Made) -> Pages:
    return Pages(browser, made)


@pytest.fixture
def open_page(pages: Pages) -> Iterator[Open]:
    """Open a page of the site; any complaint of the browser or request elsewhere is an error."""
    yield pages.open
    pages.forget()
    complaints = [*pages.complaints]
    pages.complaints.clear()
    assert complaints == []


def note_request(complaints: list[str], made: Made, request: Any) -> None:
    if not request.url.startswith(f"{made.folder.as_uri()}/"):
        complaints.append(f"request to {request.url}")


def column(page: Page, number: int, table: str = "#board") -> list[str]:
    """Return the visible cells of a column, from 1."""
    cells = page.locator(f"{table} tbody tr:not([hidden]) > :nth-child({number})")
    return [text.split("\n")[0].strip() for text in cells.all_inner_texts()]


def test_the_board_sorts_and_filters(open_page: Open) -> None:
    page = open_page("index.html")
    texts = page.locator("#board th[scope=col]").all_inner_texts()
    heads = [text.split("\n")[0].rstrip(" ↕") for text in texts]
    top1 = heads.index("top-1, %") + 1
    before = column(page, top1)
    assert len(before) == 3
    assert before == sorted(before, key=float, reverse=True)
    page.get_by_role("button", name="top-1, %").click()
    assert page.locator("#board th[aria-sort=descending]").count() == 1
    page.get_by_role("button", name="top-1, %").press("Enter")  # by keyboard
    assert column(page, top1) == sorted(before, key=float)

    page.get_by_label("Search").fill("pci")
    assert [name.split()[0] for name in column(page, 1)] == ["pci"]
    assert page.locator("output").inner_text() == "1 of 3 rows"
    page.get_by_label("Search").fill("")
    page.get_by_label("Against the baseline").select_option("worse")
    shown = column(page, 1)
    page.get_by_label("Against the baseline").select_option("")
    assert set(shown) <= set(column(page, 1))
    assert len(column(page, 1)) == 3


def test_a_run_opens_from_the_board_and_shows_what_its_record_says(
    open_page: Open, made: Made
) -> None:
    page = open_page("index.html")
    record = made.run_of("pci")
    page.locator(f"#board a[href='runs/{record.id}.html']").first.click()
    page.wait_for_url(f"**/{record.id}.html")
    text = page.locator("main").inner_text()
    score = record.score("test", "10 views")
    assert score is not None
    assert f"{score.top1:.2%}".replace("%", "\u00a0%") in text
    assert "harness run --plugin pci --data synthweb:tiny --engine torch" in text
    assert page.locator("figure svg polyline").count() >= 2
    pictures = page.locator(".shots img")
    assert pictures.count() > 0  # synthweb is ours
    for picture in pictures.all():
        picture.scroll_into_view_if_needed()
        page.wait_for_function(
            "image => image.complete && image.naturalWidth > 0", arg=picture.element_handle()
        )
    assert page.get_by_text("weights of clean and of wrong pictures").count() > 0
    page.get_by_role("link", name="The method").click()
    assert "class Pci" in page.locator("pre.code").inner_text()


def test_any_two_runs_are_compared(open_page: Open, made: Made) -> None:
    before, after = made.run_of("baseline"), made.run_of("pci")
    page = open_page(f"compare.html?a={before.id}&b={after.id}")
    page.get_by_text("gained", exact=True).wait_for()
    found = harness.compare(before.id, after.id, protocol="10 views", home=made.folder.parent)
    (pair,) = found.pairs
    facts = page.locator(".facts .much").all_inner_texts()
    shown = f"{100 * found.difference.estimate:+.2f}".replace("-", "\u2212")
    assert facts[:3] == [shown, str(pair.gained), str(pair.lost)]
    assert float(facts[3].removeprefix("< ")) == pytest.approx(pair.p_value, abs=6e-4)


def test_a_run_that_is_not_there_is_named(browser: Browser, made: Made) -> None:
    page = browser.new_page()
    page.goto(made.at("compare.html?a=../../evil&b=x"))
    page.get_by_text("no run is called ../../evil").wait_for()
    page.get_by_label("first run").fill(made.records[0].id)
    page.get_by_label("second run").fill("nothing-like-it")
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("no run is called nothing-like-it").wait_for()
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_light_or_dark_as_asked_and_the_choice_is_kept(open_page: Open, scheme: str) -> None:
    page = open_page("index.html", scheme=scheme)

    def paper() -> int:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(",")))

    assert (paper() > 600) == (scheme == "light")
    other = "dark" if scheme == "light" else "light"
    page.get_by_role("button", name=f"Use {other} colours").click()
    assert (paper() > 600) == (other == "light")
    page.get_by_role("link", name="Runs", exact=True).click()
    page.wait_for_url("**/runs.html")
    assert (paper() > 600) == (other == "light")


def test_what_trains_now_is_followed(browser: Browser, tmp_path: Path) -> None:
    home = tmp_path / "home"
    stage = home / "stages" / "a"
    stage.mkdir(parents=True)
    says = {"label": "pci", "seed": 0, "data": "synthweb:tiny", "stage": "train", "epochs": 5}
    server = Server(home, tmp_path / "site", 0)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        page = browser.new_page()
        page.clock.install()
        page.goto(f"{server.address}live.html")
        page.get_by_text("No stage is training now.").wait_for()
        for step, loss in ((10, 2.5), (20, 1.5)):
            write_live(stage, {**says, "step": step, "steps": 50, "scalars": {"loss": loss}})
            page.clock.run_for(2_000)  # milliseconds until it asks again
            page.get_by_text(f"loss {loss:.3f}").wait_for()
            assert page.locator("progress").evaluate("bar => bar.value") == step
        results = Axe().run(page, options={"preload": False})
        assert [one["id"] for one in results.response["violations"]] == []
        drop_live(stage)
        page.clock.run_for(2_000)
        page.get_by_text("No stage is training now.").wait_for()
        page.close()
    finally:
        server.stop()
        thread.join()


def pages_of(made: Made) -> list[str]:
    record = made.run_of("pci")
    names = [path.name for path in made.folder.glob("*.html")]
    compared = f"compare.html?a={made.run_of('baseline').id}&b={record.id}"
    reports = [f"reports/{name}.html" for name in ("compared", "ablated", "index")]
    return [*sorted(names), f"runs/{record.id}.html", "methods/pci.html", compared, *reports]


def test_no_page_is_wider_than_a_phone(open_page: Open, made: Made) -> None:
    wide = {}
    for name in pages_of(made):
        page = open_page(name, width=PHONE)
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > PHONE:
            wide[name] = width
    assert wide == {}


@pytest.mark.parametrize(("width", "shown"), [(DESK, ".wide"), (PHONE, ".narrow")])
def test_the_plot_of_cost_fits_without_scrolling(open_page: Open, width: int, shown: str) -> None:
    page = open_page("index.html", width=width)
    visible = page.locator("figure svg.plot:visible")
    assert visible.count() == 1
    assert visible.locator("xpath=..").evaluate("(box) => box.scrollWidth <= box.clientWidth")
    assert page.locator(f"figure {shown} svg.plot").is_visible()
    names = visible.locator("text.name").all_text_contents()
    assert "baseline" in names


@pytest.mark.parametrize(("width", "scheme"), [(DESK, "light"), (PHONE, "dark")])
def test_axe_finds_nothing_serious(open_page: Open, made: Made, width: int, scheme: str) -> None:
    found = []
    for name in pages_of(made):
        # It reads style sheets by requests of its own, which the policy forbids.
        page = open_page(name, width=width, scheme=scheme)
        # Of what it finds, only violations are read; to describe all that is well takes it longer.
        options = {"preload": False, "resultTypes": ["violations"]}
        results = Axe().run(page, options=options)
        found += [
            f"{name}: {one['id']}: {one['help']}: {one['nodes'][0]['html'][:120]}"
            for one in results.response["violations"]
            if one["impact"] in ("serious", "critical")
        ]
    assert found == []
