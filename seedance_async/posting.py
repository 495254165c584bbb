"""Posting: the one paid POST of a submission, what is written down around it, and its verdict.

All of it runs in a task of the session, which nobody's cancellation reaches and which then polls
the job.
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
from seedance_async.counting import counted
from seedance_async.errors import (
    ApiError,
    AuthenticationError,
    InsufficientBalanceError,
    LedgerClosedError,
    LedgerError,
    RateLimitedError,
    SeedanceError,
    SubmissionInDoubtError,
    TransportError,
)
from seedance_async.events import JobFinished, JobSubmitted, SubmissionInDoubt, SubmissionRefused
from seedance_async.jobs import ErrorInfo, Failed
from seedance_async.journal import Journal
from seedance_async.models import Request, Shape
from seedance_async.paths import submit_path
from seedance_async.pool import Slot
from seedance_async.state import SessionState
from seedance_async.supervisor import is_cancelled
from seedance_async.tracking import Tracker
from seedance_async.tracks import Acceptance, Track
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

Verdict: TypeAlias = Track | SeedanceError
"""An accepted job, or why there is none; only a `RateLimitedError` or an unsent `TransportError`
may be followed by another POST."""


@attrs.define(eq=False)
class Submission:
    """One request on its way.

    Attributes:
        submitted_at: Just before the POST, in wall-clock time; `posted_at` the same in loop time.
        probing: It passes a shut gate, to see whether the account is well again.
        left: The caller was cancelled while the POST was under way; slot and money are the
            session's to give back.
        limited: How many 429s it met, and `paused_before` the session's pauses before the first.
        unsent: How many connections were never made, and `unsent_since` the first, in loop time.
    """

    request: Request
    tag: str
    journal: Journal
    body: bytes
    shape: Shape
    slot: Slot
    reservation: Reservation | None = None
    submitted_at: float = 0.0
    posted_at: float = 0.0
    left: bool = False
    probing: bool = False
    limited: int = 0
    paused_before: float = 0.0
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
            await state.tell(
                submission.journal,
                submission.journal.submitting(submission.tag, submission.request),
            )
        except LedgerError as error:
            return LedgerError(f"nothing was sent: {error}")
        submission.submitted_at = state.wall()
        submission.posted_at = state.now()
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
            return await self.in_doubt(submission, Undecided(error.info()))
        except asyncio.CancelledError:
            verdict = await self.in_doubt(
                submission, Undecided(ErrorInfo("Cancelled", "the POST was cut off"))
            )
            if is_cancelled():
                raise
            return verdict
        return await self._read(submission, answer)

    async def _read(self, submission: Submission, answer: Answer) -> Verdict:
        reading = read_submission(answer, now=self._state.wall())
        if isinstance(reading, Undecided) and await self._is_there(reading.candidate_id):
            assert reading.candidate_id is not None
            reading = Accepted(reading.candidate_id)
        match reading:
            case Accepted(request_id=request_id):
                return await self._accepted(submission, request_id)
            case RefusedForNow(error=limited):
                return await self._not_sent(submission, limited)
            case Refused(error=refused):
                return await self._refused(submission, refused)
            case Undecided():
                return await self.in_doubt(submission, reading)

    async def _is_there(self, candidate_id: str | None) -> bool:
        """Let one free GET decide whether an id beside an error is a job's (wire.md, section 1)."""
        if candidate_id is None:
            return False
        try:
            reading = await self._tracker.polls.fetch(candidate_id)
        except Exception:  # noqa: BLE001  nobody can tell, which is what in doubt means
            return False
        return not isinstance(reading, Gone | Denied | Trouble)

    async def _accepted(self, submission: Submission, request_id: str) -> Track:
        state = self._state
        # Before anything that could fail or be cancelled: without a journal this line is the trace.
        logger.info(
            "accepted: job %s of %s (%s)", request_id, submission.request.model_id, submission.tag
        )
        try:
            await state.tell(
                submission.journal, submission.journal.accepted(submission.tag, request_id)
            )
        except LedgerError as error:
            self._unrecorded(submission, request_id, error)
        except asyncio.CancelledError:  # the event loop ends: one more attempt, then it is lost
            logger.critical("job %s may not be in the journal", request_id)
            await state.tell(
                submission.journal, submission.journal.accepted(submission.tag, request_id)
            )
            raise
        submission.slot.track()
        state.submitted += 1
        state.paused_before = state.paused
        track = self._tracker.follow(
            Acceptance(
                request_id=request_id,
                tag=submission.tag,
                journal=submission.journal,
                slot=submission.slot,
                model_id=submission.request.model_id,
                shape=submission.shape,
                reservation=submission.reservation,
                submitted_at=submission.submitted_at,
                accepted_at=state.wall(),
            )
        )
        if state.gate.success(submission.posted_at):
            state.gate_opened("a submission was accepted")
        if state.heard:
            state.emit(
                JobSubmitted(
                    at=state.wall(),
                    request_id=request_id,
                    model_id=submission.request.model_id,
                    tag=submission.tag,
                )
            )
        return track

    def _unrecorded(self, submission: Submission, request_id: str, error: LedgerError) -> None:
        """Stop submitting and keep trying to write an id that the journal would not take."""
        logger.critical(
            "job %s (%s) was accepted, but its id could not be written: %s. Note it down",
            request_id,
            submission.tag,
            error,
        )
        info = ErrorInfo(
            type(error).__name__, f"the id of job {request_id} could not be written: {error}"
        )
        self._state.gate.stop(info)
        self._state.gate_shut(info.message)
        self._state.supervisor.start(
            self._record_late(submission, request_id), name=f"seedance_async journal {request_id}"
        )

    async def _record_late(self, submission: Submission, request_id: str) -> None:
        state = self._state
        attempt = 0
        while True:
            await asyncio.sleep(state.settings.retry.backoff(attempt))
            attempt += 1
            try:
                await state.tell(
                    submission.journal, submission.journal.accepted(submission.tag, request_id)
                )
            except LedgerError as error:
                if state.closing or isinstance(error, LedgerClosedError):
                    logger.critical("job %s is not in the journal: %s", request_id, error)
                    return
            else:
                logger.warning("job %s is in the journal now", request_id)
                return

    async def _not_sent(
        self, submission: Submission, error: TransportError | RateLimitedError
    ) -> Verdict:
        try:
            await self._state.tell(
                submission.journal, submission.journal.not_sent(submission.tag, str(error))
            )
        except LedgerError as unwritten:
            return LedgerError(f"nothing was accepted, but that could not be told: {unwritten}")
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
            await state.tell(
                submission.journal, submission.journal.finished(submission.tag, outcome)
            )
        except LedgerError:
            logger.exception("the refusal of %s could not be written", submission.tag)
        state.emit(JobFinished(at=state.wall(), outcome=outcome, tag=submission.tag))
        return error

    async def in_doubt(self, submission: Submission, doubt: Undecided) -> SubmissionInDoubtError:
        """Write down that nobody knows whether there is a job."""
        state = self._state
        model_id = submission.request.model_id
        error = SubmissionInDoubtError(
            doubt.error, model_id=model_id, candidate_id=doubt.candidate_id
        )
        logger.warning("%s is in doubt: %s", submission.tag, _seen(doubt))
        if state.gate.doubt(doubt.error):
            many = "submissions in doubt in a row"
            state.gate_shut(counted(state.gate.doubts_to_stop, "submission in doubt", many))
        state.emit(
            SubmissionInDoubt(
                at=state.wall(), model_id=model_id, error=doubt.error, tag=submission.tag
            )
        )
        try:
            await state.tell(
                submission.journal, submission.journal.in_doubt(submission.tag, _seen(doubt))
            )
        except LedgerError:
            logger.critical(
                "the doubt about %s could not be written", submission.tag, exc_info=True
            )
        return error


def _seen(doubt: Undecided) -> str:
    """Return what was seen, with an id that stood beside it: a person may find the job by it."""
    if doubt.candidate_id is None:
        return doubt.error.message
    return f"{doubt.error.sentence} The answer named the id {doubt.candidate_id}."


_to_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def encode(given: Mapping[str, object]) -> bytes:
    """Return the body of a submission: the input object at the root, as UTF-8 JSON."""
    return _to_json(given).encode()
