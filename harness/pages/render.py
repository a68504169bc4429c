"""Pages from jinja2 templates, with all text from plugins, data and records escaped.

A page forbids all requests but those for files of its own folder, so it works from ``file://`` and
from any server.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from markupsafe import Markup, escape

from harness.terminal import visible

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = Path(__file__).parent
STYLE, SCRIPT = "look.css", "look.js"


def look(name: str) -> str:
    """Return the text of the style or the script that all pages share."""
    return (HERE / name).read_text("utf-8")


@cache
def environment(*folders: Path) -> Environment:
    """Return an environment that finds templates in these folders, then in this one."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader([*folders, HERE / "templates"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
        auto_reload=False,
    )
    made.filters |= {"percent": percent, "points": points, "duration": duration, "place": quote}
    return made


def single_page(folder: Path, template: str, values: Mapping[str, Any]) -> str:
    """Return a page that is one file: its style and script are inside, and nothing else may run.

    The same values give the same bytes.
    """
    style, script = look(STYLE), look(SCRIPT)
    return (
        environment(folder)
        .get_template(template)
        .render(
            values,
            inline_style=Markup(f"\n{style}"),
            inline_script=Markup(f"\n{script}"),
            policy=(
                f"default-src 'none'; style-src '{_digest(style)}'; "
                f"script-src '{_digest(script)}'; img-src data:; base-uri 'none'; "
                "form-action 'none'"
            ),
            root="",
        )
    )


def _digest(text: str) -> str:
    import base64
    import hashlib

    return (
        f"sha256-{base64.b64encode(hashlib.sha256(f'{chr(10)}{text}'.encode()).digest()).decode()}"
    )


@lru_cache(maxsize=1 << 14)
def shown(text: str) -> Markup:
    """Return a text escaped and with its hidden characters visible."""
    return escape(visible(text))


def _visible(value: object) -> object:
    """Make hidden characters of a text visible; markup of ours is unchanged."""
    return shown(value) if type(value) is str else value


def percent(share: float | None, digits: int = 2) -> str:
    """Write a share as percent, nothing for None."""
    return "" if share is None else f"{100 * share:.{digits}f}"


def points(value: float | None, digits: int = 2) -> str:
    """Write a difference with its sign, a real minus sign too; nothing for None."""
    return "" if value is None else f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def duration(seconds: float | None) -> str:
    """Write seconds in the unit that gives two or three digits."""
    if seconds is None:
        return ""
    for unit, size in (("s", 1), ("min", 60)):
        if seconds < 100 * size:
            return f"{seconds / size:.{1 if seconds < 10 * size else 0}f} {unit}"
    return f"{seconds / 3600:.1f} h"
