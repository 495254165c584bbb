"""One generation from its submission, or its attachment, to its file."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path

from seedance_async.cli import words
from seedance_async.cli.exits import Exit, exit_code, hint
from seedance_async.cli.interrupts import Interrupts
from seedance_async.cli.jobview import JobView, job_standing
from seedance_async.cli.journal import JobFileJournal
from seedance_async.cli.progress import Progress
from seedance_async.cli.standing import Standing
from seedance_async.errors import DownloadError, LedgerError, SeedanceError, SubmissionInDoubtError
from seedance_async.events import Downloaded, Event, RateLimited, RetryScheduled
from seedance_async.handle import Job, error_of
from seedance_async.jobs import CancelResult, InQueue, Outcome, Output, Succeeded
from seedance_async.models import Request, Shape, shape
from seedance_async.session import Session
from seedance_async.shell import wait_command

__all__ = ["Errand"]


class Errand:
    """Submits or attaches, waits, downloads, and takes interrupts in stages.

    Args:
        journal: Where it is written down; its record says what is known already.
        progress: Where it tells what happens.
        path: Where the video goes; None: nowhere.
        request: What to submit; None attaches the job that the record names.
        durations: How long jobs took before, in seconds.
    """

    def __init__(
        self,
        journal: JobFileJournal,
        progress: Progress,
        path: Path | None,
        request: Request | None = None,
        durations: Iterable[tuple[Shape, float]] = (),
    ) -> None:
        self._journal = journal
        self._file = journal.file
        self._progress = progress
        self._voice = progress.voice
        self._path = path
        self._request = request
        self._view = JobView(durations, None if request is None else shape(request))
        self._job: Job | None = None
        self._ended: Outcome | None = None
        self._stage = 0
        self._downloading = False
        self._downloaded: Downloaded | None = None
        self._leaving = False

    def on_event(self, event: Event) -> None:
        """Tell what the session goes through; it calls this for every event."""
        match event:
            case RateLimited(delay=delay):
                self._progress.change(f"the service is busy (429): next try in {delay:.0f} s")
            case RetryScheduled(request_id=None, delay=delay, why=why):
                self._progress.change(f"not sent: {why}; next try in {delay:.0f} s")
            case RetryScheduled(why=why):
                self._progress.change(f"a poll had no luck and is tried again: {why}")
            case Downloaded():
                self._downloaded = event

    async def run(self, session: Session, interrupts: Interrupts | None = None) -> int:
        """Do it, and return the exit code; an interrupt's outranks the others.

        Args:
            session: Open.
            interrupts: Entered before the loop started, if anything is to be paid.
        """
        with Interrupts() if interrupts is None else nullcontext(interrupts) as signals:
            signals.bind(self._last_words)
            if signals.came:
                self._part()
                return signals.code or Exit.INTERRUPTED
            work = asyncio.create_task(self._work(session))
            await signals.follow(work, lambda stage: self._interrupted(stage, work))
        if work.cancelled():
            self._part()
        code = Exit.AGAIN if work.cancelled() else work.result()
        return signals.code or code

    # --- the work --------------------------------------------------------------------------

    async def _work(self, session: Session) -> int:
        try:
            video = await self._video(session)
        except SeedanceError as error:
            self._error(f"{error}{hint(error)}")
            if isinstance(error, SubmissionInDoubtError):
                self._voice.line(self._file.way_out)
            return exit_code(error)
        return await self._download(session, video)

    async def _video(self, session: Session) -> Succeeded:
        record = self._file.record
        if self._request is None and record.video_url is not None:
            return Succeeded(
                request_id=record.request_id or "",
                video_url=record.video_url,
                output=Output(video=record.video_url),
            )
        self._job = job = await self._accepted_job(session)
        if self._leaving and not await self._give_up(job):
            raise asyncio.CancelledError
        outcome = self._ended = await self._outcome(job)
        self._view.over()
        if not isinstance(outcome, Succeeded):
            raise error_of(outcome)
        self._voice.line(f"{words.describe(outcome)}: {outcome.video_url}", style="green")
        return outcome

    async def _accepted_job(self, session: Session) -> Job:
        record = self._file.record
        if self._request is None:
            assert record.request_id is not None
            return session.attach(record.request_id, accepted_at=_epoch(record.accepted_at))
        self._progress.change("submitting")
        job = await session.submit(self._request)
        self._view.accepted()
        self._progress.expect = self._view.words
        if self._file.path is None:
            self._voice.line(f"accepted: job {job.request_id}")
        elif self._file.record.request_id == job.request_id:
            self._voice.line(f"accepted: job {job.request_id}, noted in {self._file.path}")
        else:
            self._error(
                f"job {job.request_id} was accepted, but is NOT noted in {self._file.path}: copy "
                f"its id; `{wait_command(job.request_id, '-o', 'FILE')}` comes back to it"
            )
        return job

    async def _outcome(self, job: Job) -> Outcome:
        async for state in job.updates(queue_position=self._voice.live):
            if not isinstance(state, Outcome):
                self._progress.change(words.describe(state))
        return await job.wait()

    async def _download(self, session: Session, video: Succeeded) -> int:
        if self._path is None:
            return Exit.OK
        self._downloading = True
        self._progress.change(f"downloading to {self._path}")
        try:
            await session.download(video, self._path)
            assert self._downloaded is not None
            await self._journal.downloaded(self._downloaded.size, self._downloaded.sha256)
        except DownloadError as error:
            self._error(
                f"the video was generated, but not downloaded: {error}. It stands at "
                f"{video.video_url}; `{self._file.command_for(self._path)}` downloads it "
                f"without paying again"
            )
            return exit_code(error)
        except LedgerError as error:
            self._error(str(error))
            return exit_code(error)
        return Exit.OK

    def _error(self, text: str) -> None:
        self._voice.line(text, label="error", style="bold red")

    # --- interrupts ------------------------------------------------------------------------

    async def _interrupted(self, stage: int, work: asyncio.Task[int]) -> None:
        self._stage = stage
        if self._request is None or self._downloading:
            if stage > 1 or self._request is None:
                work.cancel()
            else:
                self._say("the video is paid and is being downloaded. Again: leave that for later")
        elif self._job is None:
            self._interrupted_before_acceptance(stage, work)
        elif stage == 1:
            self._say(f"{self._what_runs()} Again: {self._what_is_next()}")
        elif not await self._give_up(self._job):
            work.cancel()

    def _interrupted_before_acceptance(self, stage: int, work: asyncio.Task[int]) -> None:
        self._journal.closed = True
        if not self._journal.posting:
            work.cancel()
        elif stage == 1:
            self._say(
                "the submission is under way and cannot be recalled: its answer is waited for. "
                "Again: leave as soon as its id is written down. A third time: leave at once, in "
                "doubt"
            )
        else:
            self._leaving = True
            self._say("leaving as soon as the submission is answered and written down")

    async def _give_up(self, job: Job) -> bool:
        """Cancel the job if it still waits; True if the server did, so that its outcome comes."""
        if not isinstance(job.status, InQueue):
            return False
        self._say(f"cancelling job {job.request_id}, which is still queued")
        return await job.cancel() is CancelResult.CANCELLED

    def _say(self, text: str) -> None:
        self._voice.interrupted(self._stage, f"{text}.", self._standing(), again=self._file.command)

    def _part(self) -> None:
        self._voice.interrupted(
            self._stage, self._farewell(), self._standing(tracked=False), again=self._file.command
        )

    def _standing(self, *, tracked: bool = True) -> Standing:
        state = self._file.record.state
        return job_standing(state, self._ended, downloading=self._downloading, tracked=tracked)

    def _what_runs(self) -> str:
        if self._file.record.simulated:
            return "the simulated job is waited for."
        assert self._job is not None
        return (
            f"job {self._job.request_id} may be billed whether or not anybody waits, so its video "
            f"is waited for."
        )

    def _what_is_next(self) -> str:
        if self._file.record.simulated:
            return "leave"
        return (
            f"cancel it if it is still queued, else leave it running; `{self._file.command}` "
            f"comes back to it"
        )

    def _farewell(self) -> str:
        record = self._file.record
        if record.simulated:
            return "the simulated job ends with this process; nothing was paid."
        if record.state == "planned":
            return "nothing was submitted, nothing is paid."
        if record.video_url is not None:
            return f"the video is generated; `{self._file.command}` downloads it."
        return f"the job runs on and may be billed; `{self._file.command}` comes back to it."

    def _last_words(self) -> str:
        text = f"left at once. {self._farewell()}"
        record = self._file.record
        if record.state == "submitting" and not record.simulated:
            text = (
                f"left while a submission was under way: it is in doubt; `{self._file.command}` "
                f"says what to do."
            )
        return self._voice.last_words(text, self._standing(tracked=False), again=self._file.command)


def _epoch(iso: str | None) -> float | None:
    try:
        return None if iso is None else datetime.fromisoformat(iso).timestamp()
    except ValueError:
        return None
