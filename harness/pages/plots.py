"""Plots as plain SVG: sizes in attributes, colours by classes of the style, text escaped.

A plot is an ``svg`` with ``role="img"`` and a label that says in words what it shows.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from markupsafe import Markup, escape

from harness.terminal import visible

WIDTH, HEIGHT = 340.0, 200.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 12.0, 10.0, 38.0
KEYS = 16.0  # above a plot of several lines or groups
TICKS = 5


class Line(NamedTuple):
    """A named line; y may be None where there is no value."""

    name: str
    points: Sequence[tuple[float, float | None]]


class Dot(NamedTuple):
    """A named point of a scatter plot with the interval of y."""

    name: str
    x: float
    y: float
    low: float | None
    high: float | None
    is_marked: bool = False


class Effect(NamedTuple):
    """A named difference with its interval, and another number to mark, such as a published one.

    ``kind`` is a class of the style: "better", "worse", "s0" or "".
    """

    name: str
    span: tuple[float, float, float]
    mark: float | None = None
    kind: str = ""


class Axis(NamedTuple):
    """One axis in pixels: from ``low`` at ``start`` to ``high`` at ``end``."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Return the pixel of a value."""
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        share = (value - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)


def ticks(low: float, high: float, count: int = TICKS) -> list[float]:
    """Return at most about ``count`` round numbers in the range."""
    if not high > low:
        return [low]
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * size for size in (1, 2, 5, 10) if power * size >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 12) for n in range(first, math.floor(high / step + 1e-9) + 1)]


def powers(low: float, high: float) -> list[float]:
    """Return the round numbers of a logarithmic range: 1, 2 and 5 if it is short."""
    digits = (1, 2, 5) if high / low < 300 else (1,)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    found = [digit * 10.0**power for power in range(first, last + 1) for digit in digits]
    return [one for one in found if low * 0.999 <= one <= high * 1.001]


def lines(drawn: Sequence[Line], *, x: str, y: str, label: str, zero: bool = False) -> Markup:
    """Draw lines over numbers such as epochs."""
    known = [(a, b) for line in drawn for a, b in line.points if b is not None and math.isfinite(b)]
    if not known:
        return _svg((), label)
    across, up = _axes(known, zero=zero)
    return _svg((*_frame(across, up, x, y), *_lines(drawn, across, up)), label)


def _axes(known: Sequence[tuple[float, float]], *, zero: bool) -> tuple[Axis, Axis]:
    low, high = min(b for _, b in known), max(b for _, b in known)
    pad = 0.06 * (high - low) or abs(high) * 0.1 or 1.0
    bottom = 0.0 if zero and low >= 0 else low - pad
    left, right = min(a for a, _ in known), max(a for a, _ in known)
    across = Axis(left, right if right > left else left + 1, LEFT, WIDTH - RIGHT)
    return across, Axis(bottom, high + pad, HEIGHT - BOTTOM, TOP + KEYS)


def _lines(drawn: Sequence[Line], across: Axis, up: Axis) -> Iterator[str]:
    for number, line in enumerate(drawn):
        places = [
            (across.place(a), up.place(b))
            for a, b in line.points
            if b is not None and math.isfinite(b)
        ]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
        yield f'<polyline class="line s{number % 4}" points="{path}"/>'
        if len(places) < 16:
            yield from (
                f'<circle class="dot s{number % 4}" cx="{a:.1f}" cy="{b:.1f}" r="2.6"/>'
                for a, b in places
            )
        if len(drawn) > 1:
            yield from _key(number, line.name)


def histogram(
    counts: Sequence[tuple[str, Sequence[float]]], edges: Sequence[float], *, x: str, label: str
) -> Markup:
    """Draw the shares of several groups by bin, one beside the other."""
    top = max((max(shares, default=0.0) for _, shares in counts), default=0.0) or 1.0
    across = Axis(edges[0], edges[-1], LEFT, WIDTH - RIGHT)
    up = Axis(0, 100 * top * 1.08, HEIGHT - BOTTOM, TOP + KEYS)
    return _svg((*_frame(across, up, x, "share, %"), *_bins(counts, edges, across, up)), label)


def _bins(
    counts: Sequence[tuple[str, Sequence[float]]], edges: Sequence[float], across: Axis, up: Axis
) -> Iterator[str]:
    for number, (name, shares) in enumerate(counts):
        for left, right, share in zip(edges, edges[1:], shares, strict=False):
            start, width = across.place(left), across.place(right) - across.place(left)
            part = width / len(counts)
            y = up.place(100 * share)
            if share:
                yield (
                    f'<rect class="bar s{number % 4}" x="{start + number * part:.1f}" y="{y:.1f}" '
                    f'width="{max(1.0, part - 0.6):.1f}" height="{up.start - y:.1f}"/>'
                )
        yield from _key(number, name)


def _key(number: int, name: str) -> Iterator[str]:
    x = LEFT + 90 * number
    yield f'<rect class="s{number % 4}" x="{x:.1f}" y="4" width="9" height="9" rx="2"/>'
    yield _text(x + 13, 12, name, "tick")


