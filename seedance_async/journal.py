"""Where submissions are written down, so that a crash loses no job that was paid for."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakValueDictionary

import attrs

from seedance_async.errors import LedgerError
from seedance_async.jobs import Outcome, TimedOut, jsonable
from seedance_async.models import Request
from seedance_async.supervisor import in_thread

__all__ = ["FileJournal", "Journal", "JournalEntry", "SilentJournal"]


class Journal(Protocol):
    """What a session tells, in this order, for each submission.

    `submitting` returns before a byte of the POST leaves; if it raises, nothing is sent. After it
    comes exactly one of `not_sent` (nothing was accepted; a further `submitting` may follow),
    `accepted`, `in_doubt`, or `finished` with a `Failed` (refused). After `accepted` comes one
    `finished`; a later `attach` may bring another one. If `accepted` raises, the session stops
    submitting and tries again until it ends.
    """

    async def submitting(self, tag: str, request: Request) -> None:
        """Write down that a POST is about to leave."""
        ...

    async def not_sent(self, tag: str, why: str) -> None:
        """Write down that surely nothing was accepted."""
        ...

    async def accepted(self, tag: str, request_id: str) -> None:
        """Write down the id of a job that may be billed."""
        ...

    async def in_doubt(self, tag: str, why: str) -> None:
        """Write down that nobody knows whether there is a job."""
        ...

    async def finished(self, tag: str, outcome: Outcome) -> None:
        """Write down how it ended."""
        ...


class SilentJournal:
    """Writes nothing: the session's log at INFO is then the only trace of the ids."""

    async def submitting(self, tag: str, request: Request) -> None:
        """Do nothing."""

    async def not_sent(self, tag: str, why: str) -> None:
        """Do nothing."""

    async def accepted(self, tag: str, request_id: str) -> None:
        """Do nothing."""

    async def in_doubt(self, tag: str, why: str) -> None:
        """Do nothing."""

    async def finished(self, tag: str, outcome: Outcome) -> None:
        """Do nothing."""


@attrs.frozen
class JournalEntry:
    """The last that a journal knows of one submission.

    Attributes:
        tag: Its name.
        state: `submitting` (in doubt, if the writer is dead), `not_sent`, `accepted`, `in_doubt`
            or `finished`.
        request_id: The job's id, once known.
        model_id: The model.
        over: False if something is left to do: a job to attach, or a doubt to settle.
    """

    tag: str
    state: str
    request_id: str | None = None
    model_id: str | None = None
    over: bool = False


class _Lock:
    """A lock that can be kept weakly: the journals of one file share it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


_locks: WeakValueDictionary[Path, _Lock] = WeakValueDictionary()
_locks_guard = threading.Lock()


class FileJournal:
    """A journal in one JSON Lines file, each line on disk before the session goes on.

    Safe for the sessions of one process; a second process needs a file of its own.

    Args:
        path: The file; it is made, with its folder, when the first line is written.
        clock: Wall-clock seconds since the epoch.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, clock: Callable[[], float] = time.time
    ) -> None:
        self.path = Path(path)
        self._clock = clock
        with _locks_guard:
            self._lock = _locks.setdefault(self.path.absolute(), _Lock())

    async def submitting(self, tag: str, request: Request) -> None:
        """Append the whole input, before the POST."""
        await self._append("submitting", tag, model_id=request.model_id, input=request.input())

    async def not_sent(self, tag: str, why: str) -> None:
        """Append that nothing was accepted."""
        await self._append("not_sent", tag, why=why)

    async def accepted(self, tag: str, request_id: str) -> None:
        """Append the job's id."""
        await self._append("accepted", tag, request_id=request_id)

    async def in_doubt(self, tag: str, why: str) -> None:
        """Append the doubt."""
        await self._append("in_doubt", tag, why=why)

    async def finished(self, tag: str, outcome: Outcome) -> None:
        """Append the outcome."""
        await self._append(
            "finished",
            tag,
            outcome=type(outcome).__name__,
            request_id=outcome.request_id,
            value=jsonable(outcome),
        )

    async def _append(self, state: str, tag: str, **fields: Any) -> None:
        record = {"at": self._clock(), "state": state, "tag": tag, **fields}
        line = json.dumps(record, ensure_ascii=True, default=str) + "\n"
        await in_thread(self._write, line)

    def _write(self, line: str) -> None:
        try:
            with self._lock.lock:
                new = not self.path.exists()
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self.path.open("a+b") as file:
                    if not new and not _ends_with_newline(file):
                        line = "\n" + line  # the line before was torn by a crash
                    file.write(line.encode())
                    file.flush()
                    os.fsync(file.fileno())
                if new:
                    _sync_folder(self.path.parent)
        except OSError as error:
            raise LedgerError(
                f"cannot write the journal {self.path}: {error.strerror or error}. Free space or "
                f"mend the rights, then go on"
            ) from error

    def entries(self) -> list[JournalEntry]:
        """Return the last known state of each submission; torn lines are passed over.

        What is told of a job under another tag, as by an `attach` without one, is told of the
        submission that brought its id. Reads the whole file at once: call it in a thread from a
        running loop.
        """
        found: dict[str, JournalEntry] = {}
        tags: dict[str, str] = {}
        for record in self._records():
            tag = record["tag"]
            if request_id := record.get("request_id"):
                tag = tags.setdefault(request_id, tag)
            before = found.get(tag, JournalEntry(tag, record["state"]))
            if record["state"] == "accepted" and before.over and before.request_id == request_id:
                continue  # an id that could be written only after its job's end
            found[tag] = JournalEntry(
                tag,
                record["state"],
                request_id=record.get("request_id") or before.request_id,
                model_id=record.get("model_id") or before.model_id,
                over=record["state"] == "not_sent"
                or (record["state"] == "finished" and record.get("outcome") != TimedOut.__name__),
            )
        return list(found.values())

    def unfinished(self) -> list[JournalEntry]:
        """Return what is left to do: ids to attach, and doubts to settle."""
        return [entry for entry in self.entries() if not entry.over]

    def _records(self) -> Iterator[dict[str, Any]]:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for line in file:
                try:
                    record = json.loads(line)
                except ValueError:
                    continue
                if isinstance(record, dict) and {"tag", "state"} <= record.keys():
                    yield record


def _ends_with_newline(file: Any) -> bool:
    if file.seek(0, os.SEEK_END) == 0:
        return True
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) == b"\n")


def _sync_folder(folder: Path) -> None:
    """Make a new file's name durable; Windows neither needs nor allows it."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
