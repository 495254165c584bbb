"""The handle of a job: what its holder sees, waits for and may ask."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Generator
from typing import Protocol

from seedance_async.errors import (
    JobCancelledError,
    JobFailedError,
    JobLostError,
    JobTimeoutError,
    SeedanceError,
    SubmissionInDoubtError,
)
from seedance_async.jobs import (
    Cancelled,
    CancelResult,
    Failed,
    InDoubt,
    Lost,
    Outcome,
    State,
    Succeeded,
    TimedOut,
)
from seedance_async.progress import Progress
from seedance_async.shell import wait_command

__all__ = ["Job", "Tracking", "error_of", "report", "success_of"]

logger = logging.getLogger("seedance_async")


class Tracking(Protocol):
    """What a handle asks of whoever polls its job."""

    async def cancel(self, job: Job) -> CancelResult:
        """Try to cancel the job once, and poll once to confirm."""
        ...

    def read(self, job: Job) -> None:
        """Take note that somebody has the job's outcome."""
        ...

    async def detach(self, job: Job, reason: str) -> None:
        """Stop tracking a job that runs on."""
        ...


class Job:
    """A submission that the service accepted, followed by one polling task of its session.

    Any number of tasks may wait for it; one that is cancelled cancels nothing but itself.

    Attributes:
        request_id: The service's id; with it the job can be attached in any process.
        model_id: The model; None for an attached job.
        tag: The name under which the journal knows it.
    """

    __slots__ = ("__weakref__", "_progress", "_tracking", "model_id", "request_id", "tag")

    def __init__(
        self,
        request_id: str,
        tracking: Tracking,
        progress: Progress,
        *,
        model_id: str | None,
        tag: str,
    ) -> None:
        self.request_id = request_id
        self.model_id = model_id
        self.tag = tag
        self._tracking = tracking
        self._progress = progress

    def __repr__(self) -> str:
        state = self._progress.error or self._progress.state
        return f"<Job {self.request_id} {self.model_id or 'of unknown model'}: {state!r}>"

    @property
    def status(self) -> State | None:
        """The last known state or the outcome; None for an attached job before its first poll."""
        return self._progress.state

    @property
    def outcome(self) -> Outcome | None:
        """How the job ended; None while it is tracked."""
        return self._progress.outcome

    def done(self) -> bool:
        """Tell whether tracking is over: by an outcome, or by an error such as a refused token."""
        return self._progress.over

    async def wait(self) -> Outcome:
        """Wait until tracking is over and return the outcome, whichever it is.

        Cancellation ends only this wait.

        Raises:
            ApiError: The service no longer lets this token see the job; the job itself runs on.
        """
        while not self.done():
            await self._progress.next_change()
        self._tracking.read(self)
        if self._progress.error is not None:
            raise self._progress.error.with_traceback(None)
        outcome = self.outcome
        assert outcome is not None
        return outcome

    def __await__(self) -> Generator[object, None, Succeeded]:
        """Wait for the video.

        Raises:
            JobFailedError: It ended without a video.
            JobCancelledError: The server said that it was cancelled.
            JobTimeoutError: Its deadline passed; it runs on and can be attached again.
            JobLostError: The service no longer knows it.
            ApiError: The service no longer lets this token see the job.
        """
        return self._video().__await__()

    async def _video(self) -> Succeeded:
        return success_of(await self.wait())

    async def updates(self, *, queue_position: bool = False) -> AsyncIterator[State]:
        """Yield the state now and whenever it changes, the outcome last.

        A consumer that is slower than the changes sees the latest one only.

        Args:
            queue_position: Also ask for the place in the queue, at one more request a poll.

        Raises:
            ApiError: The service no longer lets this token see the job.
        """
        self._progress.position_watchers += queue_position
        if queue_position:
            self._progress.ask_for_poll()
        seen: State | None = None
        try:
            while True:
                state = self._progress.state
                if state is not None and state != seen:
                    seen = state
                    if isinstance(state, Outcome):
                        self._tracking.read(self)
                    yield state
                elif self.done():
                    break
                else:
                    await self._progress.next_change()
        finally:
            self._progress.position_watchers -= queue_position
        if self._progress.error is not None:
            raise self._progress.error.with_traceback(None)

    async def cancel(self) -> CancelResult:
        """Try to cancel the job once, for at most 5 s, then poll once to confirm.

        Only a queued job can be cancelled; another runs on and may be billed. May be repeated.
        Cancellation of this call leaves it open whether the server cancelled the job.
        """
        return await self._tracking.cancel(self)

    async def detach(self, reason: str = "it was detached") -> None:
        """Stop tracking the job, which runs on: its outcome is `TimedOut`, unless it is over.

        `Session.attach` comes back to it. Cancelled, it stays open whether the journal knows.
        """
        await self._tracking.detach(self, reason)


def success_of(outcome: Outcome) -> Succeeded:
    """Return an outcome that is a video, and raise the error that any other stands for."""
    if isinstance(outcome, Succeeded):
        return outcome
    raise error_of(outcome)


def error_of(outcome: Failed | Cancelled | TimedOut | Lost | InDoubt) -> SeedanceError:
    """Return the error that stands for an outcome without a video."""
    job = f"job {outcome.request_id}" if outcome.request_id else "the submission"
    match outcome:
        case Failed(error=error, request_id=request_id, model_id=model_id):
            return JobFailedError(
                f"{job} failed: {error.message}",
                request_id=request_id,
                model_id=model_id,
                error=error,
            )
        case Cancelled(request_id=request_id, model_id=model_id):
            return JobCancelledError(
                f"{job} was cancelled, says the server; whether it is billed is not documented",
                request_id=request_id,
                model_id=model_id,
            )
        case TimedOut(request_id=request_id, model_id=model_id, reason=reason):
            return JobTimeoutError(
                f"{job} is no longer tracked: {reason}. It is not over and may be billed; "
                f"attach({request_id!r}) or `{wait_command(request_id)}` comes back to it",
                request_id=request_id,
                model_id=model_id,
            )
        case Lost(request_id=request_id, model_id=model_id, error=error):
            return JobLostError(
                f"{job} was accepted and may have been billed, but the service no longer knows it: "
                f"{error.message}",
                request_id=request_id,
                model_id=model_id,
                error=error,
            )
        case InDoubt(error=error, model_id=model_id, candidate_id=candidate_id):
            return SubmissionInDoubtError(
                error, model_id=model_id or "an unknown model", candidate_id=candidate_id
            )


async def report(job: Job, on_update: Callable[[State], object]) -> None:
    """Call `on_update` with each update of a job; its errors are logged once and harm nothing."""
    failed = False
    async for update in job.updates():
        try:
            on_update(update)
        except (Exception, asyncio.CancelledError):  # a bad callback is its own trouble (promise 5)
            if not failed:
                logger.exception("on_update failed; further failures of it are not logged")
            failed = True
