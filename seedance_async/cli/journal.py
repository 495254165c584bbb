"""The journal of one generation: each word goes into its job file before anything else happens."""

from __future__ import annotations

import time

import anyio.to_thread

from seedance_async.cli.jobfile import JobFile, stamp
from seedance_async.cli.words import state_name
from seedance_async.errors import SeedanceError
from seedance_async.jobs import Failed, InDoubt, Lost, Outcome, Succeeded, TimedOut
from seedance_async.models import Request

__all__ = ["JobFileJournal", "SubmittingInterruptedError"]


class SubmittingInterruptedError(SeedanceError):
    """The user asked to submit no more before anything was accepted."""


class JobFileJournal:
    """A `Journal` (the library's protocol) in one job file.

    Attributes:
        file: The record and its place.
        posting: Whether a POST is under way or was accepted, which nothing can recall: whoever
            gives up the wait for `submit` now would make the session cancel a paid job.
        closed: Whether the user asked to submit no more.
    """

    def __init__(self, file: JobFile) -> None:
        self.file = file
        self.posting = False
        self.closed = False

    async def submitting(self, tag: str, request: Request) -> None:
        """Claim the file for this generation, before the POST."""
        del tag
        self._check_open()
        self.posting = True  # from here on nobody must believe that it can be recalled
        try:
            await anyio.to_thread.run_sync(
                lambda: self.file.claim(
                    state="submitting",
                    model=request.model_id,
                    input=request.input(),
                    submitted_at=stamp(time.time()),
                )
            )
        except BaseException:
            self.posting = False
            raise

    async def not_sent(self, tag: str, why: str) -> None:
        """Write down that nothing was accepted."""
        del tag
        self.posting = False
        await self._write(state="planned", error={"kind": "NotSent", "code": None, "message": why})
        self._check_open()

    async def accepted(self, tag: str, request_id: str) -> None:
        """Write down the job's id; told again after the job's end, it leaves that end as it is."""
        del tag
        record = self.file.record
        if record.request_id == request_id and record.state not in ("submitting", "submitted"):
            await self._write()
            return
        await self._write(
            state="submitted", request_id=request_id, accepted_at=stamp(time.time()), error=None
        )

    async def in_doubt(self, tag: str, why: str) -> None:
        """Write down the doubt."""
        del tag
        self.posting = False
        await self._write(state="in_doubt", error={"kind": "InDoubt", "code": None, "message": why})

    async def finished(self, tag: str, outcome: Outcome) -> None:
        """Write down how it ended."""
        del tag
        self.posting = False
        error = None
        if isinstance(outcome, Failed | Lost | InDoubt):
            info = outcome.error
            error = {"kind": info.kind, "code": info.code, "message": info.message}
        elif isinstance(outcome, TimedOut):
            error = {"kind": "TimedOut", "code": None, "message": outcome.reason}
        cost = None if isinstance(outcome, TimedOut | Lost | InDoubt) else outcome.cost_usd
        await self._write(
            state=state_name(outcome),
            finished_at=None if isinstance(outcome, TimedOut) else stamp(time.time()),
            video_url=outcome.video_url if isinstance(outcome, Succeeded) else None,
            request_id=self.file.record.request_id or outcome.request_id,
            model=self.file.record.model or outcome.model_id,
            cost_usd=cost,
            error=error,
        )

    async def downloaded(self, size: int, sha256: str) -> None:
        """Write down that FILE is whole."""
        await self._write(state="downloaded", bytes=size, sha256=sha256, error=None)

    def _check_open(self) -> None:
        if self.closed:
            raise SubmittingInterruptedError("interrupted: nothing was accepted, nothing is paid")

    async def _write(self, **changes: object) -> None:
        await anyio.to_thread.run_sync(lambda: self.file.write(**changes))
