"""The one place that knows how the service speaks: answers in, nouns or typed errors out.

Pure: no I/O, no clock. Each rule names the section of the service's description it rests on
(`wire.md`); what nobody has written down is read so that nothing is ever paid for twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeAlias

import attrs

from seedance_async.bodies import (
    Answer,
    Body,
    api_error,
    as_integer,
    family,
    read_body,
    read_error_code,
    read_retry_after,
)
from seedance_async.errors import (
    ApiError,
    AuthenticationError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitedError,
    SeedanceError,
)
from seedance_async.jobs import CancelResult, ErrorInfo, InProgress, InQueue, Output, Status
from seedance_async.paths import is_request_id

__all__ = [
    "Accepted",
    "Denied",
    "Ended",
    "Gone",
    "Reading",
    "Refused",
    "RefusedForNow",
    "Seen",
    "Submission",
    "Trouble",
    "Undecided",
    "read_cancel",
    "read_result",
    "read_status",
    "read_submission",
]

# --- what an answer can turn out to be -----------------------------------------------------


@attrs.define
class Accepted:
    """A submission became a job."""

    request_id: str


@attrs.frozen
class Refused:
    """Surely no job: the service said no."""

    error: ApiError


@attrs.frozen
class RefusedForNow:
    """Surely no job, and the same request may be sent again later."""

    error: RateLimitedError


@attrs.frozen
class Undecided:
    """Nobody can tell whether there is a job.

    Attributes:
        error: What was seen.
        candidate_id: An id beside it that one free GET of the result can decide on.
    """

    error: ErrorInfo
    candidate_id: str | None = None


Submission: TypeAlias = Accepted | Refused | RefusedForNow | Undecided


@attrs.define
class Seen:
    """A job that is not over; `status` is None where the answer only says "not ready"."""

    status: Status | None


@attrs.define
class Ended:
    """The verdict on a job.

    Attributes:
        state: `succeeded`, `failed` or `cancelled`.
        video_url: Set exactly if it succeeded.
        error: Set exactly if it failed.
        finished: `completed` as a status says it: over, verdict unknown (section 2).
    """

    state: str
    output: Output
    video_url: str | None = None
    error: ErrorInfo | None = None
    cost_usd: float | None = None
    model_id: str | None = None
    created_at: datetime | None = None
    finished_at: datetime | None = None


@attrs.frozen
class Gone:
    """The service does not know the id: too new, expired, deleted or never there (404001)."""

    error: NotFoundError


@attrs.frozen
class Denied:
    """The token may not see the job; the job itself is untouched (401, 403, 400004)."""

    error: ApiError


@attrs.frozen
class Trouble:
    """Says nothing about the job: poll on.

    Attributes:
        error: What was seen.
        retry_after: Seconds that the service asks to wait, if it said.
    """

    error: SeedanceError
    retry_after: float | None = None


Reading: TypeAlias = Seen | Ended | Gone | Denied | Trouble


# --- readings ------------------------------------------------------------------------------

_REFUSING_CODES = frozenset({400001, 400002, 400004})
_REFUSING_FAMILIES = frozenset({401, 402, 403, 404, 422})
_UNDECIDED_STATUSES = frozenset({408, 409, 425, 499})


def read_submission(answer: Answer, *, now: float) -> Submission:
    """Read the answer to a submission, in the order of section 1.

    Args:
        answer: What came.
        now: Wall-clock seconds since the epoch, for a Retry-After that is a date.
    """
    body = read_body(answer)
    status = answer.status
    given_id = body.request_id if body is not None and is_request_id(body.request_id) else None
    erring = body is not None and body.has_error_code
    if 200 <= status < 300 and given_id is not None and not erring:
        return Accepted(given_id)
    if status < 500:
        code = read_error_code(body, status)
        if 429 in (status, code):
            error = api_error(answer, body, None, now)
            if isinstance(error, RateLimitedError):
                return RefusedForNow(error)
        if _refuses(code, status):
            return Refused(api_error(answer, body, None, now))
    return Undecided(_doubt(answer, body, now), given_id)


def _refuses(code: int | None, status: int) -> bool:
    if code is not None:
        if code in _REFUSING_CODES or (code >= 100_000 and family(code) in _REFUSING_FAMILIES):
            return True
        if 500 <= family(code) < 600:
            return False
    return 400 <= status < 452 and status not in _UNDECIDED_STATUSES


def _doubt(answer: Answer, body: Body | None, now: float) -> ErrorInfo:
    if body is None or (answer.status < 400 and read_error_code(body, answer.status) is None):
        why = "an unreadable answer"
        if body is not None:
            odd = body.has_error_code
            why = "an unknown kind of error" if odd else "an answer without a request id"
        return ProtocolError(
            f"the service gave {why}", status=answer.status, excerpt=answer.excerpt(answer.body)
        ).info()
    error = api_error(answer, body, None, now)
    return ErrorInfo(
        kind=type(error).__name__,
        message=f"the service answered HTTP {answer.status}: {error.message}",
        code=error.code,
        status=error.status,
        detail=error.detail,
    )


_QUEUED = frozenset({"in_queue", "pending", "queued", "waiting"})
_RUNNING = frozenset({"in_progress", "starting", "processing"})
_IN_PROGRESS = InProgress()
_in_queue = lru_cache(maxsize=1024)(InQueue)  # thousands wait, mostly without a position
_SUCCEEDED = frozenset({"completed", "succeeded"})
_CANCELLED = frozenset({"cancelled", "canceled"})


def read_result(answer: Answer, request_id: str, *, now: float) -> Reading:
    """Read the answer to a GET of a job's result (sections 3 and 5).

    Only a JSON body of the service's own shape is a verdict; all else says: poll on.

    Args:
        answer: What came.
        request_id: The job that was asked for.
        now: Wall-clock seconds since the epoch, for a Retry-After that is a date.
    """
    body = read_body(answer)
    if body is None:
        return _unreadable(answer, request_id, now)
    code = read_error_code(body, answer.status)
    fine = 200 <= answer.status < 300
    state = (body.status or "").strip().lower()
    if fine and (state == "failed" or state in _CANCELLED):
        return _ended(answer, body, state, request_id)
    if code is None and fine:
        if state in _SUCCEEDED:
            return _ended(answer, body, state, request_id)
        status = _status(answer, body)
        if status is not None:
            return Seen(status)
        return Trouble(
            ProtocolError(
                "the result names no state",
                status=answer.status,
                excerpt=answer.excerpt(answer.body),
                request_id=request_id,
            )
        )
    if code == 400005:
        return Seen(None)
    return _poll_error(answer, body, request_id, now)


def _poll_error(answer: Answer, body: Body, request_id: str, now: float) -> Reading:
    if answer.status == 404 and read_error_code(body, answer.status) is None:
        return Trouble(_foreign_404(answer, request_id), read_retry_after(answer.headers, now))
    error = api_error(answer, body, request_id, now)
    match error:
        case NotFoundError() if error.code is not None and error.code // 1000 == 404:
            return Gone(error)  # a bare 404 as a code is any gateway's, and no verdict
        case AuthenticationError() | PermissionDeniedError() if _is_error_shape(body):
            return Denied(error)
        case RateLimitedError():
            return Trouble(error, error.retry_after)
    return Trouble(error, read_retry_after(answer.headers, now))


def _is_error_shape(body: Body) -> bool:
    return (
        any(
            value is not None
            for value in (body.error_code, body.error_message, body.code, body.message, body.detail)
        )
        or body.error is not None
    )


def _unreadable(answer: Answer, request_id: str, now: float) -> Trouble:
    retry_after = read_retry_after(answer.headers, now)
    if answer.status == 404:
        return Trouble(_foreign_404(answer, request_id), retry_after)
    if answer.status >= 400:
        return Trouble(api_error(answer, None, request_id, now), retry_after)
    return Trouble(
        ProtocolError(
            "the answer is not the JSON that the service documents",
            status=answer.status,
            excerpt=answer.excerpt(answer.body),
            request_id=request_id,
        ),
        retry_after,
    )


def _foreign_404(answer: Answer, request_id: str) -> ProtocolError:
    """Read a 404 without the service's own code: a gateway's, or no Model API at all."""
    return ProtocolError(
        "a 404 without the service's error code, so it may not come from the Model API: check "
        "the base URL",
        status=404,
        excerpt=answer.excerpt(answer.body),
        request_id=request_id,
    )


def _status(answer: Answer, body: Body) -> Status | None:
    """Return the state of a job that is not over; an unknown word is kept (section 3)."""
    state = (body.status or "").strip().lower()
    if not state:
        return None
    if state in _QUEUED:
        position = body.queue_position
        return _in_queue(position if position is not None and position >= 0 else None)
    if state in _RUNNING:
        return _IN_PROGRESS
    return InProgress(reported=answer.excerpt(body.status))


def _ended(answer: Answer, body: Body, state: str, request_id: str) -> Ended:
    output = body.output or Output()
    video_url = next(output.video_urls(), None)
    error: ErrorInfo | None = None
    if state in _CANCELLED:
        verdict, video_url = "cancelled", None
    elif state == "failed":
        verdict, video_url, error = "failed", None, _failure(answer, body)
    elif video_url is None:
        verdict, error = "failed", _no_video(answer, body, request_id)
    else:
        verdict = "succeeded"
    return Ended(
        state=verdict,
        output=output,
        video_url=video_url,
        error=error,
        cost_usd=body.cost,
        model_id=body.model_id,
        created_at=body.created_at,
        finished_at=body.finished_at,
    )


def _failure(answer: Answer, body: Body) -> ErrorInfo:
    """Make a failure's cause out of `error`, which may be any JSON (section 3)."""
    given = body.error if body.error is not None else body.detail
    inner: Mapping[str, Any] = given if isinstance(given, dict) else {}
    message = body.error_message or inner.get("error_message") or inner.get("message")
    if not isinstance(message, str):
        message = given if isinstance(given, str) else body.message
    code = body.error_code or as_integer(inner.get("error_code", inner.get("code")), int)
    return ErrorInfo(
        kind="GenerationFailed",
        message=answer.excerpt(message or given or "the service gave no reason"),
        code=code,
        status=answer.status,
        detail=answer.excerpt(given) if given is not None else None,
    )


