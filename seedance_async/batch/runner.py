"""The runner: a plan's rows through a session, each submitted once, tracked and downloaded.

It decides nothing about the wire: the session submits and polls, the ledger remembers, and what
is here is the order of things. Rows are fed a few ahead of the pool and read in pages, so that
memory does not grow with the manifest.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Final

import attrs

from seedance_async.batch.downloading import VIDEOS, Downloads
from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import PlannedRow
from seedance_async.batch.ledger import Ledger
from seedance_async.batch.planning import request_of
from seedance_async.batch.purse import Purse
from seedance_async.batch.report import BatchReport, Glance, RowChange, UnderWay
from seedance_async.batch.results import RESULTS, write_results
from seedance_async.batch.rowjournal import RowJournal, Step
from seedance_async.batch.rows import Listener, Rows, RowUnderWay
from seedance_async.batch.selection import ALL, Selection, planned_rows
from seedance_async.batch.stops import Stop, StopReason, stop_of, worse
from seedance_async.budget import Account
from seedance_async.download import DownloadRules
from seedance_async.errors import InvalidRequestError, LedgerError
from seedance_async.models import RawRequest, Shape, shape
from seedance_async.session import Session
from seedance_async.supervisor import in_thread, stop_and_see_through

__all__ = ["Batch", "Wishes"]

logger = logging.getLogger("seedance_async")

_AHEAD: Final = 8
"""Rows that may wait for a slot: enough to keep the pool fed, few to take back."""
_UNSETTLED: Final = (
    RowState.SUBMITTING,
    RowState.IN_DOUBT,
    RowState.SUBMITTED,
    RowState.TIMED_OUT,
)
"""A run looks after these rows whatever it was to submit."""
_OF_DOWNLOADS: Final = frozenset({RowState.SUCCEEDED, RowState.DOWNLOADED})
_ENDS: Final = frozenset(
    {
        *_OF_DOWNLOADS,
        RowState.FAILED,
        RowState.CANCELLED,
        RowState.TIMED_OUT,
        RowState.LOST,
    }
)


@attrs.frozen(kw_only=True)
class Wishes:
    """What a run is to do.

    Attributes:
        selection: Which planned rows may be submitted.
        max_videos: How many attempts of all runs of the ledger may be paid for; None: any number.
        download: Whether videos are wanted on the disk.
        retry_downloads: Whether downloads that were given up for good are tried again, and videos
            that are no longer on the disk.
        rules: Hosts, sizes and tries of the downloads.
        max_downloads: Downloads at once.
    """

    selection: Selection = ALL
    max_videos: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(attrs.validators.ge(1))
    )
    download: bool = True
    retry_downloads: bool = False
    rules: DownloadRules = attrs.field(factory=DownloadRules)
    max_downloads: int = attrs.field(default=4, validator=attrs.validators.ge(1))


class Batch:
    """One run over a ledger whose plan is made.

    Args:
        ledger: Open for writing; stays open.
        session: Open; stays open. It submits, polls and fetches for this run.
        out: The folder of the ledger.
        account: What is settled and reserved by all runs so far, and the budget.
        wishes: What to do.
        on_change: Called in the loop with each step of a row; an error in it is logged once.
    """

    def __init__(
        self,
        ledger: Ledger,
        session: Session,
        out: Path,
        *,
        account: Account,
        wishes: Wishes,
        on_change: Callable[[RowChange], object] | None = None,
    ) -> None:
        self._ledger = ledger
        self._session = session
        self._out = out
        self._wishes = wishes
        self._on_change = on_change
        self._change_failed = False
        self._purse = Purse(account, wishes.max_videos)
        self._downloads = Downloads(
            ledger,
            session,
            out,
            rules=wishes.rules,
            again=wishes.retry_downloads,
            moved=self._moved,
            trouble=self._troubled,
        )
        journal = RowJournal(ledger, begins=self._begins, moved=self._moved, trouble=self._troubled)
        listener = Listener(
            step=self._step,
            success=self._downloads.add if wishes.download else None,
            stop=self._stop_for,
        )
        self._rows = Rows(
            session,
            ledger,
            journal,
            self._purse,
            listener,
            follow_closely=on_change is not None,
        )
        self._counts: dict[RowState, int] = dict.fromkeys(RowState, 0)
        self._left = 0
        self._begun: Counter[Shape] = Counter()
        self._submitted = 0
        self._stop: Stop | None = None
        self._leave = asyncio.Event()
        self._cancels = False

    # --- what its owner may ask ------------------------------------------------------------

    def glance(self) -> Glance:
        """Return the numbers of this moment."""
        money = self._purse.money
        return Glance(
            counts=dict(self._counts),
            left=self._left,
            in_flight=len(self._rows) - self._rows.waiting,
            waiting=self._rows.waiting,
            downloading=self._downloads.open,
            submitted=self._submitted,
            settled=money.settled,
            reserved=money.reserved,
            unpriced=money.unpriced,
            unestimated=money.unestimated,
            stop=self._stop,
        )

    def under_way(self) -> UnderWay:
        """Return what has been begun at this moment; may be called from any thread."""
        return UnderWay(begun=dict(self._begun), ages=self._rows.under_way())

    def stop(self, message: str) -> None:
        """Submit no more; what is accepted, or may be, is waited for and downloaded."""
        self._stop_for(Stop(StopReason.INTERRUPTED, message))

    def leave(self) -> None:
        """Submit no more, cancel what is still queued, detach the rest, and download no more.

        `run` then returns as soon as the POSTs under way are answered and written down. Each job
        that is not known to be in progress gets one cancel attempt, within 10 s.
        """
        self._cancels = True
        self._leave_for("the batch was left")

    def _leave_for(self, why: str) -> None:
        self.stop(why)
        self._leave.set()

    async def run(self) -> BatchReport:
        """Attach what runs, submit what is planned, wait, download, and write the results.

        Cancelled, it submits no more, waits until the POSTs under way are answered and written
        down, detaches what runs, and passes the cancellation on: the next run comes back to it.

        Raises:
            LedgerError: The ledger can be read no more, or there can be no folder for videos.
        """
        work = asyncio.get_running_loop().create_task(self._work(), name="seedance_async batch")
        return await stop_and_see_through(work, lambda: self._leave_for("the batch was cancelled"))

    # --- the order of things ---------------------------------------------------------------

    async def _work(self) -> BatchReport:
        ledger, selection = self._ledger, self._wishes.selection
        if self._wishes.download:
            await in_thread(_make_folder, self._out / VIDEOS)
            if self._wishes.retry_downloads:
                await ledger.look_for_files(self._out)
        self._counts = await ledger.counts()
        chosen = await ledger.counts(through=selection.through, keys=selection.keys)
        self._left = chosen[RowState.PLANNED]
        self._purse.paid = await ledger.paid_attempts()
        self._session.teach(await ledger.lasted())
        async with asyncio.TaskGroup() as group:
            loops = [
                group.create_task(self._downloads.work(), name=f"seedance_async download {number}")
                for number in range(self._wishes.max_downloads if self._wishes.download else 0)
            ]
            leaver = group.create_task(self._let_go_when_told(loops), name="seedance_async leaver")
            async with asyncio.TaskGroup() as rows:
                try:
                    await self._begin(rows)
                except Exception as error:
                    self._stop_for(stop_of(error) or Stop(StopReason.BUG, str(error)))
                    logger.exception("the batch submits no more; what runs is waited for")
            self._downloads.close()
            if loops:
                await asyncio.wait(loops)
            leaver.cancel()
        return await self._report()

    async def _begin(self, group: asyncio.TaskGroup) -> None:
        """Come back to what earlier runs left, then start one planned row after another."""
        async with aclosing(self._ledger.open_jobs()) as jobs:
            async for job in jobs:
                if self._leave.is_set():
                    return
                request = RawRequest(job.model_id, json.loads(job.input_json))
                self._rows.attach(group, job, shape(request))
        if self._wishes.download:
            await self._downloads.load()
        async with aclosing(planned_rows(self._ledger, self._wishes.selection)) as planned:
            async for row in planned:
                if not await self._room():
                    return
                self._submit(group, row)

    def _submit(self, group: asyncio.TaskGroup, row: PlannedRow) -> None:
        try:
            request = request_of(row)
        except InvalidRequestError as error:  # planned by a version with other rules
            logger.error("row %s stays planned; give it a new key: %s", row.key, error)  # noqa: TRY400
            return
        self._rows.submit(group, row, request)

    async def _room(self) -> bool:
        """Wait until one more row may start; False: none may."""
        while self._stop is None and self._rows.waiting >= _AHEAD:
            self._rows.changed.clear()
            await self._rows.changed.wait()
        return self._stop is None

    # --- stopping and leaving --------------------------------------------------------------

    def _stop_for(self, stop: Stop) -> None:
        """Submit no more; rows whose POST has not begun stay planned."""
        self._stop = worse(self._stop, stop)
        self._rows.shut()
        self._rows.changed.set()

    def _troubled(self, error: LedgerError) -> None:
        self._stop_for(Stop(StopReason.LEDGER, str(error), error.info()))

    async def _let_go_when_told(self, downloads: list[asyncio.Task[None]]) -> None:
        await self._leave.wait()
        for loop in downloads:
            loop.cancel()
        try:
            await self._rows.let_go(cancel=self._cancels)
        except Exception:
            logger.exception("what runs could not be let go; please report it")

    # --- what is told ----------------------------------------------------------------------

    def _begins(self, key: str) -> str | None:
        return self._rows.begins(key)

    def _moved(self, step: Step) -> None:
        """Count a step that is on disk, and tell it."""
        row = self._rows.find(step.key)
        before = RowState.SUCCEEDED if row is None else row.state
        if step.state is RowState.SUBMITTED and before in _ENDS:
            return  # an id that could be written only after its job's end
        if row is None and step.state not in _OF_DOWNLOADS:
            return  # a late word about a row that is followed no more
        taken = _taken(step.state)
        self._count(before, step.state, taken)
        if row is not None:
            self._rows.moved(row, step)
            if taken:
                self._begun[row.shape] += taken
        if self._on_change is None:
            return
        told = (step.state, step.detail, step.request_id, step.outcome)
        if row is None:
            self._say(RowChange(step.key, None, "", *told))
        else:
            self._say(RowChange(step.key, row.line, row.model_id, *told, row.shape))

    def _count(self, before: RowState, state: RowState, taken: int) -> None:
        self._counts[before] -= 1
        self._counts[state] += 1
        self._left -= taken
        submitted = before is RowState.SUBMITTING and state in (RowState.SUBMITTED, *_ENDS)
        self._submitted += submitted and state is not RowState.FAILED

    def _step(self, row: RowUnderWay, detail: str) -> None:
        told = (row.state, detail, None if row.job is None else row.job.request_id, None)
        self._say(RowChange(row.key, row.line, row.model_id, *told, row.shape))

    def _say(self, change: RowChange) -> None:
        if self._on_change is None:
            return
        try:
            self._on_change(change)
        except (Exception, asyncio.CancelledError):  # its own trouble (promise 5)
            if not self._change_failed:
                self._change_failed = True
                logger.exception("on_change failed; further failures of it are not logged")

    # --- the end ---------------------------------------------------------------------------

    async def _report(self) -> BatchReport:
        ledger, selection = self._ledger, self._wishes.selection
        not_downloadable = to_download = 0
        if self._wishes.download:
            succeeded = (await ledger.counts())[RowState.SUCCEEDED]
            not_downloadable = await self._downloads.not_downloadable(succeeded)
            to_download = succeeded - not_downloadable
        results, trouble = await self._write_results()
        counts = await ledger.counts(through=selection.through, keys=selection.keys)
        everything = await ledger.counts()
        counts.update({state: everything[state] for state in _UNSETTLED})
        return BatchReport(
            counts=counts,
            invalid=await ledger.invalid_lines(),
            submitted=self._submitted,
            downloaded=self._downloads.downloaded,
            to_download=to_download,
            not_downloadable=not_downloadable,
            money=self._purse.money,
            stop=self._stop,
            denied=self._rows.denied,
            storage_trouble=self._downloads.storage_trouble or trouble,
            results=results,
        )

    async def _write_results(self) -> tuple[Path | None, str | None]:
        """Write the results, unless nothing has changed since they were written."""
        path = self._out / RESULTS
        try:
            mark = await in_thread(_mark, path)
            if self._ledger.touched or mark is None or mark != await self._ledger.results_mark():
                await write_results(self._ledger, self._out)
                mark = await in_thread(_mark, path)
                await self._ledger.note_results(mark or "")
        except LedgerError as error:
            return None, str(error)
        return path, None


def _taken(state: RowState) -> int:
    """Return how many rows a step to a state takes from those that wait."""
    return (state is RowState.SUBMITTING) - (state is RowState.PLANNED)


def _mark(path: Path) -> str | None:
    """Return what tells a file from any other of its name; None: there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return f"{found.st_size} bytes of {found.st_mtime_ns}"


def _make_folder(path: Path) -> None:
    """Make the folder of the videos before anything is paid for."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerError(
            f"{path} cannot be made, so videos could not be stored: {error.strerror or error}. "
            f"Remove what is in its way, mend the rights, or run with --no-download"
        ) from error
