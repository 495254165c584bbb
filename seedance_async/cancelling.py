"""Cancelling: one attempt, one confirming poll, and what the server said."""

from __future__ import annotations

import asyncio
import logging

from seedance_async.errors import TransportError
from seedance_async.events import CancelAttempted
from seedance_async.handle import Job
from seedance_async.jobs import CancelResult, Outcome
from seedance_async.paths import cancel_path
from seedance_async.polls import Polls
from seedance_async.state import SessionState
from seedance_async.tracks import Track
from seedance_async.turnstile import Turn
from seedance_async.verdicts import cancel_result, is_final, outcome_of
from seedance_async.wire import Ended, read_cancel

__all__ = ["cancel"]

logger = logging.getLogger("seedance_async")


async def cancel(state: SessionState, job: Job, track: Track | None, polls: Polls) -> CancelResult:
    """Try to cancel a job once, for 5 s, then let one poll confirm, for 5 s more.

    Args:
        state: The session's.
        job: The job.
        track: Where it is followed; None if it is not.
        polls: Asks for a job that is not followed.
    """
    outcome, said = job.outcome, CancelResult.UNKNOWN
    if not is_final(outcome):
        said = await _send(state, job.request_id)
        outcome = await _confirm(state, job, track, polls)
    result = cancel_result(said, outcome)
    state.emit(CancelAttempted(at=state.wall(), request_id=job.request_id, result=result.value))
    return result


async def _send(state: SessionState, request_id: str) -> CancelResult:
    seconds = state.settings.cancel_timeout
    try:
        async with asyncio.timeout(seconds):
            await state.turnstile.wait(Turn.SUBMIT)
            answer = await state.transport.send("POST", cancel_path(request_id), timeout=seconds)
    except (TransportError, TimeoutError) as error:
        logger.info("job %s: no answer to the cancel: %s", request_id, error)
        return CancelResult.UNKNOWN
    return read_cancel(answer)


async def _confirm(
    state: SessionState, job: Job, track: Track | None, polls: Polls
) -> Outcome | None:
    """Return the outcome that one more poll saw, if it saw one."""
    try:
        async with asyncio.timeout(state.settings.cancel_timeout):
            if track is not None:
                await track.progress.polled(track.progress.ask_for_poll())
                return job.outcome
            reading = await polls.fetch(job.request_id)
    except (TimeoutError, TransportError):
        logger.info("job %s: no confirming poll in time", job.request_id)
        return job.outcome
    if isinstance(reading, Ended):
        return outcome_of(reading, job.request_id, job.model_id)
    return None
