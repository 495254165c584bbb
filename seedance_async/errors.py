"""All errors of the package.

SeedanceError
|- InvalidRequestError        before any network; all violations at once
|- CredentialsError           before any network; no usable token or base URL
|- ApiError                   the service said no
|  |- AuthenticationError     401, 401xxx, 400004: the token or the account
|  |- InsufficientBalanceError  400002, 402, 402xxx
|  |- PermissionDeniedError   403, 403xxx
|  |- NotFoundError           404001, 400001
|  |- RateLimitedError        429
|  |- RejectedError           any other refusal: the request itself
|  `- ServerError             5xx
|- TransportError             no answer; `sent` tells whether the request may have arrived
|- ProtocolError              an answer that cannot be read
|- JobError                   how a job ended, raised
|  |- JobFailedError
|  |- JobCancelledError       by the server; never an asyncio.CancelledError
|  |- JobTimeoutError         detached, not over
|  `- JobLostError
|- SubmissionInDoubtError     nobody knows whether it was accepted
|- SubmittingStoppedError     the gate or the brake is shut
|- BudgetExceededError
|- DownloadError              the video exists, the file does not; never a failed generation
|- LedgerError                what must be written down could not be
`- SessionClosedError         used before open() or after aclose()
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from seedance_async.jobs import ErrorInfo

__all__ = [
    "ApiError",
    "AuthenticationError",
    "BudgetExceededError",
    "CredentialsError",
    "DownloadError",
    "IdTakenError",
    "InsufficientBalanceError",
    "InvalidRequestError",
    "JobCancelledError",
    "JobError",
    "JobFailedError",
    "JobLostError",
    "JobTimeoutError",
    "LedgerClosedError",
    "LedgerError",
    "NotFoundError",
    "PermissionDeniedError",
    "ProtocolError",
    "RateLimitedError",
    "RejectedError",
    "SeedanceError",
    "ServerError",
    "SessionClosedError",
    "StorageError",
    "SubmissionInDoubtError",
    "SubmittingStoppedError",
    "TransportError",
    "Violation",
]


class SeedanceError(Exception):
    """The root: whatever this package raises on purpose is one of these."""

    code: int | None = None
    status: int | None = None
    detail: str | None = None

    def info(self) -> ErrorInfo:
        """Return the error as a value for an outcome, a ledger or a report."""
        return ErrorInfo(
            kind=type(self).__name__,
            message=str(self),
            code=self.code,
            status=self.status,
            detail=self.detail,
        )


@attrs.frozen
class Violation:
    """One rule that one field breaks.

    Attributes:
        field: The field's name as the model knows it.
        value: What was given.
        rule: The rule and the way out, as a clause that follows the field's name.
    """

    field: str
    value: Any
    rule: str

    def __str__(self) -> str:
        shown = repr(self.value)
        if len(shown) > 80:
            shown = f"{shown[:77]}..."
        return f"{self.field} {self.rule} (given: {shown})"


class InvalidRequestError(SeedanceError, ValueError):
    """A request breaks its model's schema; nothing was sent.

    Attributes:
        violations: All of them, in the schema's order.
        model_id: The model whose rules they are.
    """

    def __init__(self, violations: Sequence[Violation], *, model_id: str) -> None:
        self.violations = tuple(violations)
        self.model_id = model_id
        rules = "; ".join(str(violation) for violation in self.violations)
        super().__init__(f"invalid request for {model_id}: {rules}. Nothing was sent.")


class CredentialsError(SeedanceError, ValueError):
    """There is no usable token, or no base URL that it may be sent to; nothing was sent."""


class ApiError(SeedanceError):
    """The service answered, and the answer is an error.

    Attributes:
        status: The HTTP status.
        code: `error_code`, if the body had one.
        detail: What the service says beyond its message, as text of at most 300 characters.
        request_id: The job that it is about, if any.
    """

    advice = "Read the service's message above"
    job_advice: str | None = None

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: int | None = None,
        detail: str | None = None,
        request_id: str | None = None,
    ) -> None:
        self.status: int = status
        self.code = code
        self.detail = detail
        self.request_id = request_id
        self.message = message
        where = f"HTTP {status}" if code is None else f"HTTP {status}, error_code {code}"
        job = f" for job {request_id}" if request_id else ""
        more = f" ({detail})" if detail and detail not in message else ""
        advice = self.job_advice if request_id and self.job_advice else self.advice
        super().__init__(f"{message}{more} [{where}]{job}. {advice}.")


class AuthenticationError(ApiError):
    """The token is missing, wrong, expired or revoked, or the account is inactive."""

    advice = (
        "Check the token (`seedance-async doctor` shows which one is used) and the account; "
        "jobs that run are not affected"
    )


class InsufficientBalanceError(ApiError):
    """The account's balance does not cover the request."""

    advice = "Top up the account, then submit again; jobs that run are not affected"


class PermissionDeniedError(ApiError):
    """The request belongs to somebody else, or the account may not do this."""

    advice = "Use the token of the account that submitted the job"


