"""Rows under way: each from its admission, or its attachment, to its end."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeAlias

import attrs

from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import OpenJob, PlannedRow, ReadyVideo
from seedance_async.batch.ledger import Ledger
from seedance_async.batch.purse import Purse
from seedance_async.batch.rowjournal import RowJournal, Step, state_of
from seedance_async.batch.stops import Stop, StopReason, is_account_trouble, stop_of
from seedance_async.budget import Reservation
from seedance_async.errors import (
    ApiError,
    BudgetExceededError,
    LedgerError,
    SeedanceError,
    SubmissionInDoubtError,
)
from seedance_async.handle import Job
from seedance_async.jobs import ErrorInfo, InProgress, Outcome, Succeeded
from seedance_async.models import Request, Shape, shape
from seedance_async.session import Session
from seedance_async.supervisor import is_cancelled

__all__ = ["Listener", "RowUnderWay", "Rows"]

logger = logging.getLogger("seedance_async")

_Work: TypeAlias = Callable[[], Coroutine[Any, Any, None]]

_CANCELS: Final = 8
"""Cancel attempts at once."""
_CANCEL_TIME: Final = 10.0
"""Seconds for all cancel attempts of those who are let go together; the rest is detached."""
_LEFT: Final = "the batch was left; the same command comes back to it"
_SHUT: Final = "the batch submits no more, so nothing was sent; the row stays planned"


@attrs.define(eq=False)
class RowUnderWay:
    """A row that is being brought to its end.

    Attributes:
        line: In the manifest; None if it is no longer there, or not known.
        shape: What it is reckoned by.
        reservation: Its money, from just before its POST; None: nothing is set aside.
        held_back: Whether its POST was refused here, which is no trouble of the ledger's.
        unaffordable: Why, if it was for lack of money.
        job: Its handle, once accepted or attached.
        task: Which brings it there.
        accepted: When it was, in loop time; None: not yet, or not known.
    """

    key: str
    line: int | None
    model_id: str
    state: RowState
    shape: Shape
    reservation: Reservation | None = None
    held_back: bool = False
    unaffordable: Stop | None = None
    job: Job | None = None
    task: asyncio.Task[None] | None = None
    accepted: float | None = None


@attrs.frozen
class Listener:
    """Whom the rows tell what they meet.

    Attributes:
        step: A row met something that leaves its state as it was.
        success: A video may be downloaded; None: none is wanted.
        stop: Nothing more may be submitted.
    """

    step: Callable[[RowUnderWay, str], None]
    success: Callable[[ReadyVideo], object] | None
    stop: Callable[[Stop], None]


class Rows:
    """Submits, attaches and follows; knows which rows are under way, and lets them go.

    Args:
        session: Submits and polls.
        ledger: Takes the estimates.
        journal: Takes the words of the rows' submissions.
        purse: Their money.
        listener: Whom to tell.
        follow_closely: Whether each change of a job's state is told.
    """

    def __init__(
        self,
        session: Session,
        ledger: Ledger,
        journal: RowJournal,
        purse: Purse,
        listener: Listener,
        *,
        follow_closely: bool,
    ) -> None:
        self._session = session
        self._ledger = ledger
        self._journal = journal
        self._purse = purse
        self._listener = listener
        self._follow_closely = follow_closely
        self._under_way: dict[str, RowUnderWay] = {}
        self._waiting: set[str] = set()
        self._broke: set[str] = set()
        self._ended = 0
        self._shut = False
        self._now = asyncio.get_running_loop().time
        self.changed = asyncio.Event()
        """Set whenever a row begins, moves on, or is over."""
        self.denied: ErrorInfo | None = None
        """Why the service would not tell of a job."""

    def __len__(self) -> int:
        return len(self._under_way)

    @property
    def waiting(self) -> int:
        """Rows whose POST has not begun: they wait for a slot, or for a 429 to pass."""
        return len(self._waiting)

    def find(self, key: str) -> RowUnderWay | None:
        """Return a row that is under way."""
        return self._under_way.get(key)

    def under_way(self) -> dict[Shape, dict[str, float]]:
        """Return the ages of what runs or is being submitted, as `UnderWay.ages`."""
        now = self._now()
        found: defaultdict[Shape, dict[str, float]] = defaultdict(dict)
        for row in list(self._under_way.values()):  # in one step, for another thread may ask
            if row.state is RowState.PLANNED:
                continue
            age = 0.0 if row.accepted is None else max(0.0, now - row.accepted)
            found[row.shape][row.key] = age
        return found

    # --- starting --------------------------------------------------------------------------

    def submit(self, group: asyncio.TaskGroup, row: PlannedRow, request: Request) -> None:
        """Start a planned row."""
        under_way = RowUnderWay(row.key, row.line, row.model_id, RowState.PLANNED, shape(request))
        self._waiting.add(row.key)
        self._start(group, under_way, lambda: self._submit(under_way, request))

    def attach(self, group: asyncio.TaskGroup, job: OpenJob, of_shape: Shape) -> None:
        """Come back to a job of an earlier run; it may exceed the pool."""
        state = RowState.TIMED_OUT if job.timed_out else RowState.SUBMITTED
        under_way = RowUnderWay(job.key, None, job.model_id, state, of_shape)
        under_way.reservation = self._purse.adopt(of_shape, job.estimate)
        if job.accepted_at is not None:
            under_way.accepted = self._now() - max(0.0, self._ledger.now() - job.accepted_at)
        self._start(group, under_way, lambda: self._come_back(under_way, job))

    def _start(self, group: asyncio.TaskGroup, row: RowUnderWay, work: _Work) -> None:
        self._under_way[row.key] = row
        row.task = group.create_task(
            self._to_its_end(row, work), name=f"seedance_async row {row.key}"
        )
        row.task.add_done_callback(lambda _task: self._over(row))

    async def _to_its_end(self, row: RowUnderWay, work: _Work) -> None:
        """Let no error of one row reach the others (promise 5)."""
        try:
            await work()
        except Exception as error:
            logger.exception("row %s is no longer followed; the next run comes back to it", row.key)
            self._listener.stop(stop_of(error) or Stop(StopReason.BUG, str(error)))

    def _over(self, row: RowUnderWay) -> None:
        del self._under_way[row.key]
        self._waiting.discard(row.key)
        self._ended += 1
        self.changed.set()

    # --- what the journal tells ------------------------------------------------------------

    def begins(self, key: str) -> str | None:
        """Set a row's money aside just before its POST; or say why it must not leave."""
        row = self._under_way.get(key)
        if row is None or self._shut:
            if row is not None:
                row.held_back = True
            return _SHUT
        found = self._purse.reserve(row.shape)
        if isinstance(found, Stop):
            row.held_back, row.unaffordable = True, found
            return found.message
        row.reservation = found
        if found.amount is not None:
            self._ledger.reserve(key, found.amount)
        self._waiting.discard(key)
        self.changed.set()
        return None

    def moved(self, row: RowUnderWay, step: Step) -> None:
        """Take note of a row's new state, and settle its money."""
        row.state = step.state
        if step.state is RowState.SUBMITTED and row.accepted is None:
            row.accepted = self._now()
        refused = step.state is RowState.FAILED and step.request_id is None
        if refused or step.state is RowState.PLANNED:
            self._give_back(row)
        elif step.outcome is not None and row.reservation is not None:
            self._purse.settle(row.reservation, step.outcome)
        if step.state is RowState.PLANNED:
            self._waiting.add(row.key)
            if self._shut:
                self._take_back(row)
        self.changed.set()

    def _give_back(self, row: RowUnderWay) -> None:
        if row.reservation is not None:
            self._purse.give_back(row.reservation)
            row.reservation = None

    # --- one row ---------------------------------------------------------------------------

    async def _submit(self, row: RowUnderWay, request: Request) -> None:
        job = None
        while job is None:
            job = await self._try(row, request)
            if job is None and not await self._afford(row):
                return
        await self._follow(row, job)

    async def _try(self, row: RowUnderWay, request: Request) -> Job | None:
        row.held_back, row.unaffordable = False, None
        try:
            return await self._session.submit(request, tag=row.key, journal=self._journal)
        except SubmissionInDoubtError:
            pass  # the ledger knows, and a person decides
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            self._listener.stop(
                Stop(StopReason.BUG, f"the submission of row {row.key!r} was cancelled by others")
            )
        except BudgetExceededError as error:  # the session's own, beside the batch's
            row.held_back = True
            row.unaffordable = Stop(StopReason.BUDGET, str(error), error.info())
        except Exception as error:
            if not isinstance(error, SeedanceError):
                logger.exception("row %s broke; please report it", row.key)
            stop = stop_of(error)
            if stop is not None and not row.held_back:
                self._listener.stop(stop)
        if row.state is RowState.PLANNED:
            self._give_back(row)
            self._waiting.add(row.key)
        return None

    async def _afford(self, row: RowUnderWay) -> bool:
        """Wait for money for a row that found none; False if that was not it, or none will come.

        Money comes back from rows that end; once all that are under way wait for it, none does.
        """
        stop = row.unaffordable
        if stop is None:
            return False
        self._broke.add(row.key)
        self.changed.set()
        try:
            ended = self._ended
            of_session = stop.error is not None  # the purse knows nothing of that: let a row end
            while not self._purse.affords(row.shape) or (of_session and ended == self._ended):
                if len(self._broke) == len(self):
                    self._listener.stop(stop)
                    return False
                self.changed.clear()
                await self.changed.wait()
            return True
        finally:
            self._broke.discard(row.key)

    async def _come_back(self, row: RowUnderWay, job: OpenJob) -> None:
        handle = self._session.attach(
            job.request_id, tag=job.key, accepted_at=job.accepted_at, journal=self._journal
        )
        row.job = handle
        self._listener.step(row, "attached")
        await self._follow(row, handle)

    async def _follow(self, row: RowUnderWay, job: Job) -> None:
        """Wait for a job's end; what it is has been written down by then."""
        if row.state is RowState.IN_DOUBT:  # its id is another row's
            return
        row.job = job
        self.changed.set()
        try:
            outcome = await self._outcome(row, job)
            if row.state is not state_of(outcome)[0]:  # it was over before it was attached
                await self._journal.finished(row.key, outcome)
        except LedgerError:
            return  # told as trouble; the next run asks again
        except SeedanceError as error:
            self._deny(row, error)
            return
        if isinstance(outcome, Succeeded) and self._listener.success is not None:
            more = tuple(url for url in outcome.output.video_urls() if url != outcome.video_url)
            self._listener.success(ReadyVideo(row.key, outcome.request_id, outcome.video_url, more))

    async def _outcome(self, row: RowUnderWay, job: Job) -> Outcome:
        if self._follow_closely:
            async for state in job.updates():
                if isinstance(state, InProgress):
                    self._listener.step(row, "in progress")
        return await job.wait()

    def _deny(self, row: RowUnderWay, error: SeedanceError) -> None:
        """Take note that the service would not tell of a job; the row stays as it is."""
        self._listener.step(row, str(error))
        if not isinstance(error, ApiError):
            logger.error("row %s is no longer tracked: %s", row.key, error)
            return
        self.denied = self.denied or error.info()
        if is_account_trouble(error.info()):
            self._listener.stop(Stop(StopReason.ACCOUNT, str(error), error.info()))

    # --- letting go ------------------------------------------------------------------------

    def shut(self) -> None:
        """Let no more POST leave; rows that wait for one stay planned, now or when it comes back.

        May be repeated.
        """
        self._shut = True
        for key in self._waiting:
            self._take_back(self._under_way[key])

    def _take_back(self, row: RowUnderWay) -> None:
        if row.task is not None and row.task is not asyncio.current_task():
            row.task.cancel()

    async def let_go(self, *, cancel: bool) -> None:
        """Detach every job, until no row is under way; what is being posted is awaited first.

        Args:
            cancel: Try first, once, to cancel what is not known to be in progress.
        """
        tried: set[str] = set()
        while self._under_way:
            jobs = [row for row in self._under_way.values() if row.job and row.key not in tried]
            tried.update(row.key for row in jobs)
            if cancel:
                await self._cancel_all([row.job for row in jobs if row.job is not None])
            for row in jobs:
                if row.job is not None and not row.job.done():
                    await row.job.detach(_LEFT)
            self.changed.clear()
            if self._under_way and not any(
                row.job and row.key not in tried for row in self._under_way.values()
            ):
                await self.changed.wait()

    async def _cancel_all(self, jobs: Sequence[Job]) -> None:
        bound = asyncio.Semaphore(_CANCELS)

        async def cancel(job: Job) -> None:
            async with bound:
                if not job.done() and not isinstance(job.status, InProgress):
                    await job.cancel()

        try:
            async with asyncio.timeout(_CANCEL_TIME):
                ends = await asyncio.gather(*map(cancel, jobs), return_exceptions=True)
        except TimeoutError:
            logger.warning("not all cancels were answered in time; the rest is detached")
        else:
            for error in ends:
                if isinstance(error, Exception):
                    logger.info("a cancel broke off: %s", error)
