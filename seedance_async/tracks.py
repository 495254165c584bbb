"""What is known of one job that is being followed."""

from __future__ import annotations

import asyncio

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
    task: asyncio.Task[None] | None = None

    def timings(self, known_at: float, ended: Ended | None = None) -> Timings:
        """Return when the job passed its stations; `known_at` is wall-clock time."""
        return Timings(
            submitted_at=self.facts.submitted_at,
            accepted_at=self.facts.accepted_at,
            in_progress_at=self.in_progress_at,
            known_at=known_at,
            created_at=ended.created_at if ended else None,
            finished_at=ended.finished_at if ended else None,
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
