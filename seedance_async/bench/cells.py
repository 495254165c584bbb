"""A level's figures as the cells of a row, for the terminal's table and for the page's. Pure."""

from __future__ import annotations

from seedance_async.bench.figures import LevelFigures, Quantiles
from seedance_async.budget import shown

__all__ = ["cells"]


def cells(level: LevelFigures) -> list[str]:
    """Return what to show of a level: its size, throughput, times, requests, 429s, cost, jobs.

    Times are in seconds, as p50 / p95; what was not measured is empty.
    """
    jobs = ", ".join(f"{number} {state}" for state, number in level.counts.items() if number)
    return [
        str(level.level),
        _throughput(level),
        *(_pair(one) for one in (level.latency, level.wait, level.run, level.lateness)),
        "" if level.requests_per_job is None else f"{level.requests_per_job:.1f}",
        str(level.limited),
        shown(level.cost),
        jobs.replace("_", " "),
    ]


def _throughput(level: LevelFigures) -> str:
    if level.throughput is None:
        return "not measured"
    if level.low is None or level.high is None or level.low == level.high:
        return f"{level.throughput:.1f}"
    return f"{level.throughput:.1f} ({level.low:.1f} to {level.high:.1f})"


def _pair(found: Quantiles | None) -> str:
    return "" if found is None else f"{found.p50:.1f} / {found.p95:.1f}"
