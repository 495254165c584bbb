"""Tracking: one polling task a job, from acceptance or attachment to an outcome."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from weakref import WeakValueDictionary

import attrs

from seedance_async.cancelling import cancel
from seedance_async.errors import LedgerError, ProtocolError, SeedanceError
from seedance_async.events import (
    JobAttached,
    JobFinished,
    RetryScheduled,
    StatusChanged,
)
from seedance_async.handle import Job
from seedance_async.jobs import (
    Cancelled,
    CancelResult,
    Failed,
    InProgress,
    InQueue,
    Lost,
    Outcome,
    State,
    Status,
    Succeeded,
)
from seedance_async.journal import Journal
from seedance_async.polls import Polls
from seedance_async.progress import Progress
from seedance_async.state import SessionState
from seedance_async.supervisor import see_through
from seedance_async.tracks import Acceptance, Track
from seedance_async.turnstile import Turn
from seedance_async.verdicts import is_final, outcome_of
from seedance_async.wire import Denied, Ended, Gone, Reading, Seen, Trouble

__all__ = ["Tracker"]

logger = logging.getLogger("seedance_async")

_MAX_UNREAD = 10_000
"""Handles kept for the sake of those who never read them, so that their URLs can be logged."""


class Tracker:
    """Follows all jobs of a session.

    Attributes:
        polls: Asks for them.
    """

    def __init__(self, state: SessionState) -> None:
        self.polls = Polls(state)
        self._state = state
        self._tracks: dict[str, Track] = {}
        self._jobs: WeakValueDictionary[str, Job] = WeakValueDictionary()
        self._unread: dict[Job, None] = {}
        self._let_go: dict[str, Acceptance] = {}
        self._unknown_states: set[str] = set()

    @property
    def tracked(self) -> list[Job]:
        """The jobs that are being followed now."""
        return [track.job for track in self._tracks.values()]

    @property
    def ours(self) -> list[Job]:
        """Those of them that this session submitted."""
        return [track.job for track in self._tracks.values() if track.facts.ours]

    @property
    def unread(self) -> list[Job]:
        """Jobs whose outcome nobody has taken."""
        return list(self._unread)

    def read(self, job: Job) -> None:
        """Take note that somebody has the job's outcome."""
        self._unread.pop(job, None)

    def known(self, request_id: str) -> Job | None:
        """Return the handle of a job that is tracked, or over with a final outcome."""
        job = self._jobs.get(request_id)
        if job is None or request_id in self._tracks:
            return job
        return job if is_final(job.outcome) else None

    def attach(
        self,
        request_id: str,
        *,
        tag: str | None,
        accepted_at: float | None,
        journal: Journal | None = None,
    ) -> Job:
        """Follow a job from elsewhere; the same id twice is the same handle."""
        known = self.known(request_id)
        if known is not None:
            track = self._tracks.get(request_id)
            if track is not None and journal is not None:
                track.facts.journal, track.facts.tag = journal, tag or request_id
            return known
        slot = self._state.pool.attach()
        facts = self._let_go.pop(request_id, None) or Acceptance(
            request_id=request_id,
            tag=request_id,
            journal=self._state.settings.journal,
            slot=slot,
            ours=False,
        )
        accepted_at = facts.accepted_at if accepted_at is None else accepted_at
        age = 0.0 if accepted_at is None else max(0.0, self._state.wall() - accepted_at)
        # Not ours any more: its state is unknown until a poll, and no abort cancels it.
        track = self.follow(
            attrs.evolve(
                facts,
                tag=tag or facts.tag,
                journal=journal or facts.journal,
                slot=slot,
                accepted_at=accepted_at,
                age=age,
                ours=False,
            )
        )
        track.task = self._state.supervisor.start(
            self.run(track), name=_task_name(request_id), cut_off=partial(self._cut_off, track)
        )
        self._state.emit(JobAttached(at=self._state.wall(), request_id=request_id))
        return track.job

    def follow(self, facts: Acceptance) -> Track:
        """Take on an accepted job, for `run` to poll; an id that is followed keeps its track."""
        followed = self._tracks.get(facts.request_id)
        if followed is not None:
            return self._join(followed, facts)
        now = self._state.now()
        progress = Progress()
        job = Job(facts.request_id, self, progress, model_id=facts.model_id, tag=facts.tag)
        track = Track(job, progress, facts, now - facts.age, now + self._state.settings.job_timeout)
        if facts.ours:
            track.seen = facts.age
            progress.observe(InQueue())
        self._state.untracked_ids.discard(facts.request_id)
        self._tracks[facts.request_id] = track
        self._jobs[facts.request_id] = job
        self._unread[job] = None
        return track

    def _join(self, track: Track, facts: Acceptance) -> Track:
        """Let one handle serve an id that came twice."""
        facts.slot.release()
        if track.facts.reservation is not None and facts.reservation is not None:
            logger.critical(
                "the service gave two submissions one id, %s: (%s) and (%s); one may be lost",
                facts.request_id,
                track.facts.tag,
                facts.tag,
            )
        elif facts.ours:  # it was attached while its acceptance was being written down
            track.facts = attrs.evolve(facts, slot=track.facts.slot)
            track.job.model_id, track.job.tag = facts.model_id, facts.tag
        return track

    async def look(self, request_id: str) -> State:
        """Ask for a job's state once; see `Session.fetch`."""
        job = self.known(request_id)
        reading = await self.polls.fetch(request_id)
        model_id = None if job is None else job.model_id
        match reading:
            case Seen(status=status):
                known = None if job is None else job.status
                return status or known or InProgress()
            case Ended():
                return outcome_of(reading, request_id, model_id)
            case Gone(error=error):
                if job is not None and not job.done() and job.status is not None:
                    return job.status  # accepted a moment ago
                return Lost(request_id=request_id, error=error.info(), model_id=model_id)
            case Denied(error=denied):
                raise denied
            case Trouble(error=trouble):
                raise trouble

    async def cancel(self, job: Job) -> CancelResult:
        """Try to cancel a job once, then let one poll confirm."""
        return await cancel(self._state, job, self._tracks.get(job.request_id), self.polls)

    async def detach(self, job: Job, reason: str) -> None:
        """Stop following a job that runs on; one whose outcome is being written down ends so."""
        track = self._tracks.get(job.request_id)
        if track is None or track.verdict is not None:
            return
        track.detached = True
        if track.task is not None:
            track.task.cancel()
        outcome = track.timed_out(self._state.wall(), reason)
        ending = self._state.supervisor.start(
            self._end(track, outcome),
            name=f"seedance_async detaching {job.request_id}",
            cut_off=lambda _ending: self._break_off(track, asyncio.CancelledError()),
        )
        await see_through(ending)  # cut off, it would leave a slot and those who wait for ever

    # --- the polling task ------------------------------------------------------------------

    async def run(self, track: Track) -> None:
        """Poll a job until it is over, in the running task; no other one may poll it."""
        if track.task is None and (task := asyncio.current_task()) is not None:
            track.task = task
            task.set_name(_task_name(track.job.request_id))
        try:
            await self._poll_until_over(track)
        except BaseException as error:
            if not track.detached:
                self._break_off(track, error)
            raise

    def _cut_off(self, track: Track, _task: asyncio.Task[None]) -> None:
        """Let nobody wait for a job whose task others cancelled, perhaps before its first step."""
        if not track.detached:
            self._break_off(track, asyncio.CancelledError())

    def _break_off(self, track: Track, error: BaseException) -> None:
        """Let nobody wait for a job whose polling ended otherwise; the job itself runs on."""
        if track.progress.over:
            return
        outcome = track.verdict
        if outcome is None and isinstance(error, asyncio.CancelledError):
            outcome = track.timed_out(self._state.wall(), "its polling task was cancelled")
        if outcome is None:
            track.progress.fail(
                ProtocolError(
                    f"tracking broke: {error!r}; attach({track.job.request_id!r}) comes back to it",
                    status=0,
                    request_id=track.job.request_id,
                )
            )
        else:
            track.progress.end(outcome)
        self._close(track, outcome)

    async def _poll_until_over(self, track: Track) -> None:
        progress, state = track.progress, self._state
        while not progress.over:
            due = min(state.now() + self._next_delay(track), track.deadline)
            await progress.pause(due - state.now())
            await state.turnstile.wait(Turn.POLL, due)
            last = state.now() >= track.deadline
            progress.poll_started()
            await self._take(track, await self.polls.poll(track))  # kept by no name while it sleeps
            if last and not progress.over:
                await self._end(track, track.timed_out(self._state.wall(), self._deadline_reason()))
            progress.poll_answered()

    def _next_delay(self, track: Track) -> float:
        if track.troubles:
            return track.backoff
        schedule, shape, polls = self._state.schedule, track.facts.shape, track.progress.polls
        age = track.age(self._state.now())
        if age is not None and polls > 0:
            if track.seen is not None:
                schedule.running(shape, track.seen, age)
            track.seen = age
        seen = None if track.seen is None else age
        return schedule.next_delay(shape, seen, polls)

    async def _take(self, track: Track, reading: Reading) -> None:
        """Turn what a poll read into a change of the job."""
        match reading:
            case Seen(status=status):
                track.troubles = 0
                if status is not None:
                    self._observe(track, status)
            case Ended():
                outcome = outcome_of(
                    reading,
                    track.job.request_id,
                    track.facts.model_id,
                    track.timings(self._state.wall(), reading),
                )
                await self._end(track, outcome)
            case Denied(error=error):
                self._deny(track, error)
            case Gone(error=error):
                if self._state.now() - track.since < self._state.settings.lost_grace:
                    self._trouble(track, error, None)
                else:
                    lost = Lost(
                        request_id=track.job.request_id,
                        error=error.info(),
                        model_id=track.facts.model_id,
                        timings=track.timings(self._state.wall()),
                    )
                    await self._end(track, lost)
            case Trouble(error=error, retry_after=retry_after):
                self._trouble(track, error, retry_after)

    def _observe(self, track: Track, status: Status) -> None:
        if isinstance(status, InQueue):
            before = track.job.status
            if status.position is None and isinstance(before, InQueue):
                return  # a result says nothing of positions: keep what a status said
        else:
            track.in_progress_at = track.in_progress_at or self._state.wall()
            if status.reported is not None and status.reported not in self._unknown_states:
                self._unknown_states.add(status.reported)
                logger.warning(
                    "job %s: unknown state %r; it is polled on to its deadline",
                    track.job.request_id,
                    status.reported,
                )
        if track.progress.observe(status):
            self._state.emit(
                StatusChanged(at=self._state.wall(), request_id=track.job.request_id, status=status)
            )

    def _trouble(self, track: Track, error: SeedanceError, retry_after: float | None) -> None:
        track.backoff = self._state.settings.retry.poll_backoff(track.troubles, retry_after)
        track.troubles += 1
        self._state.retries += 1
        self._state.emit(
            RetryScheduled(
                at=self._state.wall(),
                request_id=track.job.request_id,
                delay=track.backoff,
                why=str(error),
            )
        )

    def _deny(self, track: Track, error: SeedanceError) -> None:
        logger.warning("job %s is no longer tracked: %s", track.job.request_id, error)
        track.progress.fail(error)
        self._close(track, None)

    async def _end(self, track: Track, outcome: Outcome) -> None:
        """Write the outcome down, then tell those who wait; the first outcome counts."""
        if track.verdict is not None:
            return
        track.verdict = outcome
        if isinstance(outcome, Succeeded):
            self._teach(track, outcome)
        try:
            await self._state.tell(
                track.facts.journal, track.facts.journal.finished(track.facts.tag, outcome)
            )
        except LedgerError as error:
            logger.error("job %s: its outcome is not written: %s", track.job.request_id, error)  # noqa: TRY400
        track.progress.end(outcome)
        self._close(track, outcome)

    def _teach(self, track: Track, outcome: Succeeded) -> None:
        try:
            known = track.duration(self._state.now(), outcome.timings)
            if known is not None:
                self._state.learn(track.facts.shape, *known)
        except Exception:  # a bad policy is its own trouble (promise 5)
            logger.exception("the polling policy could not learn")

    def _close(self, track: Track, outcome: Outcome | None) -> None:
        """Give back the slot and settle the money."""
        facts, state = track.facts, self._state
        if self._tracks.get(facts.request_id) is track:
            del self._tracks[facts.request_id]
        if not is_final(outcome):
            state.untracked_ids.add(facts.request_id)
            self._let_go[facts.request_id] = facts  # money and model, should it be attached again
        if facts.reservation is not None and isinstance(outcome, Succeeded | Failed | Cancelled):
            state.account.settle(
                facts.reservation, outcome.cost_usd, succeeded=isinstance(outcome, Succeeded)
            )
        facts.slot.release()
        if isinstance(outcome, Succeeded) and state.limit.completed():
            state.limit_changed("a clean completion")
        while len(self._unread) > _MAX_UNREAD and (oldest := next(iter(self._unread))).done():
            del self._unread[oldest]
        if outcome is not None and state.heard:
            state.emit(JobFinished(at=state.wall(), outcome=outcome, tag=facts.tag))

    def _deadline_reason(self) -> str:
        return f"its deadline of {self._state.settings.job_timeout:g} s passed"


def _task_name(request_id: str) -> str:
    return f"seedance_async job {request_id}"
