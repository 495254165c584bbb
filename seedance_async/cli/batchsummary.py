"""How a batch ended, in words and as JSON, and which command goes on. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import Money
from seedance_async.batch.report import BatchReport
from seedance_async.batch.stops import Stop, StopReason
from seedance_async.budget import known_usd
from seedance_async.cli.batchexit import goes_on
from seedance_async.cli.commandline import CommandLine
from seedance_async.cli.words import known_amount
from seedance_async.counting import counted
from seedance_async.shell import quoted

__all__ = [
    "NOT_LOOKED_AT",
    "next_steps",
    "summary_json",
    "summary_lines",
    "troubles",
    "unbegun_json",
]

NOT_LOOKED_AT = {"settled_usd": None, "reserved_usd": None, "unpriced": None, "unestimated": None}
"""The money of a folder of which nobody knows what earlier runs paid."""


def summary_lines(
    report: BatchReport, folder: Path, *, took: str, page: Path | None = None
) -> list[str]:
    """Return how the rows stand, what it cost, and where everything is."""
    total = sum(report.counts.values()) + report.invalid
    states = [
        f"{number:,} {state.value.replace('_', ' ')}"
        for state, number in report.counts.items()
        if number
    ]
    if report.invalid:
        states.append(f"{report.invalid:,} invalid")
    money = report.money
    settled = known_amount(money.settled, money.unpriced)
    reserved = known_amount(money.reserved, money.unestimated)
    lines = [
        f"{counted(total, 'row')}: {', '.join(states) or 'none'}",
        f"this run: {report.submitted:,} submitted, {report.downloaded:,} downloaded, {took}",
        f"all runs: {settled} settled, {reserved} reserved{_sure(report)}",
    ]
    places = [("results", report.results), ("ledger", folder / "ledger.sqlite"), ("page", page)]
    if report.counts[RowState.DOWNLOADED]:
        places.insert(0, ("videos", folder / "videos"))
    lines += [f"{what:>8}: {path}" for what, path in places if path is not None]
    return lines


def _sure(report: BatchReport) -> str:
    money = report.money
    parts = []
    if money.unpriced:
        parts.append(f"{money.unpriced:,} without a cost from the service")
    if money.unestimated:
        parts.append(f"{money.unestimated:,} without an estimate")
    return f" ({', '.join(parts)})" if parts else ""


def troubles(report: BatchReport) -> list[str]:
    """Return what went wrong as a whole, a sentence each."""
    found = []
    if report.stop is not None and report.stop.reason is not StopReason.INTERRUPTED:
        found.append(f"no more was submitted: {report.stop.message}")
    if report.denied is not None:
        found.append(f"the service would not tell of a job: {report.denied.sentence}")
    if report.storage_trouble is not None:
        found.append(report.storage_trouble)
    return found


def next_steps(
    report: BatchReport, folder: Path, command: CommandLine, *, simulated: bool
) -> list[str]:
    """Return which commands go on, a sentence each; the most useful one is the last."""
    counts = report.counts
    attempt = "makes another attempt" if simulated else "pays for another attempt"
    steps = []
    if report.invalid:
        steps.append(
            f"{report.invalid:,} invalid: {folder / 'errors.jsonl'} says why; correct them and "
            f"run the same command"
        )
    again = [state for state in (RowState.FAILED, RowState.CANCELLED) if counts[state]]
    if again:
        number = sum(counts[state] for state in again)
        retry = command.again("--retry", ",".join(again))
        steps.append(f"{number:,} {' or '.join(again)}: `{retry}` {attempt}")
    if counts[RowState.LOST]:
        steps.append(
            f"{counts[RowState.LOST]:,} lost, perhaps paid for: look on RunComfy's site; "
            f"`{command.again('--retry', 'lost')}` {attempt}"
        )
    if report.not_downloadable:
        steps.append(
            f"{report.not_downloadable:,} not downloaded: {folder / 'results.jsonl'} has the URLs "
            f"and says why; `{command.again('--retry-downloads')}` tries again, --allow-host "
            f"permits a host"
        )
    if counts[RowState.IN_DOUBT]:
        steps.append(
            f"{counts[RowState.IN_DOUBT]:,} in doubt, perhaps paid for: "
            f"`seedance-async resolve {quoted(folder)}` settles them"
        )
    steps += _go_on(report, command)
    return steps


def _go_on(report: BatchReport, command: CommandLine) -> Sequence[str]:
    planned = report.counts[RowState.PLANNED]
    reason = None if report.stop is None else report.stop.reason
    under_way = sum(
        report.counts[state]
        for state in (RowState.SUBMITTING, RowState.SUBMITTED, RowState.TIMED_OUT)
    )
    left = [
        (planned, "to submit"),
        (under_way, "submitted and not over"),
        (report.to_download, "to download"),
    ]
    said = ", ".join(f"{number:,} {what}" for number, what in left if number)
    if not said:
        return []
    first = (
        {
            StopReason.BUDGET: "once --budget is raised, ",
            StopReason.MAX_VIDEOS: "once --max-videos is raised, ",
            StopReason.BRAKE: "once the cause is mended, ",
            StopReason.ACCOUNT: "once the token or the balance is mended, ",
        }.get(reason)
        if reason is not None and (planned or not goes_on(report))
        else None
    )
    return [f"{said}: {first or ''}`{command.again()}` goes on"]


def summary_json(
    report: BatchReport, folder: Path, steps: Sequence[str], *, code: int, took: float, where: str
) -> dict[str, Any]:
    """Return how it ended, for a program; the names are stable.

    Args:
        report: How it ended.
        folder: The batch's.
        steps: What goes on.
        code: The exit code.
        took: Seconds.
        where: The base URL, or `simulator`.
    """
    stop, denied = report.stop, report.denied
    return {
        "folder": str(folder),
        "service": where,
        "exit_code": code,
        "counts": {state.value: n for state, n in report.counts.items()}
        | {"invalid": report.invalid},
        "submitted": report.submitted,
        "downloaded": report.downloaded,
        "to_download": report.to_download,
        "not_downloadable": report.not_downloadable,
        "money": {
            "settled_usd": known_usd(report.money.settled, report.money.unpriced),
            "reserved_usd": known_usd(report.money.reserved, report.money.unestimated),
            "unpriced": report.money.unpriced,
            "unestimated": report.money.unestimated,
        },
        "stop": None if stop is None else {"reason": stop.reason.value, "message": stop.message},
        "denied": None if denied is None else denied.sentence,
        "storage_trouble": report.storage_trouble,
        "results": None if report.results is None else str(report.results),
        "seconds": round(took, 3),
        "next": list(steps),
    }


def unbegun_json(folder: Path, said: str, *, code: int, where: str) -> dict[str, Any]:
    """Return what `summary_json` does for a run that was interrupted before it began.

    It did nothing, and its counts are empty; null is what it did not look at.

    Args:
        folder: The batch's.
        said: What a person is told: what happened, and which command goes on.
        code: The exit code.
        where: The base URL, or `simulator`.
    """
    nothing = BatchReport(
        counts={},
        invalid=0,
        submitted=0,
        downloaded=0,
        to_download=0,
        not_downloadable=0,
        money=Money(0, 0, 0, 0),
        stop=Stop(StopReason.INTERRUPTED, "interrupted before the run began"),
        denied=None,
        storage_trouble=None,
        results=None,
    )
    told = summary_json(nothing, folder, [said], code=code, took=0.0, where=where)
    unknown = {"to_download": None, "not_downloadable": None, "money": NOT_LOOKED_AT}
    return told | unknown | {"counts": {}, "report": None}
