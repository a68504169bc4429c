"""Figures in one style, with the same bytes for the same content.

Needs matplotlib, the extra ``plots``.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("svg", "png")
DOTS_PER_INCH = 150
# Okabe and Ito's colours, which colour-blind readers tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
INK, PALE = "#333333", "#BBBBBB"

STYLE: dict[Any, Any] = {
    "svg.hashsalt": "webvision-harness",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.axisbelow": True,
    "grid.color": "#E5E5E5",
    "legend.frameon": False,
}


def draw_figure(
    paint: Callable[[Figure], None], inches: tuple[float, float], form: str = "svg"
) -> bytes:
    """Return the image, "svg" or "png", that ``paint`` draws on a figure of this size.

    The same drawing gives the same bytes. Raises HarnessError if matplotlib is not installed.
    """
    check_matplotlib()
    from matplotlib import rc_context, rcdefaults, rcParams
    from matplotlib.figure import Figure

    with rc_context():
        rcdefaults()  # matplotlib has read a matplotlibrc in the working folder, if there is one
        rcParams.update(STYLE)
        figure = Figure(figsize=inches, layout="constrained")
        paint(figure)
        buffer = BytesIO()
        metadata = {"Date": None, "Creator": None} if form == "svg" else {"Software": None}
        figure.savefig(buffer, format=form, dpi=DOTS_PER_INCH, metadata=metadata)
    return buffer.getvalue()


def check_matplotlib() -> None:
    """Raise HarnessError if matplotlib is not installed, before any long computation."""
    try:
        import matplotlib as mpl  # noqa: F401 - whether it is there
    except ImportError as error:
        raise HarnessError(
            "drawing needs matplotlib, which is not installed: pip install matplotlib"
        ) from error


def picture_format(output: Path) -> str:
    """Return "svg" or "png" by the file's name; HarnessError for any other."""
    form = output.suffix.lower().removeprefix(".")
    if form not in FORMATS:
        raise HarnessError(f"--output {output}: a picture ends in .svg or .png, a page in .html")
    return form
