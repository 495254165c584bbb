"""Which exit code a run of a batch stands for (design, section 6). Pure."""

from __future__ import annotations

from seedance_async.batch.edges import RowState
from seedance_async.batch.report import BatchReport
from seedance_async.batch.stops import StopReason
from seedance_async.cli.exits import Exit

__all__ = ["batch_exit", "goes_on"]

_BY_STOP = {
    StopReason.BUG: Exit.BUG,
    StopReason.ACCOUNT: Exit.ACCOUNT,
    StopReason.LEDGER: Exit.UNWRITABLE,
    StopReason.UNREACHABLE: Exit.UNREACHABLE,
    StopReason.LIMITED: Exit.AGAIN,
    StopReason.BRAKE: Exit.PERSON,
    StopReason.BUDGET: Exit.PERSON,
    StopReason.MAX_VIDEOS: Exit.PERSON,
}
_BY_PERSON = frozenset({StopReason.BRAKE, StopReason.BUDGET, StopReason.MAX_VIDEOS})
"""After these the same command would submit nothing more."""


def batch_exit(report: BatchReport, *, interrupted: int | None = None) -> int:
    """Return the first code that fits: 130 and the like, 70, 77, 73, 69, 75, 76, 1, 0.

    Args:
        report: How the run ended.
        interrupted: The code of the first signal that came.
    """
    if interrupted is not None:
        return interrupted
    fitting = set()
    if report.stop is not None and report.stop.reason in _BY_STOP:
        fitting.add(_BY_STOP[report.stop.reason])
    if report.denied is not None:
        fitting.add(Exit.ACCOUNT)
    if report.storage_trouble is not None:
        fitting.add(Exit.UNWRITABLE)
    if goes_on(report):
        fitting.add(Exit.AGAIN)
    if report.counts[RowState.IN_DOUBT]:
        fitting.add(Exit.PERSON)
    if _failed(report):
        fitting.add(Exit.FAILED)
    return next((code for code in _FIRST_TO_LAST if code in fitting), Exit.OK)


_FIRST_TO_LAST = (
    Exit.BUG,
    Exit.ACCOUNT,
    Exit.UNWRITABLE,
    Exit.UNREACHABLE,
    Exit.AGAIN,
    Exit.PERSON,
    Exit.FAILED,
)


def goes_on(report: BatchReport) -> bool:
    """Tell whether the same command, as it is, brings rows further."""
    counts = report.counts
    under_way = counts[RowState.SUBMITTING] + counts[RowState.SUBMITTED]
    if under_way or counts[RowState.TIMED_OUT] or report.to_download:
        return True
    by_person = report.stop is not None and report.stop.reason in _BY_PERSON
    return counts[RowState.PLANNED] > 0 and not by_person


def _failed(report: BatchReport) -> bool:
    ends = (RowState.FAILED, RowState.CANCELLED, RowState.LOST)
    return any((*map(report.counts.get, ends), report.invalid, report.not_downloadable))
