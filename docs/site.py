"""What mkdocs adds to the pages in docs/: one page for each method, and files of other folders.

A hook file of mkdocs: the functions have the names that it calls.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from harness.assembly.discovery import Entry, find_plugins, load_plugin
from harness.knobs import knobs_of

ROOT = Path(__file__).parents[1]
ELSEWHERE = {
    "../README.md": "index.md",
    "../NOTICE": "notice.md",
    "../reproductions/README.md": "reproductions.md",
    "../CONTRIBUTING.md": "contributing.md",
}
"""Links of the pages in docs/ to files outside, and where the site has them."""
FROM_ROOT = {
    "docs/": "",
    "../docs/": "",
    "reproductions/README.md": "reproductions.md",
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "LICENSE": "license.md",
    "NOTICE": "notice.md",
}
FIRST = re.compile(r"<!-- first run -->|<!-- /first run -->")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made here."""
    pages = {
        "index.md": _relinked((ROOT / "README.md").read_text()),
        "notice.md": _verbatim("NOTICE"),
        "license.md": _verbatim("LICENSE"),
        "changelog.md": _relinked((ROOT / "CHANGELOG.md").read_text()),
        "reproductions.md": _relinked((ROOT / "reproductions" / "README.md").read_text()),
        "contributing.md": _relinked((ROOT / "CONTRIBUTING.md").read_text()),
    }
    methods = {entry.name: _method(entry) for entry in find_plugins().values() if _is_method(entry)}
    for name, text in methods.items():
        pages[f"methods/{name}.md"] = text
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_nav(nav: Any, config: Any, files: Files) -> Any:
    """Put the methods below the overview of the methods."""
    from mkdocs.structure.nav import Section
    from mkdocs.structure.pages import Page

    found = [file for file in files.documentation_pages() if file.src_uri.startswith("methods/")]
    section = next(item for item in nav.items if item.title == "Methods")
    pages = [file.page or Page(file.name, file, config) for file in found]
    each = Section("One page each", pages)
    section.children.append(each)
    each.parent = section
    for page in pages:
        page.parent = each
        if page not in nav.pages:
            nav.pages.append(page)
    return nav


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Lead links to files outside docs/ to where the site has them."""
    del page, config, files
    for link, place in ELSEWHERE.items():
        markdown = markdown.replace(f"]({link}", f"]({place}")
    return FIRST.sub("", markdown)


def _relinked(text: str) -> str:
    """Return a page of another folder with its links as seen from docs/."""
    for link, place in FROM_ROOT.items():
        text = text.replace(f"]({link}", f"]({place}")
    return text


def _verbatim(name: str) -> str:
    return f"# {name.capitalize()}\n\n```text\n{(ROOT / name).read_text()}\n```\n"


def _is_method(entry: Entry) -> bool:
    return hasattr(load_plugin(entry), "plan")


def _method(entry: Entry) -> str:
    """Return the page of a method: what it is, how to run it, its knobs, its code."""
    plugin = load_plugin(entry)
    words = inspect.cleandoc(plugin.__doc__ or "")
    knobs = [
        f"| `{knob.name}` | `{_cell(knob.type)}` | `{_cell(str(knob.default))}` | {knob.origin} "
        f"| {_cell(knob.source)} |"
        for knob in knobs_of(plugin).values()
    ]
    table = [
        "## Knobs",
        "",
        "| knob | type | default | origin | source |",
        "|---|---|---|---|---|",
        *knobs,
        "",
    ]
    source = inspect.getsource(inspect.getmodule(plugin) or plugin)
    module = inspect.cleandoc(getattr(inspect.getmodule(plugin), "__doc__", "") or "")
    return "\n".join(
        [
            f"# {entry.name}",
            "",
            module,
            "",
            words,
            "",
            "```sh",
            f"harness run --plugin {entry.name}",
            "```",
            "",
            *(table if knobs else []),
            "## The whole method",
            "",
            f"```python\n{source}```",
            "",
        ]
    )


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
