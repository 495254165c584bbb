"""The end of a run: a table for people, and a file for programs."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from .examination import Report

TITLE = "where this service differs from the double"

_GAP = "  "


def lines(report: Report, width: int) -> Iterator[str]:
    """Spell a report for a terminal."""
    if report.differences:
        rows = [(d.where, d.expected, d.seen) for d in report.differences]
        yield from table(("where", "expected", "seen"), rows, width)
        yield ""
        yield from dict.fromkeys(f"by {d.rule}" for d in report.differences)
    else:
        yield "nowhere, as far as was looked"
    if report.observations:
        yield from ("", "what nobody has written down, and how it is done here:")
        noted = [(o.point, o.double, o.seen) for o in report.observations]
        yield from table(("point", "the double", "this service"), noted, width)
    if report.slowest:
        yield from ("", f"slowest answer: {report.slowest}")
    if report.paid:
        yield from ("", "generations that were accepted:")
        yield from (f"{p.request_id}  {p.why}: {p.end}, cost {p.cost}" for p in report.paid)
    if report.doubts:
        yield from ("", "submissions in doubt, which may run and be billed:", *report.doubts)
    if report.not_paid:
        yield from ("", "not checked, for it costs money:", *report.not_paid)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """Lay out rows in columns of equal width, with long cells over several lines."""
    column = max(20, (width - len(_GAP) * (len(head) - 1)) // len(head))
    for row in (head, ["-" * column] * len(head), *rows):
        cells = [textwrap.wrap(cell, column) or [""] for cell in row]
        for at in range(max(map(len, cells))):
            parts = (cell[at] if at < len(cell) else "" for cell in cells)
            yield _GAP.join(part.ljust(column) for part in parts).rstrip()


def write_json(report: Report, path: Path) -> None:
    """Write a report for programs."""
    path.write_text(json.dumps(attrs.asdict(report), indent=2) + "\n", encoding="utf-8")