def bars(values: Sequence[tuple[str, float | None]], *, label: str) -> Markup:
    """Draw one horizontal bar for each named share, 0 to 1; None is an empty row."""
    row, left = 18.0, 118.0
    across = Axis(0, 1, left, WIDTH - 44)
    return _svg(_rows(values, row, across), label, height=row * len(values) + 4)


def _rows(values: Iterable[tuple[str, float | None]], row: float, across: Axis) -> Iterator[str]:
    start, end, height = across.start, across.end, row - 6
    for number, (name, share) in enumerate(values):
        y = number * row + 2
        yield _text(start - 6, y + 11, _cut(name, 18), "tick end")
        yield (
            f'<rect class="track" x="{start}" y="{y + 2:.1f}" '
            f'width="{end - start:.1f}" height="{height}" rx="2"/>'
        )
        if share is not None:
            yield (
                f'<rect class="bar s0" x="{start}" y="{y + 2:.1f}" '
                f'width="{across.place(share) - start:.1f}" height="{height}" rx="2"/>'
            )
        yield _text(end + 6, y + 11, "-" if share is None else f"{share:.0%}", "tick")


def sorted_shares(shares: Sequence[float], *, x: str, y: str, label: str) -> Markup:
    """Draw many shares in descending order as one step line: for hundreds of classes."""
    across = Axis(0, max(1, len(shares)), LEFT, WIDTH - RIGHT)
    up = Axis(0, 100, HEIGHT - BOTTOM, TOP)
    path = "".join(
        f"L{across.place(n):.1f},{up.place(100 * s):.1f}H{across.place(n + 1):.1f}"
        for n, s in enumerate(sorted(shares, reverse=True))
    )
    area = f'<path class="area s0" d="M{LEFT},{up.start}{path}V{up.start}Z"/>'
    return _svg((*_frame(across, up, x, y), area), label)


def scatter(
    dots: Sequence[Dot],
    front: Sequence[tuple[float, float]],
    *,
    x: str,
    y: str,
    label: str,
    narrow: bool = False,
) -> Markup:
    """Draw points over a logarithmic x with their intervals, and a line for the Pareto front.

    ``narrow`` is for a phone: only marked points and those of the front are named.
    """
    if not dots:
        return _svg((), label)
    width, height = (WIDTH, 280.0) if narrow else (1000.0, 400.0)
    named = {dot.name for dot in dots if not narrow or dot.is_marked or (dot.x, dot.y) in front}
    lows = [dot.y if dot.low is None else dot.low for dot in dots]
    highs = [dot.y if dot.high is None else dot.high for dot in dots]
    pad = 0.06 * (max(highs) - min(lows)) or 1.0
    left, right = min(dot.x for dot in dots), max(dot.x for dot in dots)
    room = (right / left) ** 0.4 if narrow else 1.0  # for names of the rightmost, in a small plot
    across = Axis(left / 1.3, right * max(1.9, room), LEFT, width - RIGHT, logarithmic=True)
    up = Axis(min(lows) - pad, max(highs) + pad, height - BOTTOM, TOP)
    frame = _frame(across, up, x, y)
    return _svg(
        (*frame, *_front(front, across, up), *_dots(dots, across, up, named)), label, width, height
    )


def _front(front: Sequence[tuple[float, float]], across: Axis, up: Axis) -> Iterator[str]:
    """Draw the front as steps: more cost than a point buys at least that point's accuracy."""
    if front:
        steps = f"M{across.place(front[0][0]):.1f},{up.place(front[0][1]):.1f}" + "".join(
            f"H{across.place(a):.1f}V{up.place(b):.1f}" for a, b in front[1:]
        )
        yield f'<path class="front" d="{steps}H{across.end:.1f}"/>'


def _dots(dots: Sequence[Dot], across: Axis, up: Axis, named: Collection[str]) -> Iterator[str]:
    taken: list[tuple[float, float]] = []
    names: list[str] = []  # drawn last: over all dots and whiskers
    for dot in sorted(dots, key=lambda one: -one.y):
        a, b = across.place(dot.x), up.place(dot.y)
        if dot.low is not None and dot.high is not None:
            low, high = up.place(dot.low), up.place(dot.high)
            yield f'<path class="whisker" d="M{a:.1f},{low:.1f}V{high:.1f}"/>'
        mark = "dot s1" if dot.is_marked else "dot s0"
        title = f"<title>{_escaped(f'{dot.name}: {dot.y:.2f}')}</title>"
        yield f'<circle class="{mark}" cx="{a:.1f}" cy="{b:.1f}" r="4.5">{title}</circle>'
        if dot.name not in named:
            continue
        line = b + 4
        while any(abs(line - y) < 13 and abs(a - x) < 130 for x, y in taken):
            line += 13
        if line < up.start:  # of a heap of equal dots, as many names as there is room for
            taken.append((a, line))
            names.append(_text(a + 9, line, _cut(dot.name, 40), "name"))
    yield from names


