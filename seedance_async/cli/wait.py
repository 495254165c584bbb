"""`wait`: come back to a job by its id or its job file."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import attrs
from cyclopts import Parameter

from seedance_async.cli.connection import Service, find_service
from seedance_async.cli.exits import CommandError, Exit
from seedance_async.cli.jobfile import JobFile, JobRecord, job_file_of, read_record
from seedance_async.cli.output import check_name, check_writable
from seedance_async.cli.patience import USUAL, Patience
from seedance_async.cli.reporting import QUIET, Reporting
from seedance_async.cli.runner import run_async
from seedance_async.cli.terminal import print_json, tell
from seedance_async.shell import wait_command

if TYPE_CHECKING:
    from seedance_async.jobs import Outcome
    from seedance_async.session import Session

__all__ = ["wait"]


def wait(
    job: Annotated[str, Parameter(help="A request id, or FILE.job.json.")],
    /,
    *,
    out: Annotated[
        Path | None,
        Parameter(
            name=["--out", "-o"],
            metavar="FILE",
            help="The video; a job file knows its FILE, an id alone prints the URL.",
        ),
    ] = None,
    overwrite: Annotated[bool, Parameter(negative="", help="Replace FILE if it exists.")] = False,
    patience: Annotated[Patience, Parameter(name="*")] = USUAL,
    reporting: Annotated[Reporting, Parameter(name="*")] = QUIET,
) -> int:
    """Wait for a job that was submitted before, and download its video.

    Submits nothing and may be repeated. Ctrl-C leaves the job running.
    """
    reporting.start()
    patience.check()
    if out is not None:
        check_name(out)
    file = _find(job, out)
    path = out or file.video
    code = _judge(file, path)
    if code is None:
        if path is not None:
            check_writable(path, overwrite=overwrite)
        service = find_service()
        _check_origin(file, service)
        code = run_async(_follow(file, service, path, patience, as_json=reporting.json))
    _print(file, path, reporting)
    return code


def _find(job: str, out: Path | None) -> JobFile:
    """Return the job file that `job` names, or a record in memory for an id alone."""
    path = Path(job)
    if not path.name:
        raise CommandError(f"{job!r} is no request id or job file: give one of them")
    if _is_file(job_file_of(path)):  # `wait fox.mp4` for `wait fox.mp4.job.json`
        path = job_file_of(path)
    if path.suffix == ".json" or _is_file(path):
        record = read_record(path)
        if record is None:
            raise CommandError(f"{path} does not exist: give a request id or a job file", Exit.DATA)
        return JobFile(path, record)
    if out is not None and (record := read_record(job_file_of(out))) is not None:
        return JobFile(job_file_of(out), _adopt(record, job, job_file_of(out)))
    return JobFile(None, JobRecord(state="submitted", request_id=job))


def _is_file(path: Path) -> bool:
    with suppress(OSError, ValueError):  # such as a name that is too long
        return path.is_file()
    return False


def _adopt(record: JobRecord, request_id: str, path: Path) -> JobRecord:
    """Take an id over into a record that waits for one."""
    if record.request_id == request_id:
        return record
    if record.request_id is None and record.state in {"submitting", "in_doubt"}:
        return attrs.evolve(record, request_id=request_id, state="submitted", accepted_at=None)
    raise CommandError(
        f"{path} belongs to another generation: give another -o FILE", Exit.UNWRITABLE
    )


def _judge(file: JobFile, path: Path | None) -> int | None:
    """Return the exit code where there is nothing to wait for, having said why."""
    record = file.record
    if record.state == "downloaded" and path is not None and path.exists():
        tell(f"{path} is downloaded already")
        return Exit.OK
    if record.simulated and record.state not in {"failed", "cancelled"}:
        raise CommandError(
            f"{file.path} tells of a job on an embedded simulator, which ended with its process: "
            f"generate it again; nothing was paid",
            Exit.FAILED,
        )
    match record.state:
        case "planned":
            raise CommandError(
                f"{file.path} tells of a generation that was never accepted: generate it again; "
                f"nothing was paid",
                Exit.AGAIN,
            )
        case "submitting" | "in_doubt":
            seen = (record.error or {}).get("message", "its process ended during the submission")
            raise CommandError(
                f"the submission of {file.path} is in doubt: {seen} It may exist and be billed. "
                f"{file.way_out}",
                Exit.PERSON,
            )
        case "failed" | "cancelled":
            why = (record.error or {}).get("message", "the server said so")
            tell(f"the job is over, without a video: {record.state}: {why}", label="error")
            return Exit.FAILED
    return None


def _check_origin(file: JobFile, service: Service) -> None:
    origin = file.record.base_url
    if file.path is not None and origin != service.base_url:
        # The job file's own address is not used: a file from elsewhere could lure the token there.
        raise CommandError(
            f"{file.path} tells of a job at {origin}, but this command goes to {service.base_url}: "
            f"set RUNCOMFY_MODEL_API_BASE to the former and the token that belongs to it"
        )


async def _follow(
    file: JobFile, service: Service, path: Path | None, patience: Patience, *, as_json: bool
) -> int:
    from seedance_async.cli.errand import Errand
    from seedance_async.cli.journal import JobFileJournal
    from seedance_async.cli.progress import Progress
    from seedance_async.events import Event, StatusChanged
    from seedance_async.handle import Job
    from seedance_async.jobs import Outcome

    class ByHand(Errand):
        """Follows an id that somebody typed: nothing says yet that it is a job's."""

        confirmed = False

        def on_event(self, event: Event) -> None:
            self.confirmed = self.confirmed or isinstance(event, StatusChanged)
            super().on_event(event)

        async def _outcome(self, job: Job) -> Outcome:
            outcome = await super()._outcome(job)
            if not self.confirmed:
                _check_known(outcome)
            return outcome

    journal = JobFileJournal(file)
    with Progress(as_json=as_json) as progress:
        errand = (ByHand if file.path is None else Errand)(journal, progress, path)
        options = patience.session_options(base_url=service.base_url)
        session = service.session(journal=journal, on_event=errand.on_event, **options)
        async with session:
            if file.record.request_id != _id_on_disk(file):
                await _check_adopted(session, file)
            return await errand.run(session)


