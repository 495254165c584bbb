"""`cancel`: one attempt to cancel a job, or each job of a batch that still runs."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import attrs
from cyclopts import Parameter

from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import OpenJob
from seedance_async.cli.connection import Service, find_service
from seedance_async.cli.exits import CommandError, Exit, exit_code, hint
from seedance_async.cli.folder import check_folder, check_origin, has_ledger, next_command
from seedance_async.cli.reporting import QUIET, Reporting
from seedance_async.cli.runner import run_async
from seedance_async.cli.terminal import print_json, tell
from seedance_async.errors import (
    AuthenticationError,
    LedgerError,
    PermissionDeniedError,
    SeedanceError,
    TransportError,
)
from seedance_async.jobs import (
    Cancelled,
    CancelResult,
    Failed,
    Lost,
    Outcome,
    Succeeded,
)
from seedance_async.paths import is_request_id

if TYPE_CHECKING:
    from seedance_async.batch.ledger import Ledger
    from seedance_async.session import Session

__all__ = ["cancel"]

_WORDS = {
    CancelResult.CANCELLED: "cancelled",
    CancelResult.NOT_CANCELLABLE: "not cancellable: in progress or over; it may be billed",
    CancelResult.UNKNOWN: "unknown: no clear answer in time. `status` tells, `cancel` tries again",
}
_CODES = {
    CancelResult.CANCELLED: Exit.OK,
    CancelResult.NOT_CANCELLABLE: Exit.FAILED,
    CancelResult.UNKNOWN: Exit.AGAIN,
}


def cancel(
    job: Annotated[str, Parameter(help="A request id, or the --out DIR of a batch.")],
    /,
    *,
    reporting: Annotated[Reporting, Parameter(name="*")] = QUIET,
) -> int:
    """Try to cancel a job that still waits in the queue, or all such jobs of a batch.

    One that is in progress runs on and may be billed. Pays nothing and may be repeated. For a
    batch, the exit code is 75 if some jobs run on: the same batch command waits for them.
    """
    reporting.start()
    folder = Path(job)
    if has_ledger(folder):
        return _cancel_batch(folder, reporting)
    if not is_request_id(job):
        check_folder(folder)
    result = run_async(_cancel(job))
    if reporting.json:
        print_json({"request_id": job, "result": result.value})
    else:
        print(f"job {job}: {_WORDS[result]}")
    return _CODES[result]


async def _cancel(request_id: str) -> CancelResult:
    async with find_service().session() as session:
        result = await session.attach(request_id).cancel()
        if result is not CancelResult.UNKNOWN:
            return result
        # One look says why: a refused token, an unknown id and a dead service raise here.
        match await session.fetch(request_id):
            case Lost(error=error):
                raise CommandError(
                    f"{request_id} is not known to the service: {error.message}", Exit.FAILED
                )
            case Cancelled():
                return CancelResult.CANCELLED
            case Succeeded() | Failed():
                return CancelResult.NOT_CANCELLABLE
        return result


# --- a batch -------------------------------------------------------------------------------

_AT_ONCE: Final = 8
"""Attempts under way together."""

_SECONDS: Final = 600.0
"""For all attempts together: each takes 10 s at most, and a fraction of one as a rule."""


@attrs.frozen
class Attempt:
    """What came of the attempt to cancel one job.

    Attributes:
        key: Its row's.
        request_id: Its id.
        result: What the service said.
        outcome: How it ended, if it is over.
        error: Why the service would not tell of it.
    """

    key: str
    request_id: str
    result: CancelResult
    outcome: Outcome | None = None
    error: SeedanceError | None = None

    @property
    def verdict(self) -> str:
        """One word: cancelled, over, runs_on or unknown."""
        if self.result is CancelResult.CANCELLED:
            return "cancelled"
        if isinstance(self.outcome, Succeeded | Failed | Lost):
            return "over"
        return "runs_on" if self.result is CancelResult.NOT_CANCELLABLE else "unknown"

    def __str__(self) -> str:
        return f"{self.key}: job {self.request_id}: {self._words()}"

    def _words(self) -> str:
        match self.outcome:
            case Succeeded():
                return "not cancellable: it succeeded before; the next run downloads its video"
            case Failed(error=error):
                return f"not cancellable: it failed before: {error.message}"
            case Lost(error=error):
                return f"unknown: lost: {error.message}"
        match self.result:
            case CancelResult.CANCELLED:
                return "cancelled"
            case CancelResult.NOT_CANCELLABLE:
                return "not cancellable: it runs on and may be billed"
        why = "no clear answer in time" if self.error is None else str(self.error)
        return f"unknown, so it may run on: {why}"


@attrs.frozen(kw_only=True)
class Summary:
    """What a batch's cancellation came to.

    Attributes:
        attempts: One for each job that was open.
        in_doubt: Rows of which nobody knows whether there is a job to cancel.
        planned: Rows that the next run submits.
    """

    attempts: list[Attempt]
    in_doubt: int
    planned: int

    def count(self, verdict: str) -> int:
        """Return how many attempts came to that."""
        return Counter(attempt.verdict for attempt in self.attempts)[verdict]

    @property
    def denied(self) -> SeedanceError | None:
        """Why the service would not tell of a job; the token is the same for all."""
        return next((attempt.error for attempt in self.attempts if attempt.error), None)


def _cancel_batch(folder: Path, reporting: Reporting) -> int:
    summary = run_async(_cancel_folder(folder))
    if reporting.json:
        print_json(_as_json(folder, summary))
    else:
        for attempt in summary.attempts:
            print(attempt)
    _say(folder, summary)
    if summary.denied is not None:
        tell(f"{summary.denied}{hint(summary.denied)}", label="error", style="bold red")
        return exit_code(summary.denied)
    return Exit.AGAIN if summary.count("runs_on") + summary.count("unknown") else Exit.OK


def _as_json(folder: Path, summary: Summary) -> dict[str, Any]:
    jobs = [
        {
            "key": attempt.key,
            "request_id": attempt.request_id,
            "result": attempt.result.value,
            "verdict": attempt.verdict,
        }
        for attempt in summary.attempts
    ]
    verdicts = ("cancelled", "over", "runs_on", "unknown")
    counts = {verdict: summary.count(verdict) for verdict in verdicts}
    return {"folder": str(folder), "jobs": jobs, **counts, "in_doubt": summary.in_doubt}


def _say(folder: Path, summary: Summary) -> None:
    if not summary.attempts:
        tell("no job of this batch is open: nothing to cancel")
    else:
        names = {
            "cancelled": "cancelled",
            "over": "over before",
            "runs_on": "running on",
            "unknown": "without a clear answer",
        }
        told = (f"{n} {words}" for name, words in names.items() if (n := summary.count(name)))
        tell(", ".join(told))
    if summary.count("runs_on") + summary.count("unknown"):
        submits = f"; it also submits the {summary.planned} planned" if summary.planned else ""
        tell(f"What runs on may be billed: {next_command(folder)} waits for it{submits}")
    if summary.in_doubt:
        tell(f"{summary.in_doubt} in doubt: `seedance-async resolve` tells of them")


async def _cancel_folder(folder: Path) -> Summary:
    from seedance_async.batch.ledger import SIMULATOR, Ledger

    async with await Ledger.read(folder) as reader:
        origin = reader.info.origin
    if origin == SIMULATOR:
        tell("this batch ran on a simulator, whose jobs end with its process", style="cyan")
        return Summary(attempts=[], in_doubt=0, planned=0)
    service = find_service()
    check_origin(folder, origin, service)
    try:
        ledger = await Ledger.open(folder, origin=origin)
    except LedgerError as error:
        raise CommandError(
            f"{error}. If a batch runs there, Ctrl-C twice in it cancels what is still queued.",
            exit_code(error),
        ) from error
    async with ledger:
        jobs = [job async for job in ledger.open_jobs()]
        attempts = await _cancel_jobs(service, ledger, jobs) if jobs else []
        counts = await ledger.counts()
        return Summary(
            attempts=attempts,
            in_doubt=counts[RowState.IN_DOUBT],
            planned=counts[RowState.PLANNED] - await ledger.unlisted_planned(),
        )


async def _cancel_jobs(service: Service, ledger: Ledger, jobs: list[OpenJob]) -> list[Attempt]:
    """Try once for each job, a few at a time.

    Raises:
        SeedanceError: The first look shows that the token or the service is not to be had.
    """
    found: dict[str, Attempt] = {}
    left = iter(jobs)

    async def work(session: Session) -> None:
        for job in left:
            found[job.key] = await _attempt(session, ledger, job)

    async with service.session() as session:
        await _check_service(session, jobs[0].request_id)
        workers = [asyncio.ensure_future(work(session)) for _ in range(_AT_ONCE)]
        try:
            async with asyncio.timeout(_SECONDS):
                await asyncio.gather(*workers)
        except TimeoutError:
            tell("not all attempts were answered in time; `cancel` tries again", label="error")
        finally:
            for worker in workers:
                worker.cancel()
    unknown = CancelResult.UNKNOWN
    return [found.get(job.key) or Attempt(job.key, job.request_id, unknown) for job in jobs]


async def _check_service(session: Session, request_id: str) -> None:
    """Let one free look tell of a dead service or a refused token, before all jobs find out."""
    try:
        await session.fetch(request_id)
    except (TransportError, AuthenticationError):
        raise
    except SeedanceError:  # the job's own trouble, or a passing one
        return


async def _attempt(session: Session, ledger: Ledger, open_job: OpenJob) -> Attempt:
    job = session.attach(
        open_job.request_id,
        tag=open_job.key,
        accepted_at=open_job.accepted_at,
        journal=ledger,
    )
    result = await job.cancel()
    await job.detach("`cancel` left it running")
    outcome, error = None, None
    try:
        outcome = await job.wait()
    except (AuthenticationError, PermissionDeniedError) as denied:
        error = denied
    except SeedanceError:  # its state is not known, and the next run asks again
        pass
    return Attempt(open_job.key, open_job.request_id, result, outcome, error)