class NotFoundError(ApiError):
    """An unknown model, or an unknown, deleted or expired request id."""

    advice = "Check the model's id: ids change (`seedance-async models` lists the known ones)"
    job_advice = (
        "Check the id; if it is right, the service has forgotten the job, and its video may still "
        "be among your generations on RunComfy's site"
    )


class RateLimitedError(ApiError):
    """Too many requests; nothing was accepted, so sending again later is safe.

    Attributes:
        retry_after: Seconds that the service asks to wait, if it said.
    """

    advice = "Wait, then submit again; nothing was accepted"

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: int | None = None,
        detail: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.retry_after = retry_after
        super().__init__(message, status=status, code=code, detail=detail, request_id=request_id)


class RejectedError(ApiError):
    """The service refused this request; the same request will be refused again."""

    advice = "Mend the request; nothing was accepted"


class ServerError(ApiError):
    """The service or its gateway failed."""

    advice = "This is usually passing: a read may be tried again, a submission must not be"


class TransportError(SeedanceError):
    """No answer came.

    Attributes:
        sent: False if surely nothing of the request's body left this machine; True if the
            service may have received it.
    """

    def __init__(self, message: str, *, sent: bool) -> None:
        self.sent = sent
        super().__init__(message)


class ProtocolError(SeedanceError):
    """An answer that does not say what the service documents.

    Attributes:
        status: The HTTP status.
        excerpt: The first 300 characters of the body.
        request_id: The job that it is about, if any.
    """

    def __init__(
        self, message: str, *, status: int, excerpt: str = "", request_id: str | None = None
    ) -> None:
        self.status: int = status
        self.excerpt = excerpt
        self.detail = excerpt or None
        self.request_id = request_id
        job = f" for job {request_id}" if request_id else ""
        body = f": {excerpt!r}" if excerpt else ""
        super().__init__(f"{message} [HTTP {status}]{job}{body}")


class JobError(SeedanceError):
    """How a job ended, for those who await it.

    Attributes:
        request_id: The job's id; None if there is no job.
        model_id: Its model, if known.
        error: The service's side of it, if it said anything.
    """

    def __init__(
        self,
        message: str,
        *,
        request_id: str | None,
        model_id: str | None,
        error: ErrorInfo | None = None,
    ) -> None:
        self.request_id = request_id
        self.model_id = model_id
        self.error = error
        if error is not None:
            self.code, self.status, self.detail = error.code, error.status, error.detail
        super().__init__(message)


class JobFailedError(JobError):
    """The job ended without a video."""


class JobCancelledError(JobError):
    """The server said that the job was cancelled."""


class JobTimeoutError(JobError):
    """Tracking stopped before the job was over; it runs on and may be billed."""


class JobLostError(JobError):
    """The job was accepted, but the service no longer knows its id."""


class SubmissionInDoubtError(SeedanceError):
    """Nobody knows whether a submission was accepted; it was not and will not be sent again.

    Attributes:
        model_id: The model.
        request_id: Always None.
        error: What was seen.
        candidate_id: An id that stood beside an error, if any.
    """

    request_id = None

    def __init__(self, error: ErrorInfo, *, model_id: str, candidate_id: str | None = None) -> None:
        self.error = error
        self.model_id = model_id
        self.candidate_id = candidate_id
        self.code, self.status, self.detail = error.code, error.status, error.detail
        candidate = f" The answer named the id {candidate_id}." if candidate_id else ""
        super().__init__(
            f"submission to {model_id} is in doubt: {error.sentence} It may have been accepted "
            f"and billed, so it is not sent again.{candidate} Look for it among your generations "
            f"on RunComfy's site: if it is there, attach its request id; if not, submit again."
        )


class SubmittingStoppedError(SeedanceError):
    """The session submits no more: the account's trouble, or a brake.

    Attributes:
        cause: What stopped it.
    """

    def __init__(self, message: str, *, cause: ErrorInfo) -> None:
        self.cause = cause
        self.code, self.status, self.detail = cause.code, cause.status, cause.detail
        super().__init__(message)


class BudgetExceededError(SeedanceError):
    """The request's estimate does not fit into what is left of the budget; nothing was sent."""


class DownloadError(SeedanceError):
    """A video could not be fetched or stored; it was paid for, and its URL still stands.

    Attributes:
        url: Where the video is.
        retryable: Whether trying again later may help.
        status: The last HTTP status, if there was one.
    """

    def __init__(
        self, message: str, *, url: str, retryable: bool, status: int | None = None
    ) -> None:
        self.url = url
        self.retryable = retryable
        self.status = status
        super().__init__(message)


class StorageError(DownloadError):
    """A video could not be stored: no space, no rights, a broken disk."""


class LedgerError(SeedanceError):
    """What must be written down before or after a submission could not be written."""


class LedgerClosedError(LedgerError):
    """It is closed: nothing can be written to it any more."""


class IdTakenError(LedgerError):
    """The id of an accepted job is another row's already."""


class SessionClosedError(SeedanceError):
    """The session is not open: not yet, or no longer."""
