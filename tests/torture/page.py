"""The README's table of the torture: `python -m tests.torture.page FIGURES.jsonl`.

The lines are those that `SEEDANCE_FIGURES` collected; what several runs told of one test is
added up. The table takes the place of what stands between the markers in README.md.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import attrs

from benchmarks.marked import replace_block

__all__ = ["BEGIN", "END", "table"]

BEGIN: Final = "<!-- torture: begin -->"
END: Final = "<!-- torture: end -->"

_PROMISES: Final = {
    "never_pays_twice": "Never pays twice",
    "never_loses_what_was_paid": "Never loses what was paid",
    "never_lies": "Never lies",
    "never_hangs": "Never hangs, never floods",
    "one_jobs_trouble_is_its_own": "One job's trouble is its own",
    "the_token_goes_nowhere_else": "The token goes nowhere else",
}
"""What the tests' names begin with, in the order of the promises."""

_WHEN_AND_WHERE: Final = ("date", "python", "platform", "form")
_NO_FIGURES: Final = frozenset({"test", "how", "seed", *_WHEN_AND_WHERE})
_MOST: Final = "most_"
"""Of figures whose names begin so the greatest counts; all others are added up."""

_ZERO_COUNTS: Final = ("billed_twice", "paid_and_lost")
"""Figures that say something by being zero, wherever anything was accepted."""


@attrs.define
class _Row:
    """What one test came to, all its runs and parameters together."""

    test: str
    how: str = ""
    figures: dict[str, int | float] = attrs.field(factory=dict)
    unchecked: set[str] = attrs.field(factory=set)

    def add(self, line: dict[str, Any]) -> None:
        self.how = line.get("how") or self.how
        for name, value in line.items():
            if name not in _NO_FIGURES and value is None:
                self.unchecked.add(name)
            elif name not in _NO_FIGURES and isinstance(value, int | float):
                before = self.figures.get(name, 0)
                self.figures[name] = (
                    max(before, value) if name.startswith(_MOST) else before + value
                )

    @property
    def promise(self) -> str:
        """The key of its promise; empty if its name begins with none."""
        name = self.test.removeprefix("test_")
        return next((promise for promise in _PROMISES if name.startswith(promise)), "")

    def __str__(self) -> str:
        shown = [
            f"{name.replace('_', ' ')} {_number(value)}"
            for name, value in self.figures.items()
            if value or (name in _ZERO_COUNTS and self.figures.get("accepted"))
        ]
        shown += [f"{name.replace('_', ' ')} not always checked" for name in sorted(self.unchecked)]
        how = f"{_cell(self.how)} `{self.test}`".strip()
        return f"| {_PROMISES.get(self.promise, '')} | {how} | {_cell(', '.join(shown))} |"


def table(lines: Iterable[str]) -> str:
    """Return a Markdown table of the collected lines, and below it when and where they came from.

    Raises:
        ValueError: There are none, or one is not JSON.
    """
    rows: dict[str, _Row] = {}
    about: dict[str, set[str]] = {name: set() for name in _WHEN_AND_WHERE}
    for line in lines:
        told = json.loads(line)
        test = told["test"].partition("[")[0]
        rows.setdefault(test, _Row(test)).add(told)
        for name, values in about.items():
            values |= {told[name]} if told.get(name) else set()
    if not rows:
        raise ValueError("no figures: run the torture with SEEDANCE_FIGURES=FILE first")
    order = [*_PROMISES, ""]
    body = sorted(rows.values(), key=lambda row: (order.index(row.promise), row.test))
    head = ["| Promise | How it was tortured | Figures |", "| --- | --- | --- |"]
    return "\n".join([*head, *map(str, body), "", _source(about)])


def _source(about: dict[str, set[str]]) -> str:
    dates = sorted(about["date"])
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}" if dates else "no date"
    versions = ", ".join(sorted(about["python"], key=_version))
    form, where = (" and ".join(sorted(about[name])) for name in ("form", "platform"))
    return f"Measured {when} on {where}, Python {versions}, in the {form} form."


def _version(text: str) -> list[int]:
    return [int(part) for part in text.split(".") if part.isdigit()]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def main(figures: Path, readme: Path) -> None:
    """Put the table of a file of figures into a page."""
    made = table(line for line in figures.read_text("utf-8").splitlines() if line.strip())
    readme.write_text(replace_block(readme.read_text("utf-8"), BEGIN, END, made), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).parents[2] / "README.md")
