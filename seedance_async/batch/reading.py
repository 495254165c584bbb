"""Reading a ledger, also while a batch writes it: a thread and a connection of its own."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import attrs

from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import (
    Doubt,
    FullRow,
    KnownJob,
    Money,
    OpenJob,
    PlannedRow,
    ReadyVideo,
    RowEntry,
    RowProblem,
    Stations,
    Unsettled,
)
from seedance_async.batch.queries import LAST_LINE, SQL, key_array
from seedance_async.batch.schema import (
    check_current,
    check_version,
    connect,
    explain,
    read_meta,
)
from seedance_async.errors import LedgerError
from seedance_async.jobs import ErrorInfo
from seedance_async.models import RawRequest, Shape, shape
from seedance_async.supervisor import see_through, stop_and_see_through

__all__ = ["LedgerInfo", "LedgerReader"]

T = TypeVar("T")

_PAGE: Final = 1000
"""Rows of one read: a few hundred KB, a few milliseconds."""

_STATIONS: Final = len(attrs.fields(Stations))

_LATE: Final = 1800.0
"""Seconds for which a job is waited for by default; a later end tells when somebody came back."""


@attrs.frozen
class LedgerInfo:
    """What a ledger says of itself.

    Attributes:
        origin: The base URL that its jobs are at, or `simulator`.
        key_version: The version of the algorithm that derived its keys.
        manifest: What identifies the manifest that was planned last; None: nothing is planned.
    """

    origin: str
    key_version: int
    manifest: str | None

    @classmethod
    def of(cls, meta: dict[str, str]) -> Self:
        """Return what the `meta` table says."""
        return cls(meta["origin"], int(meta["key_version"]), meta.get("manifest"))


class LedgerReader:
    """Asks a ledger; no question waits on the event loop's thread.

    Streams go in pages, each of its own moment: a row that a running batch moves meanwhile may
    be seen before or after.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._info: LedgerInfo | None = None
        self._reading: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="seedance_async ledger reader")

    @property
    def info(self) -> LedgerInfo:
        """What the ledger says of itself."""
        if self._info is None:
            raise LedgerError(f"the ledger {self.path} is not open")
        return self._info

    async def start(self) -> None:
        """Open the connection and read what the ledger says of itself.

        Raises:
            LedgerError: There is no ledger, or this version cannot read it.
        """

        def opened(connection: sqlite3.Connection) -> LedgerInfo:
            return LedgerInfo.of(check_current(check_version(read_meta(connection))))

        try:
            self._info = await self._ask(opened)
        except KeyError as error:  # made, but never brought to its first version
            raise LedgerError(f"there is no ledger in {self.path.parent} yet") from error

    async def aclose(self) -> None:
        """Close the connection and end the thread; may be repeated."""
        await see_through(asyncio.get_running_loop().run_in_executor(None, self._end_reading))

    def _end_reading(self) -> None:
        def close() -> None:
            if self._reading is not None:
                self._reading.close()
                self._reading = None

        try:
            self._thread.submit(close)
        except RuntimeError:  # closed before
            return
        self._thread.shutdown(wait=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _ask(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._in_thread(self._read, work)

    async def _in_thread(
        self, work: Callable[..., T], *args: Any, on_cancel: Callable[[], object] | None = None
    ) -> T:
        loop = asyncio.get_running_loop()
        try:
            future = loop.run_in_executor(self._thread, work, *args)
        except RuntimeError:  # shut down
            raise LedgerError(f"the ledger {self.path} is closed") from None
        if on_cancel is None:
            return await see_through(future)
        return await stop_and_see_through(future, on_cancel)

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._reading is None:
                self._reading = connect(self.path)
            return work(self._reading)
        except sqlite3.Error as error:
            raise explain(self.path, error) from error

    async def _all(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return await self._ask(lambda connection: connection.execute(query, values).fetchall())

    async def _pages(self, query: str, *values: object) -> AsyncIterator[tuple[Any, ...]]:
        """Stream a query whose first column is the place to go on from."""
        after = -1
        while True:
            page = await self._all(query, *values, after, _PAGE)
            for found in page:
                yield found
            if len(page) < _PAGE:
                return
            after = page[-1][0]

    async def next_planned(
        self, n: int, after: int = 0, through: int | None = None
    ) -> list[PlannedRow]:
        """Return up to `n` rows to submit, in the manifest's order.

        Args:
            n: How many at most.
            after: The line behind which to begin.
            through: The last line that counts.
        """
        found = await self._all(SQL["next_planned"], after, _last(through), n)
        return [PlannedRow(*row) for row in found]

    async def planned(self, keys: Sequence[str]) -> list[PlannedRow]:
        """Return those of these rows that wait to be submitted, in the manifest's order."""
        found = await self._all(SQL["planned_keys"], key_array(keys))
        return [PlannedRow(*row) for row in found]

    async def known(self, keys: Sequence[str]) -> set[str]:
        """Return which of these keys the ledger has."""
        return {key for (key,) in await self._all(SQL["known_keys"], key_array(keys))}

    async def line_of(self, nth: int) -> int | None:
        """Return the line of the manifest's nth row, from 1; None if it has fewer.

        Raises:
            ValueError: `nth` is less than 1.
        """
        if nth < 1:
            raise ValueError(f"rows count from 1, not {nth}")
        found = await self._all(SQL["line_of"], nth - 1)
        return found[0][0] if found else None

    async def name_is_taken(self, key: str, number: int = 1) -> bool:
        """Return whether another row may call a file as this row would call its video.

        That is a row that was planned before and has the same key but for ASCII case, or, of
        `fox` and its second video, a row `fox-2`; and the other way round.

        Args:
            key: The row's.
            number: Which of the job's videos, from 1.
        """
        found = await self._all(SQL["name_is_taken"], key)
        if found and found[0][0]:
            return True
        if number > 1:
            found = await self._all(SQL["key_exists"], *[f"{key}-{number}"] * 2)
            return bool(found[0][0])
        further = re.fullmatch(r"(.+)-([0-9]{1,9})", key, re.DOTALL)
        if further is None:
            return False
        found = await self._all(SQL["further_video"], *[further[1]] * 2, int(further[2]))
        return bool(found[0][0])

    async def owner_of_file(self, file: str) -> str | None:
        """Return the key of the row whose video a file is, its name without regard to ASCII case.

        Args:
            file: Relative to the batch's folder.
        """
        found = await self._all(SQL["file_owner"], file)
        return found[0][0] if found else None

    async def open_jobs(self) -> AsyncGenerator[OpenJob, None]:
        """Stream the jobs to attach, in the order of their submission."""
        async for _, *found in self._pages(SQL["open_jobs"]):
            yield OpenJob(*found)

    async def doubts(self) -> AsyncIterator[Doubt]:
        """Stream what a person must settle, in the order of submission."""
        async for _, *found in self._pages(SQL["doubts"]):
            yield Doubt(*found)

    async def ready_videos(self, *, final: bool = False) -> AsyncGenerator[ReadyVideo, None]:
        """Stream what is to be downloaded, in the manifest's order; what it no longer has is last.

        Args:
            final: Whether also what is not tried again by itself.
        """
        for query in (SQL["ready_listed"], SQL["ready_gone"]):
            async for _, key, request_id, url, more in self._pages(query, final):
                yield ReadyVideo(key, request_id, url, tuple(json.loads(more or "[]")))

    async def rows(self) -> AsyncIterator[RowEntry]:
        """Stream all rows in the manifest's order; those it no longer has come last."""
        for query in (SQL["rows_listed"], SQL["rows_gone"]):
            async for _, *found in self._pages(query):
                yield _entry(found)

    async def full_rows(self) -> AsyncIterator[FullRow]:
        """Stream what `rows` streams, with what was asked for."""
        for query in (SQL["full_listed"], SQL["full_gone"]):
            async for _, number, given, estimate, accepted_at, *found in self._pages(query):
                way, entry = Stations(*found[:_STATIONS]), _entry(found[_STATIONS:])
                yield FullRow(number, given, estimate, accepted_at, way, entry)

    async def known_jobs(self) -> AsyncIterator[KnownJob]:
        """Stream the accepted attempts of all rows, in the order of their submission."""
        async for _, *found in self._pages(SQL["known_jobs"]):
            found[-_STATIONS:] = [Stations(*found[-_STATIONS:])]
            yield KnownJob(*found)

    async def row(self, key: str) -> RowEntry | None:
        """Return one row."""
        found = await self._all(SQL["row_of_key"], key)
        return _entry(list(found[0][1:])) if found else None

    async def invalid(self) -> AsyncIterator[RowProblem]:
        """Stream what is wrong with the lines that the plan left out, by line."""
        async for _, *found in self._pages(SQL["invalid"]):
            yield RowProblem(*found)

    async def invalid_lines(self) -> int:
        """Return how many lines the plan left out."""
        ((count,),) = await self._all(SQL["invalid_lines"])
        return int(count)

    async def files(self) -> AsyncGenerator[list[tuple[str, str, int]], None]:
        """Stream what is downloaded, a page at a time: key, file and size in bytes."""
        after = -1
        while page := await self._all(SQL["files"], after, _PAGE):
            yield [(key, file, size) for _, key, file, size in page]
            after = page[-1][0]

    async def counts(
        self, *, through: int | None = None, keys: Sequence[str] | None = None
    ) -> dict[RowState, int]:
        """Return how many rows are in each state.

        Planned rows that the manifest no longer has do not count: they are not submitted.

        Args:
            through: The last line that counts; rows that the manifest no longer has do not.
            keys: Which rows; None: all.
        """
        if keys is not None:
            found = await self._all(SQL["counts_keys"], key_array(keys), _last(through))
        elif through is not None:
            found = await self._all(SQL["counts_through"], through, json.dumps(list(RowState)))
        else:
            found = await self._all(SQL["counts"])
        counts = dict(found)
        return {state: counts.get(state.value, 0) for state in RowState}

    async def shapes(
        self, *, through: int | None = None, keys: Sequence[str] | None = None
    ) -> list[tuple[Shape, int]]:
        """Return the shapes of the rows that wait to be submitted, and how many have each.

        Args:
            through: The last line that counts.
            keys: Which rows; None: all.
        """
        if keys is None:
            found = await self._all(SQL["shapes"], _last(through))
        else:
            found = await self._all(SQL["shapes_keys"], key_array(keys), _last(through))
        counts: Counter[Shape] = Counter()
        for model_id, what, count in found:
            counts[_shape(model_id, what)] += count
        return list(counts.items())

    async def unlisted_planned(self) -> int:
        """Return how many planned rows the manifest no longer has: they are not submitted."""
        ((count,),) = await self._all(SQL["unlisted_planned"])
        return int(count)

    async def money(self) -> Money:
        """Return what all runs settled and what stays set aside."""
        (sums,) = await self._all(SQL["money"])
        return Money(*sums)

    async def unsettled(self) -> list[Unsettled]:
        """Return the attempts that are or may be paid for and whose cost is not known."""
        return [
            Unsettled(_shape(model_id, what), estimate, succeeded, count)
            for model_id, what, estimate, succeeded, count in await self._all(SQL["unsettled"])
        ]

    async def paid_attempts(self) -> int:
        """Return how many attempts of all runs are paid for, or may be."""
        ((count,),) = await self._all(SQL["paid_attempts"])
        return int(count)

    async def dearest(self) -> dict[Shape, int]:
        """Return the dearest known cost of each shape, in micro-dollars, for estimates."""
        found: dict[Shape, int] = {}
        for model_id, what, cost in await self._all(SQL["dearest"]):
            which = _shape(model_id, what)
            found[which] = max(cost, found.get(which, 0))
        return found

    async def lasted(self) -> list[tuple[Shape, float]]:
        """Return how long the last thousand videos took, in seconds, oldest first."""
        found = await self._all(SQL["lasted"], _LATE, _PAGE)
        return [(_shape(model_id, what), seconds) for model_id, what, seconds in reversed(found)]


def _last(through: int | None) -> int:
    return LAST_LINE if through is None else through


def _shape(model_id: str, what: str | None) -> Shape:
    resolution, duration, audio = json.loads(what) if what else (None, None, None)
    given = {"resolution": resolution, "duration": duration, "generate_audio": audio}
    return shape(RawRequest(model_id, given))


def _entry(found: list[Any]) -> RowEntry:
    """Return a row as results tell it, from the columns of `rows_listed` behind the first."""
    *told, kind, code, message, download_error, submitted_at, finished_at = found
    error = None if kind is None else ErrorInfo(kind, message, code)
    if download_error is not None:
        error = ErrorInfo("DownloadError", download_error)
    told += [error, submitted_at, finished_at]
    return RowEntry(*told)
