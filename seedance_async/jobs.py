"""The nouns: what a job can be seen doing, how it can end, and what it leaves behind.

Everything here is a frozen value without behaviour that needs a network, a clock or a disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from enum import Enum
from typing import Any, TypeAlias

import attrs

__all__ = [
    "CancelResult",
    "Cancelled",
    "ErrorInfo",
    "Failed",
    "InDoubt",
    "InProgress",
    "InQueue",
    "Lost",
    "Outcome",
    "Output",
    "State",
    "Status",
    "Succeeded",
    "TimedOut",
    "Timings",
]


@attrs.frozen
class Output:
    """The URLs of a finished job, as the service gave them (wire.md, section 3).

    Attributes:
        video: One video URL.
        videos: Several video URLs.
        image: One image URL.
        images: Several image URLs.
    """

    video: str | None = None
    videos: tuple[str, ...] = ()
    image: str | None = None
    images: tuple[str, ...] = ()

    def video_urls(self) -> Iterator[str]:
        """Yield each distinct video URL, `video` first."""
        yield from dict.fromkeys([self.video, *self.videos] if self.video else self.videos)


@attrs.frozen
class Timings:
    """When a job passed its stations.

    Ours are wall-clock seconds since the epoch; the server's are datetimes, None where it sent
    none or in a format nobody has documented.

    Attributes:
        submitted_at: Just before the POST; None for an attached job.
        accepted_at: When the request id was read; for an attached job what the caller knew.
        in_progress_at: When a poll first saw the job in progress.
        known_at: When we knew how it ended.
        created_at: The server's.
        finished_at: The server's.
        polls: How many polls were made, as far as who followed the job counted them.
    """

    submitted_at: float | None = None
    accepted_at: float | None = None
    in_progress_at: float | None = None
    known_at: float | None = None
    created_at: datetime | None = None
    finished_at: datetime | None = None
    polls: int | None = None

    @property
    def lateness(self) -> float | None:
        """Seconds from the server's completion to our knowing, as far as both clocks agree."""
        if self.known_at is None or self.finished_at is None:
            return None
        return self.known_at - self.finished_at.timestamp()


@attrs.frozen
class ErrorInfo:
    """What went wrong, as a value that can be stored and compared.

    Attributes:
        kind: The name of the error class, such as `RejectedError`, or the service's own word.
        message: A sentence for a person.
        code: The service's `error_code`, if it gave one.
        status: The HTTP status, if there was an answer.
        detail: The service's own `detail` or `error`, shortened, as text.
    """

    kind: str
    message: str
    code: int | None = None
    status: int | None = None
    detail: str | None = None

    def __str__(self) -> str:
        return self.message

    @property
    def sentence(self) -> str:
        """The message with a full stop, so that another sentence can follow."""
        return self.message if self.message.endswith((".", "!", "?")) else f"{self.message}."


@attrs.frozen
class InQueue:
    """Accepted, and waiting for its turn.

    Attributes:
        position: Places before it, 0 or more; None where nobody asked or the service did not say.
    """

    position: int | None = None


@attrs.frozen
class InProgress:
    """Being generated, or in a state that this version does not know.

    Attributes:
        reported: The service's word where it is none of the known ones; such a state is neither
            success nor failure.
    """

    reported: str | None = None


@attrs.frozen(kw_only=True)
class Succeeded:
    """The video is there.

    Attributes:
        request_id: The job's id.
        video_url: Where the video is, exactly as the service gave it.
        output: All URLs of the answer.
        cost_usd: What the service says it cost, in USD; None where it did not say.
        model_id: None for an attached job whose model the service did not name.
        timings: When it passed its stations.
    """

    request_id: str
    video_url: str
    output: Output
    cost_usd: float | None = None
    model_id: str | None = None
    timings: Timings = attrs.field(factory=Timings, eq=False)


@attrs.frozen(kw_only=True)
class Failed:
    """The service refused the request, or the job ended without a video.

    Attributes:
        error: Why.
        request_id: None where the service refused the request: then there is no job.
        cost_usd: What the service says it cost, in USD; None where it did not say.
        model_id: The model, if known.
        timings: When it passed its stations.
    """

    error: ErrorInfo
    request_id: str | None = None
    cost_usd: float | None = None
    model_id: str | None = None
    timings: Timings = attrs.field(factory=Timings, eq=False)


@attrs.frozen(kw_only=True)
class Cancelled:
    """The server said that the job was cancelled. Whether it is billed is not documented."""

    request_id: str
    cost_usd: float | None = None
    model_id: str | None = None
    timings: Timings = attrs.field(factory=Timings, eq=False)


@attrs.frozen(kw_only=True)
class TimedOut:
    """Detached, not over: the job runs on and can be attached again by its id.

    Attributes:
        request_id: The job's id.
        reason: Why tracking stopped: its deadline, or the session's end.
        last_seen: The last state that a poll saw, if any.
        model_id: The model, if known.
        timings: When it passed its stations.
    """

    request_id: str
    reason: str
    last_seen: Status | None = None
    model_id: str | None = None
    timings: Timings = attrs.field(factory=Timings, eq=False)


@attrs.frozen(kw_only=True)
class Lost:
    """Accepted, but the service no longer tells (wire.md, section 5: 404001)."""

    request_id: str
    error: ErrorInfo
    model_id: str | None = None
    timings: Timings = attrs.field(factory=Timings, eq=False)


@attrs.frozen(kw_only=True)
class InDoubt:
    """Nobody knows whether the submission was accepted; it may exist and be billed.

    Attributes:
        error: What was seen.
        model_id: The model.
        candidate_id: An id that stood beside an error; perhaps the job's, perhaps a trace id.
        timings: When it passed its stations.
    """

    error: ErrorInfo
    model_id: str | None = None
    candidate_id: str | None = None
    timings: Timings = attrs.field(factory=Timings, eq=False)

    @property
    def request_id(self) -> None:
        """Always None: that it is not known is what makes the doubt."""
        return


Status: TypeAlias = InQueue | InProgress
Outcome: TypeAlias = Succeeded | Failed | Cancelled | TimedOut | Lost | InDoubt
State: TypeAlias = InQueue | InProgress | Succeeded | Failed | Cancelled | TimedOut | Lost | InDoubt


class CancelResult(Enum):
    """What came of an attempt to cancel a job."""

    CANCELLED = "cancelled"
    """The server said that it is cancelled."""
    NOT_CANCELLABLE = "not_cancellable"
    """It is in progress or over; it runs on and may be billed."""
    UNKNOWN = "unknown"
    """No clear answer in time; what the result says is the truth."""


def jsonable(value: Any) -> Any:
    """Return `value` with its nouns as plain JSON values (dicts, lists, strings, numbers)."""
    if attrs.has(type(value)):
        return attrs.asdict(value, recurse=True, value_serializer=_plain)
    return value


def _plain(_owner: type, _field: attrs.Attribute[Any] | None, value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
