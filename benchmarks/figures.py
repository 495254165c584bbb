"""The figures that the README shows: reduced from results, kept in `figures.json`.

A question may be asked in several ways (variants), told apart by the options of the run. A run
with other options, or with fewer rounds than a figure needs, is left out, so that a quick try never
replaces a measurement. A variant that was not measured anew keeps its figures and its conditions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import attrs

from benchmarks.report import Quartiles, quartiles

__all__ = [
    "VARIANTS",
    "Kept",
    "Variant",
    "dump",
    "load",
    "merge",
    "read_results",
    "reduce",
    "unfit",
]

Report: TypeAlias = dict[str, Any]
"""A result as a benchmark saved it."""

Reading: TypeAlias = Callable[[Report], Quartiles]
"""Takes one figure from a report; raises KeyError if the run had no such contender or case."""

_CONDITIONS: Final = ("python", "packages", "commit", "processor", "cores")


@attrs.frozen
class Variant:
    """One way of asking a question, and what is taken from a result that answers it.

    Attributes:
        question: The script.
        figures: What is taken, by name.
        options: What the run must have been given.
        least: Options that must be at least so large.
    """

    question: str
    figures: Mapping[str, Reading]
    options: Mapping[str, Any] = attrs.field(factory=dict)
    least: Mapping[str, int] = attrs.field(factory=dict)


@attrs.frozen
class Kept:
    """What is kept of one result.

    Attributes:
        date: When it was measured, in ISO 8601.
        conditions: The versions and the machine.
        figures: By name.
    """

    date: str
    conditions: dict[str, Any]
    figures: dict[str, Quartiles]


# --- what is taken from each script's JSON -----------------------------------------------------


def _at(*path: str) -> Reading:
    """Take quartiles that the script reckoned."""

    def read(report: Report) -> Quartiles:
        found = report
        for key in path:
            found = found[key]
        return Quartiles(**found)

    return read


def _worst(writers: str, key: str) -> Reading:
    """Take the worst of all rounds of the ledger: an "at most" holds for each of them."""
    return lambda report: quartiles([max(one[writers][key] for one in report["rounds"])])


def _against_fixed(case: str) -> Reading:
    """Take a case of the polling, each seed one value."""
    return lambda report: quartiles(
        {each["case"]: each["against_fixed"] for each in report["compared"]}[case]
    )


_BURST: Final = ("wall_ratio", "cpu_ratio", "lag_p99_ratio", "lag_max_ratio")
_POLLING: Final = (
    "lognormal 0.3, warm",
    "lognormal 0.3, cold",
    "lognormal 0.3, 500 at once, warm",
    "lognormal 1.0, warm",
    "lognormal 1.0, cold",
    "bimodal, cold",
    "slower, cold",
    "quicker, cold",
)


def _cpu_per_job(concurrency: int, loop: str) -> Variant:
    return Variant(
        "cpu_per_job",
        {"ratio": _at("summary", "session", "ratio")},
        {"concurrency": concurrency, "loop": loop},
        {"jobs": 2000, "rounds": 3},
    )


def _burst(delay: float) -> Variant:
    names = (*_BURST, "kb_per_job", "late_p95")
    return Variant(
        "burst",
        {name: _at("summary", "session", name) for name in names},
        {"jobs": 10_000, "delay": delay, "loop": "asyncio"},
        {"rounds": 3},
    )


def _batch_row(concurrency: int) -> Variant:
    return Variant(
        "batch_row",
        {"ratio": _at("concurrency", str(concurrency), "summary", "batch", "ratio")},
        least={"rows": 2000, "rounds": 3},
    )


VARIANTS: Final[dict[str, Variant]] = {
    "cpu_per_job 50": _cpu_per_job(50, "asyncio"),
    "cpu_per_job 200": _cpu_per_job(200, "asyncio"),
    "cpu_per_job 50 uvloop": _cpu_per_job(50, "uvloop"),
    "cpu_per_job 200 uvloop": _cpu_per_job(200, "uvloop"),
    "burst": _burst(0.0),
    "burst delay": _burst(0.1),
    "polling": Variant(
        "polling", {case: _against_fixed(case) for case in _POLLING}, least={"seeds": 5}
    ),
    "batch_row 50": _batch_row(50),
    "batch_row 200": _batch_row(200),
    "ledger": Variant(
        "ledger",
        {"a_commit": _at("summary", "200", "a_commit"), "longest": _worst("200", "longest_delay")},
        least={"changes": 30_000, "rounds": 3},
    ),
    "makespan": Variant(
        "makespan",
        {"ratio": _at("summary", "the session's default", "ratio")},
        {"rows": 200, "in_flight": 12},
        {"seeds": 5},
    ),
    "imports": Variant(
        "imports",
        {
            "names": _at("summary", "import seedance_async", "ratio"),
            "opened": _at("summary", "... and what opens it", "ratio"),
            "help": _at("summary", "seedance-async --help", "ratio"),
        },
        least={"rounds": 10},
    ),
    "downloads": Variant(
        "downloads",
        {
            f"{link}, {name}": _at(link, "summary", name, "mb_per_second")
            for link in ("1 Gbit/s", "unshaped")
            for name in ("session", "curl", "disk")
        },
        {"files": 100, "size": 10_000_000},
        {"rounds": 3},
    ),
}
"""By the names that they have in `figures.json`."""


# --- from results to figures -------------------------------------------------------------------


def unfit(variant: Variant, question: str, report: Report) -> str | None:
    """Say why a result does not answer a variant; None if it does."""
    given = report.get("options", {})
    if question != variant.question:
        return "another question"
    for name, value in variant.options.items():
        if given.get(name) != value:
            return f"{name} {given.get(name)}, not {value}"
    for name, value in variant.least.items():
        if given.get(name, 0) < value:
            return f"{name} {given.get(name)}, less than {value}"
    return None


def reduce(variant: Variant, report: Report) -> Kept | None:
    """Return what is kept of a result; None if it has none of the figures."""
    figures = {}
    for name, read in variant.figures.items():
        try:
            figures[name] = _rounded(read(report))
        except KeyError:
            continue  # a contender that was not there, as curl
    if not figures:
        return None
    found = report["conditions"]
    return Kept(found["at"], {name: found[name] for name in _CONDITIONS}, figures)


def _rounded(found: Quartiles) -> Quartiles:
    """Keep five digits, so that the file can be read."""
    return Quartiles(*(float(f"{value:.5g}") for value in found))


def merge(
    kept: Mapping[str, Kept], results: Iterable[tuple[str, Report]], variants: Mapping[str, Variant]
) -> dict[str, Kept]:
    """Return the newest of what is kept and of the results, for each variant."""
    newest = {name: kept[name] for name in variants if name in kept}
    for question, report in results:
        for name, variant in variants.items():
            if unfit(variant, question, report):
                continue
            found = reduce(variant, report)
            if found and (name not in newest or found.date >= newest[name].date):
                newest[name] = found
    return {name: newest[name] for name in variants if name in newest}


# --- the files ---------------------------------------------------------------------------------


def read_results(folder: Path) -> list[tuple[str, Report]]:
    """Return the question and the report of each file of results, by name and time."""
    return [
        (path.stem.rpartition("-")[0], json.loads(path.read_text("utf-8")))
        for path in sorted(folder.glob("*.json"))
    ]


def load(text: str) -> dict[str, Kept]:
    """Read what `dump` wrote."""
    return {
        name: Kept(
            found["date"],
            found["conditions"],
            {figure: Quartiles(*values) for figure, values in found["figures"].items()},
        )
        for name, found in json.loads(text).items()
    }


def dump(kept: Mapping[str, Kept]) -> str:
    """Return the text of `figures.json`; equal figures give equal texts."""
    found = {
        name: {"date": one.date, "conditions": one.conditions, "figures": one.figures}
        for name, one in kept.items()
    }
    return json.dumps(found, indent=1) + "\n"
