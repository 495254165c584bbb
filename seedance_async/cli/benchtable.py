"""How a benchmark ended: the table, JSON, the exit code, and which command goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import Money
from seedance_async.batch.ledger import SIMULATOR
from seedance_async.batch.report import BatchReport
from seedance_async.batch.stops import Stop, StopReason
from seedance_async.bench.cells import cells
from seedance_async.bench.knee import recommend
from seedance_async.bench.report import BenchmarkReport, report_json
from seedance_async.cli.batchexit import batch_exit
from seedance_async.cli.batchsummary import NOT_LOOKED_AT, troubles
from seedance_async.cli.benchrun import Order
from seedance_async.cli.commandline import CommandLine
from seedance_async.cli.terminal import console, tell
from seedance_async.counting import counted
from seedance_async.shell import quoted

__all__ = ["bench_exit", "bench_json", "next_steps", "show", "unbegun_json"]

_WIDE, _NARROW = 130, 72
"""Columns of a screen from which all is shown, and below which next to nothing is."""
_FEW, _FEWEST = (0, 1, 2, 3, 4, 6, 7), (0, 1, 2)
_LEFT: Final = (RowState.PLANNED, RowState.SUBMITTING, RowState.SUBMITTED, RowState.TIMED_OUT)


def as_batch(report: BenchmarkReport) -> BatchReport:
    """Return a benchmark's end as that of the batch which it is."""
    return BatchReport(
        counts=report.counts,
        invalid=0,
        submitted=0,
        downloaded=0,
        to_download=0,
        not_downloadable=0,
        money=report.money,
        stop=report.stop,
        denied=report.denied,
        storage_trouble=None,
        results=None,
    )


def bench_exit(report: BenchmarkReport, *, interrupted: int | None) -> int:
    """Return the exit code, by the rules of `batch`."""
    return batch_exit(as_batch(report), interrupted=interrupted)


def next_steps(report: BenchmarkReport, folder: Path, command: CommandLine) -> list[str]:
    """Return which commands go on, a sentence each."""
    counts = report.counts
    steps = []
    if counts[RowState.IN_DOUBT]:
        steps.append(
            f"{counts[RowState.IN_DOUBT]:,} in doubt, perhaps paid for: "
            f"`seedance-async resolve {quoted(folder)}` settles them"
        )
    if left := sum(counts[state] for state in _LEFT):
        steps.append(f"{counted(left, 'job is', 'jobs are')} not over: `{command.again()}` goes on")
    return steps


def bench_json(
    report: BenchmarkReport, folder: Path, steps: Sequence[str], *, code: int
) -> dict[str, Any]:
    """Return how it ended, for a program; what was seen of each job is in benchmark.json."""
    told = report_json(report)
    for this in told["rounds"]:
        del this["samples"]
    return {"folder": str(folder), "exit_code": code, **told, "next": list(steps)}


def unbegun_json(order: Order, said: str, *, code: int) -> dict[str, Any]:
    """Return what `bench_json` does for a run that was interrupted before it began.

    Args:
        order: What was to be done.
        said: What a person is told: what happened, and which command goes on.
        code: The exit code.
    """
    plan = order.plan
    nothing = BenchmarkReport(
        model_id=plan.request.model_id,
        service=order.origin,
        jobs=plan.jobs,
        repeats=plan.repeats,
        levels=(),
        rounds=(),
        recommendation=recommend(()),
        money=Money(0, 0, 0, 0),
        conditions=order.conditions(),
        stop=Stop(StopReason.INTERRUPTED, "interrupted before the run began"),
    )
    return bench_json(nothing, order.folder, [said], code=code) | {"money": NOT_LOOKED_AT}


def show(report: BenchmarkReport, folder: Path) -> None:
    """Print the table and the recommendation on stdout, and troubles on stderr."""
    out = console(stderr=False)
    out.print(_table(report, out.width))
    best = report.recommendation
    says = "no recommendation" if best.max_in_flight is None else f"{best.max_in_flight}"
    out.print(f"max_in_flight: {says}. {best.why}", soft_wrap=True, highlight=False, markup=False)
    out.print(str(folder / "benchmark.html"), soft_wrap=True, highlight=False, markup=False)
    for text in troubles(as_batch(report)):
        tell(text, label="error", style="bold red")
    if any(level.partial for level in report.levels):
        tell("a round that was interrupted, or is not over, has no throughput", style="dim")


def _table(report: BenchmarkReport, width: int) -> Table:
    """Return the table; on a narrow screen with what matters most, for the page has all."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    cost = "cost (simulated)" if report.service == SIMULATOR else "cost"
    times = ("latency", "queue wait", "run time", "lateness")
    names = ("in flight", "videos/min", *times, "requests/job", "429s", cost, "jobs")
    shown_here = range(len(names)) if width >= _WIDE else _FEW if width >= _NARROW else _FEWEST
    for column in shown_here:
        table.add_column(names[column], justify="right")
    for level in report.levels:
        best = level.level == report.recommendation.max_in_flight
        shown = cells(level)
        table.add_row(*(shown[column] for column in shown_here), style="green" if best else "")
    table.caption = "times are p50 / p95 in seconds" + _spread(report)
    table.caption_justify = "left"
    return table


def _spread(report: BenchmarkReport) -> str:
    return "; videos/min from the least to the most of the repeats" if report.repeats > 1 else ""
