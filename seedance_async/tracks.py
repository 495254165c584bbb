"""What is known of one job that is being followed."""

from __future__ import annotations

import asyncio
from typing import Final

import attrs

from seedance_async.budget import Reservation
from seedance_async.handle import Job
from seedance_async.jobs import Outcome, TimedOut, Timings
from seedance_async.journal import Journal
from seedance_async.models import Shape
from seedance_async.pool import Slot
from seedance_async.progress import Progress
from seedance_async.wire import Ended

__all__ = ["Acceptance", "Track"]

_CLOCKS: Final = 2.0
"""Seconds between the server's beginning of a job and ours that are put down to the POST."""


@attrs.define(kw_only=True)
class Acceptance:
    """What is known of a job when its tracking begins.

    Attributes:
        request_id: Its id.
        tag: Its name in the journal.
        journal: Where its end is written down.
        slot: Its room in the pool.
        model_id: None for an attached job.
        shape: What the poll schedule learns by; None for an attached job.
        reservation: Its money; None for an attached job.
        submitted_at: Wall-clock seconds; None for an attached job.
        accepted_at: Wall-clock seconds; None for an attached job whose age is not known.
        age: Seconds since acceptance when tracking begins.
        ours: Whether this session submitted it; attached jobs are never cancelled unasked.
    """

    request_id: str
    tag: str
    journal: Journal
    slot: Slot
    model_id: str | None = None
    shape: Shape | None = None
    reservation: Reservation | None = None
    submitted_at: float | None = None
    accepted_at: float | None = None
    age: float = 0.0
    ours: bool = True


@attrs.define(eq=False)
class Track:
    """The tracking task's own notes on one job.

    Attributes:
        since: When it was accepted, in loop time.
        deadline: When it is given up, in loop time.
        troubles: Polls in a row that brought no news.
        backoff: Seconds to wait after the last of them.
        verdict: The outcome, while it is being written down.
        detached: It is followed no longer; its task may end in any way.
        task: The one that polls it; None: none does yet.
        seen: The age at which it was last known to run; None: it was attached and not seen yet.
    """

    job: Job
    progress: Progress
    facts: Acceptance
    since: float
    deadline: float
    troubles: int = 0
    backoff: float = 0.0
    in_progress_at: float | None = None
    verdict: Outcome | None = None
    detached: bool = False
    seen: float | None = None
    task: asyncio.Task[None] | None = None

    def age(self, now: float) -> float | None:
        """Return the seconds since acceptance at a loop time; None if that moment is not known."""
        return None if self.facts.accepted_at is None else now - self.since

    def duration(self, now: float, timings: Timings | None) -> tuple[float, float] | None:
        """Return the age at which it was last seen running, and the one at which it ended.

        The server's own times count if they fit between the last poll and this one, else the
        middle between the two. None: nothing is known, as of a job that was over when attached.
        """
        told, age = _told_duration(timings), self.age(now)
        if age is None or self.seen is None:
            sound = told is not None and (age is None or told <= age + _CLOCKS)
            return None if told is None or not sound else (0.0, told)
        if told is not None and self.seen - _CLOCKS <= told <= age + _CLOCKS:
            return self.seen, min(max(told, self.seen), age)
        return self.seen, 0.5 * (self.seen + age)

    def timings(self, known_at: float, ended: Ended | None = None) -> Timings:
        """Return when the job passed its stations; `known_at` is wall-clock time."""
        return Timings(
            submitted_at=self.facts.submitted_at,
            accepted_at=self.facts.accepted_at,
            in_progress_at=self.in_progress_at,
            known_at=known_at,
            created_at=ended.created_at if ended else None,
            finished_at=ended.finished_at if ended else None,
            polls=self.progress.polls,
        )

    def timed_out(self, known_at: float, reason: str) -> TimedOut:
        """Return the outcome of a job that is followed no longer, though it is not over."""
        status = self.job.status
        return TimedOut(
            request_id=self.job.request_id,
            reason=reason,
            last_seen=None if isinstance(status, Outcome) else status,
            model_id=self.facts.model_id,
            timings=self.timings(known_at),
        )


def _told_duration(timings: Timings | None) -> float | None:
    """Return the seconds that the server says a job took; None if it does not, or nonsense."""
    if timings is None or timings.created_at is None or timings.finished_at is None:
        return None
    seconds = timings.finished_at.timestamp() - timings.created_at.timestamp()
    return seconds if seconds > 0 else None