def _no_video(answer: Answer, body: Body, request_id: str) -> ErrorInfo:
    """Keep what the service gave instead: it was paid for, and a person may make use of it."""
    return ErrorInfo(
        kind="NoVideo",
        message=f"job {request_id} completed, but its output names no video URL",
        status=answer.status,
        detail=answer.excerpt(body.given_output) if body.given_output is not None else None,
    )


def read_status(answer: Answer, request_id: str, *, now: float) -> Reading | None:
    """Read the answer to a GET of a job's status; None says: over, ask the result (section 2)."""
    body = read_body(answer)
    if body is None:
        return _unreadable(answer, request_id, now)
    if read_error_code(body, answer.status) is not None or not 200 <= answer.status < 300:
        return _poll_error(answer, body, request_id, now)
    state = (body.status or "").strip().lower()
    if state in _SUCCEEDED or state in _CANCELLED or state == "failed":
        return None
    return Seen(_status(answer, body))


def read_cancel(answer: Answer) -> CancelResult:
    """Read the answer to a cancel; the truth is what the result says afterwards (section 4)."""
    body = read_body(answer)
    if body is None or not 200 <= answer.status < 300 or read_error_code(body, answer.status):
        return CancelResult.UNKNOWN
    outcome = (body.outcome or "").strip().lower()
    if outcome in _CANCELLED:
        return CancelResult.CANCELLED
    if outcome in {"not_cancellable", "not_cancelable"}:
        return CancelResult.NOT_CANCELLABLE
    return CancelResult.UNKNOWN
