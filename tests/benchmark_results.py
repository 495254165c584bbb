"""Invented results of the benchmarks, for the tests of the README's table."""

from __future__ import annotations

from typing import Any

from benchmarks.figures import Kept
from benchmarks.report import Quartiles

CONDITIONS = {
    "python": "CPython 3.11.7",
    "packages": {"aiohttp": "3.13.2", "uvloop": "0.22.1"},
    "commit": "abc1234",
    "processor": "A processor",
    "cores": 2,
}


def kept(*values: float, date: str = "2026-01-02T03:04:05+00:00", **conditions: Any) -> Kept:
    return Kept(date, {**CONDITIONS, **conditions}, {"ratio": Quartiles(*values)})


def cpu_report(
    ratio: float, at: str = "2026-01-02T03:04:05+00:00", **options: Any
) -> tuple[str, dict[str, Any]]:
    """A result of cpu_per_job as the script saves it."""
    found = {"ratio": Quartiles(ratio - 0.1, ratio, ratio + 0.1)._asdict()}
    return "cpu_per_job", {
        "command": ["cpu_per_job.py"],
        "options": {"jobs": 2000, "concurrency": 50, "rounds": 7, "loop": "asyncio", **options},
        "conditions": {**CONDITIONS, "at": at, "load": [0.1, 0.1, 0.1]},
        "summary": {"loop": {}, "session": found},
        "rounds": [],
    }