def _check_known(outcome: "Outcome") -> None:
    """Raise for an id that no poll ever confirmed, without calling it a job.

    Raises:
        JobError: It is over or no longer tracked, and nobody knows whether there is such a job.
    """
    from seedance_async.errors import JobLostError, JobTimeoutError
    from seedance_async.jobs import Lost, TimedOut

    match outcome:
        case Lost(request_id=request_id, model_id=model_id, error=error):
            raise JobLostError(
                f"{request_id} is not known to the service: {error.message}",
                request_id=request_id,
                model_id=model_id,
                error=error,
            )
        case TimedOut(request_id=request_id, model_id=model_id, reason=reason, last_seen=None):
            raise JobTimeoutError(
                f"{request_id} is no longer tracked: {reason}; its state is unknown: no poll "
                f"succeeded. Check the id; `{wait_command(request_id)}` asks again",
                request_id=request_id,
                model_id=model_id,
            )


def _id_on_disk(file: JobFile) -> str | None:
    record = None if file.path is None else read_record(file.path)
    return file.record.request_id if record is None else record.request_id


async def _check_adopted(session: "Session", file: JobFile) -> None:
    """Let one free GET show that an id which is to settle a doubt is a job's.

    Raises:
        CommandError: The service does not know it.
    """
    from seedance_async.jobs import Lost

    request_id = file.record.request_id or ""
    if isinstance(await session.fetch(request_id), Lost):
        raise CommandError(
            f"the service knows no job {request_id}, so the doubt of {file.path} stays: check the "
            f"id",
            Exit.FAILED,
        )


def _print(file: JobFile, path: Path | None, reporting: Reporting) -> None:
    record = file.record
    if reporting.json:
        print_json(file.report())
    elif record.state == "downloaded":
        print(path)
    elif record.state == "succeeded":
        print(record.video_url)
