"""Submitting: waiting for a turn, handing the POST to the session, and trying again where safe.

The caller waits in its own task, where cancellation costs nothing. From the journal's `submitting`
to its next word the work is the session's (`posting.py`): whoever asked may leave, the id is read
and written down all the same. A 429 is handled in `_wait_out_429`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TypeAlias

from seedance_async.errors import (
    BudgetExceededError,
    RateLimitedError,
    SeedanceError,
    SubmissionInDoubtError,
    TransportError,
)
from seedance_async.events import RateLimited, RetryScheduled
from seedance_async.handle import Job
from seedance_async.jobs import ErrorInfo
from seedance_async.journal import Journal
from seedance_async.models import Request, shape
from seedance_async.pacing import Admission
from seedance_async.posting import Poster, Submission, Verdict, encode
from seedance_async.state import SessionState
from seedance_async.tracking import Tracker
from seedance_async.tracks import Track
from seedance_async.turnstile import Turn
from seedance_async.wire import Undecided

__all__ = ["Submitter"]

logger = logging.getLogger("seedance_async")


_Begun: TypeAlias = tuple[Submission, asyncio.Future[Verdict]]


class Submitter:
    """Submits for a session."""

    def __init__(self, state: SessionState, tracker: Tracker) -> None:
        self._state = state
        self._poster = Poster(state, tracker)
        self._count = 0
        self._tracker = tracker
        self._posts = _Posts()
        self._cancels: set[asyncio.Task[None]] = set()
        self._given_up: set[str] = set()

    async def submit(
        self,
        request: Request,
        tag: str | None,
        on_slot: Callable[[], None] | None = None,
        journal: Journal | None = None,
    ) -> Job:
        """Wait for a slot, POST once, return the accepted job; see `Session.submit`."""
        state = self._state
        state.check_submitting()
        self._count += 1
        tag = tag or f"{state.name}-{self._count}"
        slot = await state.pool.acquire()
        if on_slot is not None:
            on_slot()
        try:
            # Not before: what waits for a slot, perhaps in thousands, need not be encoded.
            given = request.input()
            body, of_shape = encode(given), shape(request, given)
        except BaseException:
            slot.release()
            raise
        submission = Submission(
            request, tag, journal or state.settings.journal, body, of_shape, slot
        )
        try:
            return await self._submit_in_slot(submission)
        except SubmissionInDoubtError:
            submission.slot.release()  # the money stays reserved: it may be billed
            state.doubts += 1
            raise
        except BaseException:
            if not submission.left:
                self._give_back(submission)
            raise

    def _give_back(self, submission: Submission) -> None:
        submission.slot.release()
        if submission.reservation is not None:
            self._state.account.release(submission.reservation)

    async def _submit_in_slot(self, submission: Submission) -> Job:
        while True:
            self._reserve(submission)
            await self._clear_to_send(submission)
            verdict = await self._post_in_session(submission)
            match verdict:
                case Track(job=job):
                    return job
                case RateLimitedError():
                    await self._wait_out_429(submission, verdict)
                case TransportError(sent=False):
                    await self._wait_out_unsent(submission, verdict)
                case _:
                    raise verdict

    async def _clear_to_send(self, submission: Submission) -> None:
        """Wait for the session's pause to end and for a turn, then ask the gate.

        Raises:
            SessionClosedError: The session is closing.
            SubmittingStoppedError: The gate or the brake is shut.
        """
        state = self._state
        while True:
            state.check_submitting(probing=submission.probing)
            pause = state.paused_until - state.now()
            if pause > 0:
                # The jitter comes on top, or all that wait would be sent at one moment.
                await state.nap(pause + min(1.0, pause) * state.settings.retry.random())
                continue
            await state.turnstile.wait(Turn.SUBMIT)
            state.check_submitting(probing=submission.probing)
            if state.paused_until > state.now():
                continue
            if not submission.probing:
                admission = state.gate.admit(state.now())
                if admission is Admission.SHUT:
                    raise state.stopped_error()
                submission.probing = admission is Admission.PROBE
            return

    def _reserve(self, submission: Submission) -> None:
        if submission.reservation is not None:
            return
        found = self._state.account.reserve(submission.shape)
        if isinstance(found, str):
            raise BudgetExceededError(f"nothing was sent: {found}")
        submission.reservation = found

    async def _wait_out_429(self, submission: Submission, error: RateLimitedError) -> None:
        """Pause the whole session after a 429; give up after 15 minutes in which none was accepted.

        All pauses since this request's first 429 count: those who wait take turns at meeting 429s.
        """
        state, retry = self._state, self._state.settings.retry
        state.limited += 1
        delay = retry.pause(submission.limited, error.retry_after)
        in_flight = state.pool.submitting + state.pool.tracked
        if state.limit.limited(in_flight, state.now()):
            state.limit_changed("a 429 on a submission")
        if submission.limited == 0:
            submission.paused_before = state.paused
        state.pause(delay)
        state.emit(RateLimited(at=state.wall(), delay=delay, retry_after=error.retry_after))
        submission.limited += 1
        since = max(submission.paused_before, state.paused_before)
        if state.paused - since > retry.limited_patience + 1e-6:  # what is added up is rounded
            raise error
        state.retries += 1
        # Others may be ahead now that the limit is cut: ask for a slot again when the pause ends.
        submission.slot.release()
        await state.nap(delay)
        submission.slot = await state.pool.acquire()

    async def _wait_out_unsent(self, submission: Submission, error: TransportError) -> None:
        """Back off after a connection that was never made."""
        state, retry = self._state, self._state.settings.retry
        if submission.unsent_since is None:
            submission.unsent_since = state.now()
        if state.now() - submission.unsent_since > retry.connect_patience:
            raise error
        delay = retry.backoff(submission.unsent)
        submission.unsent += 1
        state.retries += 1
        state.emit(RetryScheduled(at=state.wall(), request_id=None, delay=delay, why=str(error)))
        await state.nap(delay)

    # --- the part that belongs to the session ----------------------------------------------

    async def _post_in_session(self, submission: Submission) -> Verdict:
        """Run the POST in a task of the session, which goes on to poll, and wait for its verdict.

        Cancelled, leave at once: the session finishes the POST and looks after what comes of it.
        """
        state = self._state
        waiter: asyncio.Future[Verdict] = state.loop.create_future()
        task = state.supervisor.start(
            self._carry(submission, waiter),
            name=f"seedance_async submission {submission.tag}",
            cut_off=self._cut_off,
        )
        self._posts.began(task, submission, waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            submission.left = True
            if waiter.done() and not waiter.cancelled():
                self._orphan(submission, waiter.result())
            raise

    async def _carry(self, submission: Submission, waiter: asyncio.Future[Verdict]) -> None:
        """One job's whole work for the session in one task: its POST, then its polls."""
        try:
            verdict = await self._post(submission, waiter)
        finally:
            self._posts.ended()
        del submission, waiter  # not to be kept for as long as the job runs
        if isinstance(verdict, Track) and verdict.task is None:  # else its id came twice
            await self._tracker.run(verdict)

    async def _post(self, submission: Submission, waiter: asyncio.Future[Verdict]) -> Verdict:
        try:
            verdict = await self._poster.post(submission)
        except Exception as error:
            # A slip of ours after the POST may have left: nobody knows what came of it.
            logger.exception("submission %s broke; please report it", submission.tag)
            doubt = Undecided(ErrorInfo(type(error).__name__, repr(error)))
            verdict = await self._poster.in_doubt(submission, doubt)
        except BaseException as error:
            # The end of the event loop; the journal has been told.
            submission.slot.release()
            if not waiter.done():
                waiter.set_exception(
                    SubmissionInDoubtError(
                        ErrorInfo(type(error).__name__, "the event loop ended during the POST"),
                        model_id=submission.request.model_id,
                    )
                )
                waiter.exception()
            raise
        if waiter.done():
            self._orphan(submission, verdict)
            return verdict
        if isinstance(verdict, Track) and self._state.aborting:
            self.cancel_in_session(verdict.job)
        waiter.set_result(verdict)
        return verdict

    def _cut_off(self, task: asyncio.Task[None]) -> None:
        """Answer for a POST whose task others cancelled before its first step."""
        unbegun = self._posts.taken(task)
        if unbegun is None:  # it began, and has answered itself
            return
        submission, waiter = unbegun
        error = SeedanceError(
            f"nothing was sent: the session's task for submission {submission.tag} was cancelled "
            f"from outside before its POST. Submit it again if it is still wanted"
        )
        if waiter.done():
            self._orphan(submission, error)
        else:
            waiter.set_result(error)

    def _orphan(self, submission: Submission, verdict: Verdict) -> None:
        """Look after a submission whose caller has gone: one cancel, else track it to its end."""
        if not isinstance(verdict, Track):
            if isinstance(verdict, SubmissionInDoubtError):
                submission.slot.release()
                self._state.doubts += 1
            else:
                self._give_back(submission)
            logger.info("submission %s, whose caller has gone: %s", submission.tag, verdict)
            return
        logger.info("job %s was accepted, but its caller has gone", verdict.job.request_id)
        self.cancel_in_session(verdict.job)

    def cancel_in_session(self, job: Job) -> None:
        """Make the one cancel attempt for a job that nobody holds any more; asked again, none."""
        if job.request_id in self._given_up:
            return
        self._given_up.add(job.request_id)
        task = self._state.supervisor.start(
            self._cancel(job), name=f"seedance_async cancel {job.request_id}"
        )
        self._cancels.add(task)
        task.add_done_callback(self._cancels.discard)

    async def settled(self) -> None:
        """Wait until no POST is under way; each ends by its own time limit."""
        while waiting := self._posts.under_way():
            await asyncio.wait(waiting)

    async def cancels_over(self, hurry: asyncio.Future[None]) -> None:
        """Wait until POSTs and cancel attempts are over, or `hurry` is done."""
        while not hurry.done() and (waiting := self._posts.under_way() | self._cancels):
            await asyncio.wait({hurry, *waiting}, return_when=asyncio.FIRST_COMPLETED)

    async def _cancel(self, job: Job) -> None:
        result = await job.cancel()
        logger.info("job %s, whose caller has gone: %s", job.request_id, result.value)


class _Posts:
    """The POSTs under way, in tasks that live on to poll."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[None], _Begun] = {}
        self._none_left: asyncio.Future[None] | None = None

    def began(
        self, task: asyncio.Task[None], submission: Submission, waiter: asyncio.Future[Verdict]
    ) -> None:
        """Count a POST, unless its task is an eager one that is through with it already."""
        if not waiter.done():
            self._tasks[task] = submission, waiter

    def ended(self) -> None:
        """Count the running task's POST no more."""
        task: asyncio.Task[None] | None = asyncio.current_task()
        if task is not None:
            self.taken(task)

    def taken(self, task: asyncio.Task[None]) -> _Begun | None:
        """Count a task's POST no more and return what it is about; None: it was not counted."""
        found = self._tasks.pop(task, None)
        if not self._tasks and self._none_left is not None:
            self._none_left.set_result(None)
            self._none_left = None
        return found

    def under_way(self) -> set[asyncio.Future[None]]:
        """Return the future that is done when none is left; nothing if none is."""
        if not self._tasks:
            return set()
        if self._none_left is None:
            self._none_left = asyncio.get_running_loop().create_future()
        return {self._none_left}
