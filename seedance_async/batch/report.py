"""What a run tells: each step of a row, the numbers of a moment, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs

from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import Money
from seedance_async.batch.stops import Stop
from seedance_async.jobs import ErrorInfo, Outcome
from seedance_async.models import Shape

__all__ = ["BatchReport", "Glance", "RowChange", "UnderWay"]


@attrs.frozen
class RowChange:
    """A step of a row; it may leave the state as it was.

    Attributes:
        key: The row's.
        line: In the manifest; None if it is no longer there, or not known.
        model_id: The full id.
        state: Where the row stands now.
        detail: What a person wants to know of it; may be empty.
        request_id: The job's, once known.
        outcome: How the job ended, with its timings, in the step that wrote it down.
        shape: What its price and its duration depend on; None: not known any more.
    """

    key: str
    line: int | None
    model_id: str
    state: RowState
    detail: str = ""
    request_id: str | None = None
    outcome: Outcome | None = None
    shape: Shape | None = None


@attrs.frozen(kw_only=True)
class UnderWay:
    """What a run has begun.

    Attributes:
        begun: How many rows of each shape were taken from those that wait.
        ages: For each shape the jobs that run or are being submitted, by key: the seconds since
            each was accepted, 0 before. There may be thousands, so none is an object of its own.
    """

    begun: Mapping[Shape, int]
    ages: Mapping[Shape, Mapping[str, float]]


@attrs.frozen(kw_only=True)
class Glance:
    """A run at one moment; money in micro-dollars, of all runs of the ledger.

    Attributes:
        counts: How many rows are in each state; planned ones that the manifest no longer has do
            not count.
        left: Selected rows that are not submitted yet.
        in_flight: Being submitted, or accepted and tracked.
        waiting: Rows that wait for a slot or for a 429 to pass.
        downloading: Videos on their way, or waiting for it.
        submitted: Accepted in this run.
        settled: What is spent.
        reserved: What is set aside.
        unpriced: Videos in `settled` whose cost was not told: at their estimate, or at nothing.
        unestimated: Attempts in `reserved` at nothing, as no price was known.
        stop: Why no more is submitted; None: it goes on.
    """

    counts: Mapping[RowState, int]
    left: int
    in_flight: int
    waiting: int
    downloading: int
    submitted: int
    settled: int
    reserved: int
    unpriced: int
    unestimated: int
    stop: Stop | None


@attrs.frozen(kw_only=True)
class BatchReport:
    """How a run ended.

    Attributes:
        counts: How many of the selected rows are in each state, and of all rows those under way
            or in doubt; planned rows that the manifest no longer has do not count.
        invalid: Lines of the manifest that were left out as invalid.
        submitted: Accepted in this run.
        downloaded: Rows whose video came to the disk in this run.
        to_download: Rows whose video the next run tries to download again.
        not_downloadable: Rows whose video cannot be had without a person's help.
        money: Of all runs of the ledger.
        stop: Why no more was submitted; None: nothing stopped it.
        denied: Why the service would not tell of a job; the row stays submitted.
        storage_trouble: Why downloads, or the results, could not be written.
        results: The file that tells what became of each row; None: it could not be written.
    """

    counts: Mapping[RowState, int]
    invalid: int
    submitted: int
    downloaded: int
    to_download: int
    not_downloadable: int
    money: Money
    stop: Stop | None
    denied: ErrorInfo | None
    storage_trouble: str | None
    results: Path | None
