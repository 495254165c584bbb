"""The ledger: a batch's journal on disk, `DIR/ledger.sqlite` (design, section 6).

The door of the package's storage: one runner writes, anybody reads. Every word is on disk before
its call returns, and the event loop never waits for the disk: writing, reading and staging each
happen in a thread.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import (
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Sequence,
)
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

from seedance_async.batch import changes
from seedance_async.batch.draft import Draft
from seedance_async.batch.edges import RowState
from seedance_async.batch.entries import (
    PlanSummary,
)
from seedance_async.batch.folder import missing_files, take_folder
from seedance_async.batch.keys import KEY_VERSION
from seedance_async.batch.lock import FolderLock
from seedance_async.batch.queries import LAST_LINE
from seedance_async.batch.reading import LedgerInfo, LedgerReader
from seedance_async.batch.schema import (
    check_jobs,
    check_keys,
    check_whole,
    connect,
    migrate,
    read_meta,
    storable,
    take_origin,
    write_meta,
)
from seedance_async.batch.staging import Staging
from seedance_async.batch.writer import Word, Work, Writer
from seedance_async.errors import LedgerError
from seedance_async.jobs import ErrorInfo, Outcome
from seedance_async.models import Request
from seedance_async.supervisor import in_thread

__all__ = ["SIMULATOR", "Ledger"]

T = TypeVar("T")

Written: TypeAlias = Coroutine[Any, Any, None]
"""Over once a word is on the disk."""

SIMULATOR: Final = "simulator"
"""The origin of a batch on an embedded simulator."""


class Ledger(LedgerReader):
    """A ledger open for writing, under the folder's lock; made by `open`.

    It is the `Journal` of the batch's session: a tag is a row's key. Words may be told again;
    one that contradicts what is written raises LedgerError and changes nothing. Cancelled, a
    call first waits until its change is on disk or refused.

    Attributes:
        draft: The manifest that is to become the plan.
        recovered: How many rows a dead runner had left under way.
        touched: Whether anything was changed since it was opened.
    """

    def __init__(
        self, path: Path, lock: FolderLock, writer: Writer, clock: Callable[[], float]
    ) -> None:
        super().__init__(path)
        self.recovered = 0
        self.touched = False
        self._lock = lock
        self._writer = writer
        self._clock = clock
        self._staging = Staging(path.parent, path)
        self.draft = Draft(self._staging, self._in_thread)
        self._estimates: dict[str, int] = {}

    @property
    def commits(self) -> tuple[int, int]:
        """How many commits were made since it was opened, and how many are acknowledged."""
        return self._writer.commits, self._writer.acknowledged

    @classmethod
    async def open(
        cls,
        folder: Path,
        *,
        origin: str | None,
        key_version: int = KEY_VERSION,
        clock: Callable[[], float] = time.time,
    ) -> Ledger:
        """Open a folder's ledger for writing, or make it; what a dead runner left is set right.

        Args:
            folder: Where it is; made if need be.
            origin: The base URL that its jobs are at, or `SIMULATOR`; None takes that of a
                ledger which is there.
            key_version: The newest algorithm that the caller derives keys by; a ledger that is
                there keeps its own.
            clock: Wall-clock seconds since the epoch.

        Raises:
            LedgerError: Another runner holds it, it belongs to another origin, a newer version
                wrote it, or it cannot be written.
        """
        path = folder / "ledger.sqlite"
        lock = await take_folder(folder, path, clock(), origin is not None)
        try:
            writer = Writer(path, partial(connect, path, write=True))
            ledger = cls(path, lock, writer, clock)
            await ledger._prepare(origin, key_version)
        except BaseException:
            await in_thread(lock.release)
            raise
        return ledger

    @staticmethod
    async def read(folder: Path) -> LedgerReader:
        """Open a folder's ledger for reading, without the lock; close it after use.

        Raises:
            LedgerError: There is none, or this version cannot read it.
        """
        path = folder / "ledger.sqlite"
        if not await in_thread(path.exists):
            raise LedgerError(f"there is no ledger in {folder}: give the --out of a batch")
        reader = LedgerReader(path)
        try:
            await reader.start()
        except BaseException:
            await reader.aclose()
            raise
        return reader

    async def _prepare(self, origin: str | None, key_version: int) -> None:
        def prepare(connection: sqlite3.Connection) -> int:
            check_whole(connection, self.path)
            check_keys(read_meta(connection), key_version)
            meta = migrate(connection)
            check_jobs(connection, self.path)
            known = take_origin(meta, origin, unused=not changes.was_used(connection))
            connection.execute("BEGIN IMMEDIATE")
            write_meta(connection, origin=known)
            if "key_version" not in meta:
                write_meta(connection, key_version=str(key_version))
            recovered = changes.recover(connection, simulated=known == SIMULATOR)
            connection.execute("COMMIT")
            return recovered

        self.recovered = await self._writer.start(prepare)
        self.touched = self.recovered > 0
        try:
            await super().start()
        except BaseException:
            await self._writer.aclose()
            await super().aclose()
            raise

    async def aclose(self) -> None:
        """Write what was asked for, close, and give the lock back; may be repeated."""
        try:
            await super().aclose()
        finally:
            try:
                await self._writer.aclose()
            finally:
                await in_thread(self._give_back)

    def _give_back(self) -> None:
        if self._lock.held:  # else the staging file is another runner's
            self._staging.discard()
        self._lock.release()

    # --- the plan -----------------------------------------------------------------------------

    async def plan(self, *, manifest: str | None = None, skip_invalid: bool = False) -> PlanSummary:
        """Make the staged rows the plan, in one transaction.

        New rows are added; known ones keep their state and take their new line; those that are
        not staged stay with `line` None, and are not submitted. The lines that are left out are
        kept for the results, with what is wrong with them: see `invalid`.

        Args:
            manifest: What identifies the manifest, such as its sha256: see `info.manifest`.
            skip_invalid: Leave out the lines with problems and conflicts instead of refusing all.

        Raises:
            LedgerError: There are problems or conflicts, nothing is staged, or the disk refuses.
        """
        meta = {} if manifest is None else {"manifest": manifest}
        work = partial(self._staging.plan, meta=meta, skip_invalid=skip_invalid)
        self.touched = True
        summary = await self._writer.alone(work)
        self._info = LedgerInfo(
            self.info.origin, self.info.key_version, manifest or self.info.manifest
        )
        return summary

    def now(self) -> float:
        """Return wall-clock seconds, by the clock that writes the ledger's times."""
        return self._clock()

    # --- the session's journal -----------------------------------------------------------------

    def reserve(self, key: str, estimate: int) -> None:
        """Set the micro-dollars that the row's next `submitting` writes down as set aside."""
        self._estimates[key] = estimate

    def submitting(self, tag: str, request: Request) -> Written:
        """Write down that a POST is about to leave.

        Raises:
            LedgerError: The row is not planned, or the disk refuses: nothing may be sent.
        """
        del request  # the plan has it
        now, estimate = self._clock(), self._estimates.pop(tag, None)
        return self._tell(lambda db, book: changes.begin(db, book, tag, now, estimate))

    def not_sent(self, tag: str, why: str) -> Written:
        """Write down that nothing was accepted: the row is planned again."""
        return self._tell(lambda db, book: changes.take_back(db, book, tag, storable(why)))

    def accepted(self, tag: str, request_id: str) -> Written:
        """Write down the id of a job that may be billed."""
        now = self._clock()
        return self._tell(lambda db, book: changes.accept(db, book, tag, request_id, now))

    def in_doubt(self, tag: str, why: str) -> Written:
        """Write down that nobody knows whether it was accepted."""
        error = ErrorInfo("InDoubt", storable(why))
        return self._tell(lambda db, book: changes.doubt(db, book, tag, error))

    def finished(self, tag: str, outcome: Outcome) -> Written:
        """Write down how it ended, and what it cost."""
        return self._tell(changes.ending(tag, outcome, self._clock()))

    # --- what becomes of the videos, and what a person decides ---------------------------------

    async def downloaded(
        self, key: str, file: str, size: int, sha256: str, *, began: float | None = None
    ) -> None:
        """Write down that a row's video is on disk.

        Args:
            key: The row's.
            file: Relative to the folder.
            size: Bytes.
            sha256: Of its content, in hex.
            began: When it was first asked for, by `now`; None: not known.
        """
        name, now = storable(file), self._clock()
        await self._write(lambda db: changes.download(db, key, name, size, sha256, began, now))

    async def download_failed(self, key: str, why: str, *, final: bool) -> None:
        """Write down why a row's video is not on disk.

        Args:
            key: The row's.
            why: Shown as the row's error until the video is on disk.
            final: Whether it is not tried again by itself.

        Raises:
            LedgerError: The row is not succeeded, or the disk refuses.
        """
        await self._write(lambda db: changes.fail_download(db, key, storable(why), final=final))

    async def forget_videos(self) -> int:
        """Plan the listed succeeded rows of a batch on the simulator again; return how many.

        Their videos died with the simulator that an earlier process embedded; they cost nothing.

        Raises:
            LedgerError: The origin is a service, whose videos are paid for.
        """
        if self.info.origin != SIMULATOR:
            raise LedgerError(
                f"this ledger belongs to {self.info.origin}: its videos are paid for, so they are "
                f"downloaded and not made again"
            )
        return await self._write(changes.forget_videos)

    async def look_for_files(self, folder: Path) -> int:
        """Let rows whose video is no longer on the disk, whole, be downloaded again.

        Args:
            folder: What the files are relative to.

        Returns:
            How many there are.
        """
        gone = 0
        async for page in self.files():
            for key in await in_thread(missing_files, folder, page):
                gone += await self._write(partial(changes.forget_file, key=key))
        return gone

    async def resolve(
        self, key: str, *, request_id: str | None = None, not_billed: bool = False
    ) -> None:
        """Settle a doubt: adopt the job that was found, or plan the row again.

        Raises:
            LedgerError: The row is not in doubt, or the id belongs to another row.
            ValueError: Neither or both were said.
        """
        if (request_id is None) is not not_billed:
            raise ValueError("give either the request id or not_billed=True")
        if request_id is None:
            await self._write(lambda db: changes.resolve_not_billed(db, key))
        else:
            await self._write(lambda db: changes.resolve_adopt(db, key, request_id))

    async def retry(
        self,
        states: Collection[RowState],
        *,
        through: int | None = None,
        keys: Sequence[str] | None = None,
    ) -> int:
        """Plan the rows in these states again, each for a new attempt; return how many.

        Rows that the manifest no longer has stay as they are.

        Args:
            states: Which states.
            through: The last line that counts.
            keys: Which rows; None: all.

        Raises:
            LedgerError: A state other than failed, cancelled or lost: with the reason.
        """
        last = LAST_LINE if through is None else through
        return await self._write(lambda db: changes.retry(db, states, last, keys))

    async def note_results(self, mark: str) -> None:
        """Write down what the file of results that tells of this ledger looks like."""
        await self._writer.write(partial(write_meta, results=mark))

    async def results_mark(self) -> str | None:
        """Return what was noted last."""
        return (await self._ask(read_meta)).get("results")

    def _write(self, work: Work[T]) -> Awaitable[T]:
        self.touched = True
        return self._writer.write(work)

    def _tell(self, word: Word) -> Written:
        self.touched = True
        return self._writer.tell(word)
