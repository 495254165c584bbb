"""What a session tells while it works: frozen values for `on_event`, progress and reports.

Times are wall-clock seconds since the epoch, as the session's injected clock gave them.
"""

from __future__ import annotations

from typing import TypeAlias

import attrs

from seedance_async.jobs import ErrorInfo, Outcome, Status

__all__ = [
    "CancelAttempted",
    "Downloaded",
    "Event",
    "GateChanged",
    "JobAttached",
    "JobFinished",
    "JobSubmitted",
    "LimitChanged",
    "RateLimited",
    "RetryScheduled",
    "StatusChanged",
    "SubmissionInDoubt",
    "SubmissionRefused",
]


@attrs.frozen(kw_only=True)
class JobSubmitted:
    """The service accepted a submission."""

    at: float
    request_id: str
    model_id: str
    tag: str | None = None


@attrs.frozen(kw_only=True)
class JobAttached:
    """An id from elsewhere is being tracked."""

    at: float
    request_id: str


@attrs.frozen(kw_only=True)
class SubmissionRefused:
    """The service refused a submission; there is no job."""

    at: float
    model_id: str
    error: ErrorInfo
    tag: str | None = None


@attrs.frozen(kw_only=True)
class SubmissionInDoubt:
    """Nobody knows whether a submission was accepted."""

    at: float
    model_id: str
    error: ErrorInfo
    tag: str | None = None


@attrs.frozen(kw_only=True)
class StatusChanged:
    """A poll saw a job in another state than before."""

    at: float
    request_id: str
    status: Status


@attrs.frozen(kw_only=True)
class RetryScheduled:
    """A request will be sent again.

    Attributes:
        request_id: The job that is polled; None for a submission of which nothing was sent.
        delay: Seconds until then.
        why: What was seen.
    """

    at: float
    request_id: str | None
    delay: float
    why: str


@attrs.frozen(kw_only=True)
class RateLimited:
    """A submission met a 429; the whole session submits nothing for `delay` seconds."""

    at: float
    delay: float
    retry_after: float | None


@attrs.frozen(kw_only=True)
class LimitChanged:
    """The working limit of generations in flight moved."""

    at: float
    limit: int
    reason: str


@attrs.frozen(kw_only=True)
class GateChanged:
    """Submitting stopped or may go on."""

    at: float
    open: bool
    reason: str


@attrs.frozen(kw_only=True)
class CancelAttempted:
    """A cancel was tried; `result` is a `CancelResult` value."""

    at: float
    request_id: str
    result: str


@attrs.frozen(kw_only=True)
class JobFinished:
    """A job is over, or no longer tracked."""

    at: float
    outcome: Outcome
    tag: str | None = None


@attrs.frozen(kw_only=True)
class Downloaded:
    """A video is on disk, whole.

    Attributes:
        path: Where.
        size: Bytes.
        sha256: Hex digest.
    """

    at: float
    request_id: str
    path: str
    size: int
    sha256: str


Event: TypeAlias = (
    JobSubmitted
    | JobAttached
    | SubmissionRefused
    | SubmissionInDoubt
    | StatusChanged
    | RetryScheduled
    | RateLimited
    | LimitChanged
    | GateChanged
    | CancelAttempted
    | JobFinished
    | Downloaded
)