def interval(
    span: tuple[float, float, float], axis: Axis, *, zero: bool, outcome: str, label: str
) -> Markup:
    """Draw one interval for a cell of a table: a whisker, a dot, and a line at zero."""
    estimate, low, high = span
    parts = [f'<path class="zero" d="M{axis.place(0):.1f},1V21"/>'] if zero else []
    parts += [
        f'<path class="whisker {outcome}" d="M{axis.place(low):.1f},11H{axis.place(high):.1f}"/>',
        f'<circle class="dot {outcome}" cx="{axis.place(estimate):.1f}" cy="11" r="4"/>',
    ]
    return _svg(parts, label, axis.start + axis.end, 22, kind="cell")


def forest(effects: Sequence[Effect], *, x: str, label: str) -> Markup:
    """Draw one interval for each effect on a common axis, with a line at zero."""
    row, longest = 24.0, max((len(one.name) for one in effects), default=0)
    left = 30 + 6.2 * min(longest, 68)
    width = left + 560
    ends = [0.0, *(end for one in effects for end in (one.span[1], one.span[2]))]
    ends += [one.mark for one in effects if one.mark is not None]
    pad = 0.04 * (max(ends) - min(ends)) or 1.0
    across = Axis(min(ends) - pad, max(ends) + pad, left, width - RIGHT)
    height = TOP + row * len(effects) + BOTTOM
    up = Axis(0, 1, height - BOTTOM, TOP)
    parts = [*_across(across, up, x), *_effects(effects, row, across)]
    zero = across.place(0)
    parts.append(f'<path class="zero" d="M{zero:.1f},{TOP}V{up.start:.1f}"/>')
    return _svg(parts, label, width, height)


def _effects(effects: Sequence[Effect], row: float, across: Axis) -> Iterator[str]:
    for number, one in enumerate(effects):
        y = TOP + row * (number + 0.5)
        estimate, low, high = (across.place(value) for value in one.span)
        yield _text(across.start - 10, y + 4, _cut(one.name, 68), "name end")
        yield f'<path class="whisker {one.kind}" d="M{low:.1f},{y:.1f}H{high:.1f}"/>'
        yield f'<circle class="dot {one.kind}" cx="{estimate:.1f}" cy="{y:.1f}" r="4.5"/>'
        if one.mark is not None:
            a = across.place(one.mark)
            yield f'<path class="mark" d="M{a:.1f},{y - 6:.1f}l6,6l-6,6l-6,-6z"/>'


def stack(counts: Sequence[tuple[str, int, str]], *, label: str) -> Markup:
    """Draw counts as one bar of parts: name, count and class of the style."""
    total, left, parts = sum(count for _, count, _ in counts) or 1, 0.0, []
    for _, count, kind in counts:
        width = 1000 * count / total
        if count:
            parts.append(
                f'<rect class="bar {kind}" x="{left:.1f}" y="18" width="{max(1.0, width - 2):.1f}" '
                'height="20" rx="2"/>'
            )
            parts.append(_text(left + width / 2, 12, str(count), "tick middle"))
        left += width
    return _svg(parts, label, 1000, 40)


def _across(across: Axis, up: Axis, x: str) -> Iterator[str]:
    for tick in ticks(across.low, across.high, 8):
        a = across.place(tick)
        yield f'<path class="grid" d="M{a:.1f},{up.end:.1f}V{up.start:.1f}"/>'
        yield _text(a, up.start + 14, f"{tick:g}", "tick middle")
    yield _text((across.start + across.end) / 2, up.start + 31, x, "title middle")


def _frame(across: Axis, up: Axis, x: str, y: str) -> Iterator[str]:
    """Yield grid lines, numbers and the names of both axes."""
    bottom = up.start
    for tick in ticks(up.low, up.high):
        place = up.place(tick)
        yield f'<path class="grid" d="M{across.start:.1f},{place:.1f}H{across.end:.1f}"/>'
        yield _text(across.start - 6, place + 3.5, f"{tick:g}", "tick end")
    for tick in (
        powers(across.low, across.high) if across.logarithmic else ticks(across.low, across.high)
    ):
        yield _text(across.place(tick), bottom + 14, f"{tick:g}", "tick middle")
    yield f'<path class="axis" d="M{across.start:.1f},{bottom:.1f}H{across.end:.1f}"/>'
    yield _text((across.start + across.end) / 2, bottom + 31, x, "title middle")
    middle = (up.start + up.end) / 2
    yield (
        f'<text class="title middle" x="11" y="{middle:.1f}" '
        f'transform="rotate(-90 11 {middle:.1f})">{_escaped(y)}</text>'
    )


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{_escaped(text)}</text>'


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}\N{HORIZONTAL ELLIPSIS}"


@lru_cache(maxsize=1 << 12)  # ticks and names of classes are those of the plot before
def _escaped(text: str) -> str:
    return str(escape(visible(text)))


def _svg(
    parts: Iterable[str],
    label: str,
    width: float = WIDTH,
    height: float = HEIGHT,
    kind: str = "plot",
) -> Markup:
    return Markup(  # every text in it was escaped
        f'<svg class="{kind}" role="img" aria-label="{_escaped(label)}" '
        f'viewBox="0 0 {width:g} {height:g}">{"".join(parts)}</svg>'
    )
