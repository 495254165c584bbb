"""Posting: the one paid POST of a submission, what is written down around it, and its verdict.

All of it runs in a task of the session, which nobody's cancellation reaches.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import TypeAlias

import attrs

from seedance_async.bodies import Answer
from seedance_async.budget import Reservation
from seedance_async.errors import (
    ApiError,
    AuthenticationError,
    InsufficientBalanceError,
    LedgerError,
    RateLimitedError,
    SeedanceError,
    SubmissionInDoubtError,
    TransportError,
)
from seedance_async.events import JobFinished, JobSubmitted, SubmissionInDoubt, SubmissionRefused
from seedance_async.handle import Job
from seedance_async.jobs import ErrorInfo, Failed
from seedance_async.models import Request, Shape
from seedance_async.paths import submit_path
from seedance_async.pool import Slot
from seedance_async.state import SessionState
from seedance_async.tracking import Tracker
from seedance_async.tracks import Acceptance
from seedance_async.wire import (
    Accepted,
    Denied,
    Gone,
    Refused,
    RefusedForNow,
    Trouble,
    Undecided,
    read_submission,
)

__all__ = ["Poster", "Submission", "Verdict", "encode"]

logger = logging.getLogger("seedance_async")

Verdict: TypeAlias = Job | SeedanceError
"""A job, or why there is none; only a `RateLimitedError` or an unsent `TransportError` may be
followed by another POST."""


@attrs.define(eq=False)
class Submission:
    """One request on its way.

    Attributes:
        left: The caller was cancelled while the POST was under way; slot and money are the
            session's to give back.
        limited: How many 429s it met, and `limited_wait` the seconds that they cost.
        unsent: How many connections were never made, and `unsent_since` the first, in loop time.
    """

    request: Request
    tag: str
    body: bytes
    shape: Shape
    slot: Slot
    reservation: Reservation | None = None
    left: bool = False
    limited: int = 0
    limited_wait: float = 0.0
    unsent: int = 0
    unsent_since: float | None = None


class Poster:
    """Makes the POSTs of a session."""

    def __init__(self, state: SessionState, tracker: Tracker) -> None:
        self._state = state
        self._tracker = tracker

    async def post(self, submission: Submission) -> Verdict:
        """Write down, POST once, read the answer, write down."""
        state = self._state
        try:
            await state.settings.journal.submitting(submission.tag, submission.request)
        except Exception as error:  # noqa: BLE001  any journal's: nothing was sent, say so
            return _unwritten(error)
        submitted_at = state.wall()
        try:
            answer = await state.transport.send(
                "POST",
                submit_path(submission.request.model_id),
                submission.body,
                timeout=state.settings.submit_timeout,
            )
        except TransportError as error:
            if not error.sent:
                return await self._not_sent(submission, error)
            return await self._in_doubt(submission, Undecided(error.info()))
        except asyncio.CancelledError:
            ended = ErrorInfo("Cancelled", "the event loop ended during the POST")
            await self._in_doubt(submission, Undecided(ended))
            raise
        except Exception as error:  # noqa: BLE001  whatever broke, it may have been accepted
            return await self._in_doubt(submission, Undecided(ErrorInfo("Broken", repr(error))))
        return await self._read(submission, answer, submitted_at)

    async def _read(self, submission: Submission, answer: Answer, submitted_at: float) -> Verdict:
        reading = read_submission(answer, now=self._state.wall())
        if isinstance(reading, Undecided) and await self._is_there(reading.candidate_id):
            assert reading.candidate_id is not None
            reading = Accepted(reading.candidate_id)
        match reading:
            case Accepted(request_id=request_id):
                return await self._accepted(submission, request_id, submitted_at)
            case RefusedForNow(error=limited):
                return await self._not_sent(submission, limited)
            case Refused(error=refused):
                return await self._refused(submission, refused)
            case Undecided():
                return await self._in_doubt(submission, reading)

    async def _is_there(self, candidate_id: str | None) -> bool:
        """Let one free GET decide whether an id beside an error is a job's (wire.md, section 1)."""
        if candidate_id is None:
            return False
        try:
            reading = await self._tracker.fetch(candidate_id)
        except TransportError:
            return False
        return not isinstance(reading, Gone | Denied | Trouble)

    async def _accepted(self, submission: Submission, request_id: str, submitted_at: float) -> Job:
        state = self._state
        # Before anything that could fail or be cancelled: without a journal this line is the trace.
        logger.info(
            "accepted: job %s of %s (%s)", request_id, submission.request.model_id, submission.tag
        )
        try:
            await state.settings.journal.accepted(submission.tag, request_id)
        except Exception as error:  # noqa: BLE001  whatever it was, the id must not be lost
            self._unrecorded(submission.tag, request_id, error)
        except asyncio.CancelledError:
            logger.critical("job %s may not be in the journal", request_id)
            raise
        submission.slot.track()
        state.submitted += 1
        job = self._tracker.follow(
            Acceptance(
                request_id=request_id,
                tag=submission.tag,
                slot=submission.slot,
                model_id=submission.request.model_id,
                shape=submission.shape,
                reservation=submission.reservation,
                submitted_at=submitted_at,
                accepted_at=state.wall(),
            )
        )
        if state.gate.success():
            state.gate_opened("a submission was accepted")
        state.emit(
            JobSubmitted(
                at=state.wall(),
                request_id=request_id,
                model_id=submission.request.model_id,
                tag=submission.tag,
            )
        )
        return job

    def _unrecorded(self, tag: str, request_id: str, error: Exception) -> None:
        """Stop submitting and keep trying to write an id that the journal would not take."""
        logger.critical(
            "job %s (%s) was accepted, but its id could not be written: %s. Note it down",
            request_id,
            tag,
            error,
        )
        info = ErrorInfo(
            type(error).__name__, f"the id of job {request_id} could not be written: {error}"
        )
        self._state.gate.stop(info)
        self._state.gate_shut(info.message)
        self._state.supervisor.start(
            self._record_late(tag, request_id), name=f"seedance_async journal {request_id}"
        )

    async def _record_late(self, tag: str, request_id: str) -> None:
        state = self._state
        attempt = 0
        while True:
            await asyncio.sleep(state.settings.retry.backoff(attempt))
            attempt += 1
            try:
                await state.settings.journal.accepted(tag, request_id)
            except Exception as error:  # noqa: BLE001  tried again until the session ends
                if state.closing:
                    logger.critical("job %s is not in the journal: %s", request_id, error)
                    return
            else:
                logger.warning("job %s is in the journal now", request_id)
                return

    async def _not_sent(
        self, submission: Submission, error: TransportError | RateLimitedError
    ) -> Verdict:
        try:
            await self._state.settings.journal.not_sent(submission.tag, str(error))
        except Exception as unwritten:  # noqa: BLE001  any journal's
            return _unwritten(unwritten)
        return error

    async def _refused(self, submission: Submission, error: ApiError) -> Verdict:
        state, info = self._state, error.info()
        outcome = Failed(error=info, model_id=submission.request.model_id)
        if isinstance(error, AuthenticationError | InsufficientBalanceError):
            state.gate.account_trouble(info, state.now())
            state.gate_shut(info.message)
        elif state.gate.refusal(info):
            state.gate_shut(f"{state.gate.refusals_to_stop} refusals of the same kind in a row")
        state.emit(
            SubmissionRefused(
                at=state.wall(),
                model_id=submission.request.model_id,
                error=info,
                tag=submission.tag,
            )
        )
        try:
            await state.settings.journal.finished(submission.tag, outcome)
        except Exception:
            logger.exception("the refusal of %s could not be written", submission.tag)
        state.emit(JobFinished(at=state.wall(), outcome=outcome, tag=submission.tag))
        return error

    async def _in_doubt(self, submission: Submission, doubt: Undecided) -> Verdict:
        state = self._state
        model_id = submission.request.model_id
        error = SubmissionInDoubtError(
            doubt.error, model_id=model_id, candidate_id=doubt.candidate_id
        )
        logger.warning("%s is in doubt: %s", submission.tag, doubt.error.message)
        if state.gate.doubt(doubt.error):
            state.gate_shut(f"{state.gate.doubts_to_stop} submissions in doubt in a row")
        state.emit(
            SubmissionInDoubt(
                at=state.wall(), model_id=model_id, error=doubt.error, tag=submission.tag
            )
        )
        try:
            await state.settings.journal.in_doubt(submission.tag, doubt.error.message)
        except Exception:
            logger.critical(
                "the doubt about %s could not be written", submission.tag, exc_info=True
            )
        return error


_to_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def encode(given: Mapping[str, object]) -> bytes:
    """Return the body of a submission: the input object at the root, as UTF-8 JSON."""
    return _to_json(given).encode()


def _unwritten(error: Exception) -> SeedanceError:
    if isinstance(error, SeedanceError):
        return error
    return LedgerError(f"nothing was sent, for the journal could not be written: {error!r}")
