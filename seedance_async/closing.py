"""Closing a session: what is still running is cancelled, awaited or let go, and nothing is left."""

from __future__ import annotations

import asyncio
import logging

import anyio

from seedance_async.handle import Job
from seedance_async.jobs import Succeeded
from seedance_async.state import SessionState, closed_error
from seedance_async.submitting import Submitter
from seedance_async.supervisor import see_through
from seedance_async.tracking import Tracker

__all__ = ["Closing"]

logger = logging.getLogger("seedance_async")

_TURNS = 20
"""Loop turns that tasks get between a job's end and what they do with its video."""


class Closing:
    """The last work of a session."""

    def __init__(
        self, state: SessionState, tracker: Tracker, submitter: Submitter, *, owns_transport: bool
    ) -> None:
        self._state = state
        self._tracker = tracker
        self._submitter = submitter
        self._owns_transport = owns_transport

    async def run(self, *, abort: bool) -> None:
        """Close the session; a cancellation is passed on when nothing is left.

        Args:
            abort: Do not wait for jobs first.
        """
        state = self._state
        state.pool.refuse_waiting(closed_error)
        state.stir()
        for fanout in tuple(state.fanouts):
            fanout.stop_feeding()
        cancelled: asyncio.CancelledError | None = None
        if not abort:
            try:
                # Not asyncio's timeout: where it and an anyio scope around the session cancel at
                # once, its own cancellation would get out of that scope.
                with anyio.move_on_after(state.settings.exit_timeout):
                    await self._wait()
            except asyncio.CancelledError as error:
                abort, cancelled = True, error
        hurry: asyncio.Future[None] = state.loop.create_future()
        finish = state.loop.create_task(
            self._finish(abort=abort, hurry=hurry), name="seedance_async exit"
        )
        # A task that is cancelled once more is told to hurry: it detaches at once, but still
        # waits for POSTs under way, whose ids would be lost.
        await see_through(finish, hurry.cancel)
        if cancelled is not None:
            raise cancelled

    async def _wait(self) -> None:
        """Wait until every job, POST, cancel attempt and download is over."""
        state = self._state
        while True:
            await state.supervisor.idle()
            # Who has just got a video may be about to download it: let those tasks run first.
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            if state.supervisor.tasks == 0 and state.downloads == 0:
                return
            if state.downloads:
                await state.nap(60.0)  # each download that ends stirs

    async def _finish(self, *, abort: bool, hurry: asyncio.Future[None]) -> None:
        state = self._state
        try:
            if abort and self._state.settings.on_abort == "cancel":
                await self._cancel_all(hurry)
            await self._submitter.settled()
            reason = "the session was aborted" if abort else "the session's exit_timeout passed"
            tracked = self._tracker.tracked
            await asyncio.gather(*(self._tracker.detach(job, reason) for job in tracked))
            await self._wait_for_idle(self._state.settings.cancel_timeout)
            for job in self._tracker.unread:
                self._log_unread(job)
        finally:
            await state.supervisor.aclose()
            state.watchdog.close()
            if self._owns_transport:
                await state.transport.aclose()

    async def _cancel_all(self, hurry: asyncio.Future[None]) -> None:
        """Try one cancel for each job of ours, also those of POSTs that end meanwhile."""
        state = self._state
        state.aborting = True
        for job in self._tracker.ours:
            self._submitter.cancel_in_session(job)
        try:
            async with asyncio.timeout(self._state.settings.abort_timeout):
                await self._submitter.cancels_over(hurry)
        except TimeoutError:
            logger.warning("not all cancels were answered in time; the rest is detached")

    async def _wait_for_idle(self, seconds: float) -> None:
        state = self._state
        try:
            async with asyncio.timeout(seconds):
                await state.supervisor.idle()
        except TimeoutError:
            logger.warning("%d tasks of the session had to be cancelled", state.supervisor.tasks)

    def _log_unread(self, job: Job) -> None:
        outcome = job.outcome
        if isinstance(outcome, Succeeded):
            logger.warning(
                "job %s succeeded, but nobody read it: %s", job.request_id, outcome.video_url
            )
        else:
            logger.warning("job %s ended, but nobody read it: %s", job.request_id, outcome)
