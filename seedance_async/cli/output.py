"""FILE: whether it may be written, and whether a generation for it is under way already."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

from seedance_async.cli.exits import CommandError, Exit
from seedance_async.cli.jobfile import JobFile, JobRecord, draft_of, job_file_of, read_record
from seedance_async.shell import quoted

__all__ = ["check_name", "check_writable", "claim_output"]


def check_name(path: Path) -> None:
    """Refuse a FILE whose name, or that of its job file, the disk cannot take.

    Raises:
        CommandError: It is too long, or cannot be looked at.
    """
    for place in (path, draft_of(job_file_of(path))):
        try:
            with suppress(FileNotFoundError, NotADirectoryError):
                place.lstat()
        except (OSError, ValueError) as error:
            what = path if place == path else f"the job file beside {path}"
            why = getattr(error, "strerror", None) or str(error)
            raise CommandError(
                f"{what} cannot be written: {why}. Name another file", Exit.UNWRITABLE
            ) from error


def check_writable(path: Path, *, overwrite: bool) -> None:
    """Refuse a FILE that could not be written, before anything is spent.

    Raises:
        CommandError: Its folder is missing or not writable, its name is too long, or FILE is taken.
    """
    check_name(path)
    if path.is_dir():
        raise CommandError(f"{path} is a folder: name a file in it", Exit.UNWRITABLE)
    if path.exists() and not overwrite:
        raise CommandError(
            f"{path} exists already: name another file, or add --overwrite", Exit.UNWRITABLE
        )
    folder = path.parent
    if not folder.is_dir():
        raise CommandError(f"the folder {folder} does not exist: make it first", Exit.UNWRITABLE)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        why = error.strerror or str(error)
        raise CommandError(f"{folder} cannot be written to: {why}", Exit.UNWRITABLE) from error


def claim_output(path: Path, *, base_url: str, overwrite: bool, again: bool) -> JobFile:
    """Return the job file for a new generation into FILE; writes nothing yet.

    Raises:
        CommandError: FILE cannot be written, or what was paid for it is not there yet.
    """
    check_writable(path, overwrite=overwrite)
    place = job_file_of(path)
    before = read_record(place)
    record = JobRecord(base_url=base_url, file=path.name)
    if before is None:
        return JobFile(place, record)
    if before.may_be_paid and not again:
        raise CommandError(_refusal(place, before), Exit.UNWRITABLE)
    known = before.as_json()
    earlier = (*known.pop("earlier"), known)
    return JobFile(place, JobRecord(base_url=base_url, file=path.name, earlier=earlier))


_WHY = {
    "submitting": "a submission for it is under way, or was cut off and is in doubt",
    "in_doubt": "a submission for it is in doubt: it may exist and be billed",
    "submitted": "a job for it runs",
    "timed_out": "a job for it may still run",
    "lost": "a job for it was accepted and may have been billed, though the service lost it",
    "succeeded": "its video is generated and paid, and only to be downloaded",
}


def _refusal(place: Path, record: JobRecord) -> str:
    job = f" (job {record.request_id})" if record.request_id else ""
    return (
        f"{place} says that {_WHY[record.state]}{job}. Nothing was sent. "
        f"`seedance-async wait {quoted(place)}` goes on with it; --again pays for "
        f"another one and keeps the record of this one"
    )
