"""The README's table of benchmark figures, made from `figures.json`.

Takes the newest results from `results/` into `figures.json`, which is in git, and puts the table
between the markers in README.md. `--check` writes nothing and fails if the README holds another
table than `figures.json` makes.

    python -m benchmarks.table [--check]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from benchmarks.figures import VARIANTS, Kept, dump, load, merge, read_results, unfit
from benchmarks.marked import replace_block
from benchmarks.report import RESULTS, Quartiles

__all__ = ["BEGIN", "END", "FIGURES", "README", "ROWS", "Row", "Unit", "table"]

BEGIN: Final = "<!-- benchmarks: begin -->"
END: Final = "<!-- benchmarks: end -->"
FIGURES: Final = Path(__file__).parent / "figures.json"
README: Final = Path(__file__).parents[1] / "README.md"

_NOT_MEASURED: Final = "not measured"


@attrs.frozen
class Unit:
    """How a figure and its goal are written."""

    figure: str
    goal: str
    name: str = ""


RATIO: Final = Unit(".3f", ".2f")
CHANGE: Final = Unit("+.1%", "+.0%")
_KILOBYTES: Final = Unit(".2f", ".0f", " KB")
_SECONDS: Final = Unit(".3f", ".1f", " s")
_COUNT: Final = Unit(".1f", ".0f")
_RATE: Final = Unit(".1f", ".0f", " MB/s")


@attrs.frozen
class Row:
    """A line of the table.

    Attributes:
        question: What the line says.
        variant: Where the figure is, in `figures.json`.
        figure: Its name there.
        at_most: The goal, judged by the median; no goal if `at_least` is None too.
        at_least: The goal, where more is better.
    """

    question: str
    variant: str
    figure: str
    at_most: float | None = None
    at_least: float | None = attrs.field(default=None, kw_only=True)
    unit: Unit = attrs.field(default=RATIO, kw_only=True)

    def misses(self, found: Quartiles) -> bool:
        """Tell whether the median is on the wrong side of the goal."""
        too_much = self.at_most is not None and found.median > self.at_most
        too_little = self.at_least is not None and found.median < self.at_least
        return too_much or too_little


def _polling(durations: str, figure: str, at_most: float) -> Row:
    return Row(f"Learned polling: {durations}", "polling", figure, at_most, unit=CHANGE)


def _download(question: str, figure: str, at_least: float | None = None) -> Row:
    return Row(question, "downloads", figure, at_least=at_least, unit=_RATE)


ROWS: Final = (
    Row("CPU of a job of two requests, 50 at once", "cpu_per_job 50", "ratio", 1.0),
    Row("CPU of a job, 200 at once", "cpu_per_job 200", "ratio", 1.0),
    Row("CPU of a job, 50 at once, both on uvloop", "cpu_per_job 50 uvloop", "ratio", 0.8),
    Row("CPU of a job, 200 at once, both on uvloop", "cpu_per_job 200 uvloop", "ratio", 0.8),
    Row("10,000 jobs in one burst: time on the wall", "burst", "wall_ratio", 0.9),
    Row("Burst: CPU", "burst", "cpu_ratio", 0.75),
    Row("Burst: delay of other tasks, p99", "burst", "lag_p99_ratio", 0.15),
    Row("Burst: delay of other tasks, longest", "burst", "lag_max_ratio", 0.3),
    Row("Burst: memory of a job", "burst", "kb_per_job", 6.0, unit=_KILOBYTES),
    Row("Burst: a job's end is known late by, p95", "burst", "late_p95", 0.3, unit=_SECONDS),
    Row("Burst, 100 ms before each answer: delay p99", "burst delay", "lag_p99_ratio", 0.5),
    Row("Burst, 100 ms before each answer: wall", "burst delay", "wall_ratio", 1.0),
    _polling(
        "lateness beside fixed 2 s, equal requests; sigma 0.3, warm", "lognormal 0.3, warm", -0.5
    ),
    _polling("sigma 0.3, cold, 20 in flight", "lognormal 0.3, cold", -0.4),
    _polling("sigma 0.3, 500 together, warm", "lognormal 0.3, 500 at once, warm", -0.45),
    _polling("sigma 1.0, warm", "lognormal 1.0, warm", 0.03),
    _polling("sigma 1.0, cold", "lognormal 1.0, cold", 0.03),
    _polling("bimodal, cold", "bimodal, cold", 0.03),
    _polling("slower from mid-run", "slower, cold", 0.03),
    _polling("quicker from mid-run", "quicker, cold", 0.03),
    Row("CPU of a batch's row, 50 at once, ledger and results", "batch_row 50", "ratio", 1.35),
    Row("CPU of a batch's row, 200 at once", "batch_row 200", "ratio", 1.1),
    Row(
        "Ledger, 200 writers: changes that share a commit",
        "ledger",
        "a_commit",
        at_least=50,
        unit=_COUNT,
    ),
    Row("Ledger, 200 writers: longest wait, in commits", "ledger", "longest", 2, unit=_COUNT),
    Row("Batch of 200 rows, beside the ideal schedule", "makespan", "ratio", 1.03),
    Row("`import seedance_async`, beside `import aiohttp`", "imports", "names", 1.15),
    Row("The same with all that opens a session", "imports", "opened", 1.15),
    Row("`seedance-async --help`, beside `import aiohttp`", "imports", "help", 1.0),
    _download("1 GB in 100 files through 1 Gbit/s (125 MB/s)", "1 Gbit/s, session", 119),
    _download("The same by curl, without hashing and syncing", "1 Gbit/s, curl"),
    _download("1 GB in 100 files, the link unshaped", "unshaped, session"),
    _download("The same by curl", "unshaped, curl"),
    _download("The disk alone: 1 GB written and synced", "unshaped, disk"),
)
"""Saturated is 95% of the link."""


# --- rendering ---------------------------------------------------------------------------------


def table(kept: Mapping[str, Kept], rows: tuple[Row, ...]) -> str:
    """Return the Markdown table, how its goals fare, and what the figures depend on."""
    lines = [
        "| question | goal | measured: median [quartiles] |",
        "|---|---|---|",
        *(
            f"| {row.question} | {_goal(row)} | {_measured(row, _find(kept, row))} |"
            for row in rows
        ),
        "",
        _tally(kept, rows),
    ]
    sources = _sources(kept)
    return "\n".join([*lines, *([""] if sources else []), *sources])


def _find(kept: Mapping[str, Kept], row: Row) -> Quartiles | None:
    found = kept.get(row.variant)
    return found.figures.get(row.figure) if found else None


def _goal(row: Row) -> str:
    for sign, goal in (("≤", row.at_most), ("≥", row.at_least)):
        if goal is not None:
            return f"{sign} {goal:{row.unit.goal}}{row.unit.name}"
    return ""


def _measured(row: Row, found: Quartiles | None) -> str:
    if found is None:
        return _NOT_MEASURED
    low, median, high = (f"{value:{row.unit.figure}}" for value in found)
    spread = "" if low == median == high else f" [{low}..{high}]"
    return f"{median}{row.unit.name}{spread}{', **missed**' * row.misses(found)}"


def _tally(kept: Mapping[str, Kept], rows: tuple[Row, ...]) -> str:
    """Count the goals that are met, missed and not measured."""
    found = [(row, _find(kept, row)) for row in rows if _goal(row)]
    missed = sum(row.misses(figure) for row, figure in found if figure is not None)
    unknown = sum(figure is None for _, figure in found)
    met = len(found) - missed - unknown
    return f"Of {len(found)} goals {met} are met, {missed} missed, {unknown} {_NOT_MEASURED}."


def _sources(kept: Mapping[str, Kept]) -> list[str]:
    """Say when and on what was measured; variants of equal conditions share a line."""
    found: dict[str, list[str]] = {}
    for name, one in kept.items():
        found.setdefault(_source(one.date, one.conditions), []).append(name)
    return [f"- {', '.join(names)}: {source}" for source, names in found.items()]


def _source(date: str, conditions: Mapping[str, Any]) -> str:
    packages = ", ".join(f"{name} {found}" for name, found in conditions["packages"].items())
    return (
        f"{date[:10]}, commit {conditions['commit']}, {conditions['processor']}, "
        f"{conditions['cores']} cores, {conditions['python']}, {packages}."
    )


# --- the command -------------------------------------------------------------------------------


def _tell(before: Mapping[str, Kept], after: Mapping[str, Kept]) -> None:
    """Print where each variant's figures come from."""
    for name in VARIANTS:
        found = after.get(name)
        source = (
            _NOT_MEASURED if found is None else f"{found.date}, commit {found.conditions['commit']}"
        )
        print(f"{name:24}{source}{', new' * (found != before.get(name))}")


def _tell_left_out(results: list[tuple[str, dict[str, Any]]]) -> None:
    """Print which results answer no variant of their question, and why."""
    for question, report in results:
        asked = [variant for variant in VARIANTS.values() if variant.question == question]
        whys = [unfit(variant, question, report) for variant in asked]
        if whys and all(whys):
            print(f"left out: {' '.join(report['command'])}: {'; '.join(map(str, whys))}")


def main() -> None:
    """Write the figures and the table, or check that the table is that of the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, fail if they differ")
    check = parser.parse_args().check
    before = load(FIGURES.read_text("utf-8"))
    page = README.read_text("utf-8")
    if check:
        if page != replace_block(page, BEGIN, END, table(before, ROWS)):
            sys.exit("README.md is not what figures.json makes: python -m benchmarks.table")
        return
    results = read_results(RESULTS)
    after = merge(before, results, VARIANTS)
    _tell_left_out(results)
    _tell(before, after)
    FIGURES.write_text(dump(after), "utf-8")
    README.write_text(replace_block(page, BEGIN, END, table(after, ROWS)), "utf-8")


if __name__ == "__main__":
    main()
