"""`FILE.job.json`: what is known of the generation behind FILE, on disk before it is paid for."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import attrs

from seedance_async.cli.exits import CommandError, Exit
from seedance_async.errors import LedgerError
from seedance_async.shell import quoted, wait_command

__all__ = [
    "SIMULATOR",
    "JobFile",
    "JobRecord",
    "draft_of",
    "job_file_of",
    "read_record",
    "stamp",
]

SIMULATOR: Final = "simulator"
"""The origin of a job on an embedded simulator, which ended with its process."""

_VERSION: Final = 1
_SUFFIX: Final = ".job.json"

_REPLACEABLE: Final = frozenset({"planned", "failed", "cancelled", "downloaded"})
"""The states in which nothing paid could get lost by a new generation."""

_NEED_ID: Final = frozenset({"submitted", "timed_out", "lost"})
_NEED_ID_OR_URL: Final = frozenset({"succeeded", "downloaded"})
_STATES: Final = frozenset({*_REPLACEABLE, *_NEED_ID, *_NEED_ID_OR_URL, "submitting", "in_doubt"})


@attrs.frozen(kw_only=True)
class JobRecord:
    """One generation as its file tells it; the words are the ledger's.

    Attributes:
        state: planned (nothing was accepted), submitting, submitted, in_doubt, succeeded,
            downloaded, failed, cancelled, timed_out or lost.
        model: The full id; None for a job that was attached by its id alone.
        input: The body as it is sent.
        base_url: Where the job is, or `simulator`.
        file: The video's name, beside the job file.
        request_id: Once accepted.
        submitted_at: ISO 8601, in UTC; likewise the others.
        error: `kind`, `code` and `message` of what went wrong.
        earlier: The records of earlier generations for the same file, oldest first.
    """

    state: str = "planned"
    model: str | None = None
    input: Mapping[str, Any] = attrs.field(factory=dict)
    base_url: str = ""
    file: str | None = None
    request_id: str | None = None
    submitted_at: str | None = None
    accepted_at: str | None = None
    finished_at: str | None = None
    video_url: str | None = None
    cost_usd: float | None = None
    bytes: int | None = None
    sha256: str | None = None
    error: Mapping[str, Any] | None = None
    earlier: tuple[Mapping[str, Any], ...] = ()

    @property
    def simulated(self) -> bool:
        """Whether it cost nothing and is gone with its process."""
        return self.base_url == SIMULATOR

    @property
    def may_be_paid(self) -> bool:
        """Whether there is, or may be, something paid for that FILE does not hold yet."""
        return not self.simulated and self.state not in _REPLACEABLE

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {"version": _VERSION, **attrs.asdict(self)}


class JobFile:
    """A record and its place on disk, replaced as a whole and synced at each change.

    Attributes:
        path: None keeps the record in memory only.
        record: What the file says.
    """

    def __init__(self, path: Path | None, record: JobRecord) -> None:
        self.path = path
        self.record = record
        self._seen = None if path is None else _read_bytes(path)

    @property
    def command(self) -> str:
        """The command that comes back to this generation."""
        return self.command_for(None)

    def command_for(self, video: Path | None) -> str:
        """Return the command that comes back to it, and downloads where no job file says where."""
        if self.path is not None:
            return f"seedance-async wait {quoted(self.path)}"
        flags = () if video is None else ("-o", quoted(video))
        return wait_command(self.record.request_id or "", *flags)

    @property
    def way_out(self) -> str:
        """How a person settles a doubt."""
        video = self.video or Path("FILE")
        return (
            f"Look among your generations on RunComfy's site. If it is there, `seedance-async wait "
            f"REQUEST_ID -o {quoted(video)}` takes it over; if it is not, the same "
            f"`generate` with --again submits it anew."
        )

    @property
    def video(self) -> Path | None:
        """Where the video belongs: always beside the job file, so that both move together."""
        if self.path is None or self.record.file is None:
            return None
        return self.path.with_name(Path(self.record.file).name)

    def report(self) -> dict[str, Any]:
        """Return what `--json` prints: the words of a batch's results."""
        names = ("model", "state", "request_id", "video_url", "bytes", "sha256", "cost_usd")
        times = ("error", "submitted_at", "finished_at")
        record = self.record
        file = str(self.video) if self.video and record.state == "downloaded" else None
        return {
            **{name: getattr(record, name) for name in names},
            "file": file,
            **{name: getattr(record, name) for name in times},
            "simulated": record.simulated,
            "job_file": None if self.path is None else str(self.path),
        }

    def claim(self, **changes: Any) -> None:
        """Write a change unless another process has written meanwhile.

        Raises:
            LedgerError: It has, or the file cannot be written.
        """
        if self.path is None:
            self.write(**changes)
            return
        try:
            with _folder_lock(self.path.parent):
                if _read_bytes(self.path) != self._seen:
                    raise LedgerError(
                        f"nothing was sent: another process has written {self.path} meanwhile. "
                        f"`{self.command}` comes back to its generation"
                    )
                self.write(**changes)
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def write(self, **changes: Any) -> None:
        """Change the record and put it on disk.

        Raises:
            LedgerError: The file cannot be written; the record in memory is changed all the same.
        """
        self.record = attrs.evolve(self.record, **changes)
        if self.path is None:
            return
        text = json.dumps(self.record.as_json(), indent=2, ensure_ascii=False, default=str) + "\n"
        content = text.encode(errors="backslashreplace")
        try:
            _replace(self.path, content)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        self._seen = content


