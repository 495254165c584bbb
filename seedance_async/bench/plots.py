"""Plots as SVG, small and by hand: lines over levels, bars, and the spans of jobs. Pure.

Colours are classes, which the page's style fills in for light and dark. Every text is escaped.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Sequence
from typing import Final

import attrs

__all__ = ["Line", "Span", "line_plot", "span_plot", "text"]

_WIDTH: Final = 400
_HEIGHT: Final = 250
_LEFT: Final = 40
_RIGHT: Final = 14
_TOP: Final = 14
_BOTTOM: Final = 40

_UNPRINTABLE: Final = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""What may not stand in a document at all, escaped or not."""


def text(value: object) -> str:
    """Return a value as text that a document can hold, whoever wrote it."""
    return html.escape(_UNPRINTABLE.sub("\ufffd", str(value)))


@attrs.frozen
class Line:
    """A row of values over the levels.

    Attributes:
        name: For the legend.
        kind: A class of the page's style.
        values: One for each level; None leaves a gap.
        low: Ends of the bars of spread; empty: there are none.
        high: Their other ends.
    """

    name: str
    kind: str
    values: Sequence[float | None]
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()


def line_plot(
    labels: Sequence[str],
    lines: Sequence[Line],
    *,
    x_name: str,
    y_name: str,
    title: str,
    mark: int | None = None,
    mark_name: str = "",
) -> str:
    """Return a plot of lines over evenly spaced labels.

    Args:
        labels: Under the axis.
        lines: What is drawn.
        x_name: Under the labels.
        y_name: Above the axis, with the unit.
        title: For those who do not see it.
        mark: Which label gets an upright line.
        mark_name: What stands beside that line.
    """
    known = [value for line in lines for value in (*line.values, *line.high) if value is not None]
    ticks = _ticks(max(known, default=0.0))
    scale = _Scale(len(labels), ticks[-1])
    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{text(title)}">']
    parts += [_grid_line(scale.y(tick), tick) for tick in ticks]
    parts += [
        f'<text class="tick" x="{scale.x(place):.1f}" y="{_HEIGHT - 22}" '
        f'text-anchor="middle">{text(label)}</text>'
        for place, label in enumerate(labels)
    ]
    parts.append(
        f'<text class="tick" x="{(_LEFT + _WIDTH - _RIGHT) / 2:.0f}" y="{_HEIGHT - 5}" '
        f'text-anchor="middle">{text(x_name)}</text>'
    )
    if mark is not None:
        parts.append(_mark(scale.x(mark), mark_name))
    parts += [part for line in lines for part in _line(line, scale)]
    parts.append("</svg>")
    legend = " ".join(
        f'<span class="key"><i class="{line.kind}"></i>{text(line.name)}</span>' for line in lines
    )
    return f'<p class="legend"><b>{text(y_name)}</b> {legend}</p>{"".join(parts)}'


@attrs.frozen
class _Scale:
    places: int
    most: float

    def x(self, place: int) -> float:
        room = _WIDTH - _LEFT - _RIGHT
        return _LEFT + room * (place + 0.5) / max(self.places, 1)

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / self.most


def _ticks(most: float) -> list[float]:
    """Return round numbers from 0 to at least `most`."""
    if most <= 0:
        return [0.0, 1.0]
    rough = most / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    return [step * number for number in range(math.ceil(most / step - 1e-9) + 1)]


def _grid_line(y: float, tick: float) -> str:
    return (
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>'
    )


def _mark(x: float, name: str) -> str:
    left, anchor = (x + 5, "start") if x < _WIDTH / 2 else (x - 5, "end")
    return (
        f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>'
        f'<text class="marked" x="{left:.1f}" y="{_TOP + 8}" '
        f'text-anchor="{anchor}">{text(name)}</text>'
    )


def _line(line: Line, scale: _Scale) -> list[str]:
    there = [
        (scale.x(place), scale.y(value), value)
        for place, value in enumerate(line.values)
        if value is not None
    ]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in there)
    parts = [f'<polyline class="{line.kind}" points="{points}"/>'] if there else []
    ends = zip(line.low, line.high, strict=True)
    for place, (low, high) in enumerate(ends):
        if low is not None and high is not None and high > low:
            x = scale.x(place)
            parts.append(
                f'<line class="{line.kind}" x1="{x:.1f}" x2="{x:.1f}" '
                f'y1="{scale.y(low):.1f}" y2="{scale.y(high):.1f}"/>'
            )
    parts += [
        f'<circle class="{line.kind}" cx="{x:.1f}" cy="{y:.1f}" r="3.5">'
        f"<title>{text(line.name)}: {value:.3g}</title></circle>"
        for x, y, value in there
    ]
    return parts


# --- jobs over time ------------------------------------------------------------------------


@attrs.frozen
class Span:
    """A part of one job's time.

    Attributes:
        row: Which line of the plot, from 0.
        kind: A class of the page's style.
        begin: Seconds from the plot's left edge.
        end: Likewise.
        title: Told when pointed at.
    """

    row: int
    kind: str
    begin: float
    end: float
    title: str


def span_plot(spans: Sequence[Span], *, seconds: float, title: str) -> str:
    """Return a plot of jobs over time, one line each.

    Args:
        spans: What is drawn.
        seconds: The length of the axis.
        title: For those who do not see it.
    """
    rows = max((span.row for span in spans), default=0) + 1
    step = max(2.0, min(9.0, 220 / rows))
    height = rows * step + 24
    width, left, right = 1080.0, 8.0, 20.0
    most = seconds or 1.0
    scale = (width - left - right) / most
    parts = [f'<svg viewBox="0 0 {width:.0f} {height:.1f}" role="img" aria-label="{text(title)}">']
    for tick in _ticks(most):
        if tick > most:
            break
        x = left + tick * scale
        anchor = "start" if tick == 0 else "middle"
        parts.append(
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{rows * step:.1f}"/>'
            f'<text class="tick" x="{x:.1f}" y="{height - 8:.1f}" '
            f'text-anchor="{anchor}">{tick:g} s</text>'
        )
    parts += [
        f'<rect class="{span.kind}" x="{left + span.begin * scale:.1f}" y="{span.row * step:.1f}" '
        f'width="{max((span.end - span.begin) * scale, 0.5):.1f}" height="{step * 0.8:.1f}">'
        f"<title>{text(span.title)}</title></rect>"
        for span in spans
    ]
    parts.append("</svg>")
    return "".join(parts)