def job_file_of(file: Path) -> Path:
    """Return where the job file of a video stands.

    Raises:
        CommandError: The path has no name, as `.` and `/` have none.
    """
    if not file.name:
        raise CommandError(f"{file} is a folder: name a file in it", Exit.UNWRITABLE)
    return file.with_name(file.name + _SUFFIX)


def draft_of(path: Path) -> Path:
    """Return where a job file is written before it takes its place; the longest of its names."""
    return path.with_name(f".{path.name}.{os.getpid()}")


def read_record(path: Path) -> JobRecord | None:
    """Read a job file; None if there is none.

    Raises:
        CommandError: It cannot be read, or is something else.
    """
    try:
        content = _read_bytes(path)
    except OSError as error:
        why = error.strerror or str(error)
        raise CommandError(f"{path} cannot be read: {why}", Exit.DATA) from error
    if content is None:
        return None
    try:
        return _record(_document(content))
    except _NewerVersionError:
        raise CommandError(
            f"{path} was written by a newer version of seedance-async: use that one", Exit.DATA
        ) from None
    except _WrongRecordError as error:
        raise CommandError(
            f"{path} is no job file of seedance-async: {error}. Give another one, or move it away",
            Exit.DATA,
        ) from None


def stamp(seconds: float | None) -> str | None:
    """Return wall-clock seconds as ISO 8601 in UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


class _WrongRecordError(ValueError):
    """What is wrong with a job file, as a clause."""


class _NewerVersionError(Exception):
    """A job file of a later version."""


def _document(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise _WrongRecordError("it is not JSON") from None
    if not isinstance(document, dict):
        raise _WrongRecordError("it is no JSON object")
    version = document.get("version")
    if type(version) is int and version > _VERSION:
        raise _NewerVersionError
    if type(version) is not int or version != _VERSION:
        raise _WrongRecordError(f"its version is {_shown(version)} and must be {_VERSION}")
    return document


_TEXT: Final = (str,)
_MAYBE_TEXT: Final = (str, type(None))
_MAYBE_NUMBER: Final = (int, float, type(None))
_KINDS: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "state": (_TEXT, "a text"),
    "base_url": (_TEXT, "a text"),
    "model": (_MAYBE_TEXT, "a text or null"),
    "file": (_MAYBE_TEXT, "a text or null"),
    "request_id": (_MAYBE_TEXT, "a text or null"),
    "submitted_at": (_MAYBE_TEXT, "a text or null"),
    "accepted_at": (_MAYBE_TEXT, "a text or null"),
    "finished_at": (_MAYBE_TEXT, "a text or null"),
    "video_url": (_MAYBE_TEXT, "a text or null"),
    "sha256": (_MAYBE_TEXT, "a text or null"),
    "cost_usd": (_MAYBE_NUMBER, "a number or null"),
    "bytes": (_MAYBE_NUMBER, "a number or null"),
    "input": ((dict,), "an object"),
    "error": ((dict, type(None)), "an object or null"),
    "earlier": ((list,), "a list"),
}


def _record(document: Mapping[str, Any]) -> JobRecord:
    values = {name: value for name, value in document.items() if name in _KINDS}
    for name, value in values.items():
        kinds, words = _KINDS[name]
        if not isinstance(value, kinds):
            raise _WrongRecordError(f"its {name} is {_shown(value)} and must be {words}")
    if not all(isinstance(record, dict) for record in values.get("earlier", ())):
        raise _WrongRecordError("its earlier must be a list of objects")
    values["earlier"] = tuple(values.get("earlier", ()))
    record = JobRecord(**values)
    if record.state not in _STATES:
        raise _WrongRecordError(f"its state {_shown(record.state)} is unknown")
    needs_id = record.state in _NEED_ID or (
        record.state in _NEED_ID_OR_URL and not record.video_url
    )
    if needs_id and not record.request_id:
        raise _WrongRecordError(f"its state is {record.state}, but it has no request_id")
    return record


def _shown(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _unwritable(path: Path, error: OSError) -> LedgerError:
    return LedgerError(
        f"cannot write {path}: {error.strerror or error}. Free space or mend the rights, then go on"
    )


def _read_bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _replace(path: Path, content: bytes) -> None:
    """Replace a file as a whole: after a crash it is the old one or the new one."""
    draft = draft_of(path)
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
    if os.name == "posix":
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _folder_lock(folder: Path) -> Iterator[None]:
    """Let one process at a time claim job files of a folder; Windows and some disks cannot."""
    try:
        import fcntl
    except ModuleNotFoundError:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
