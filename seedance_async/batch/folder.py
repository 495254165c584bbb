"""A batch's folder: taken by one runner, not without its ledger, copied for a dry run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from seedance_async.batch.lock import FolderLock
from seedance_async.batch.schema import back_up
from seedance_async.batch.staging import Staging
from seedance_async.errors import LedgerError
from seedance_async.supervisor import in_thread, see_through

__all__ = ["copy_ledger", "missing_files", "take_folder"]


def missing_files(folder: Path, files: Iterable[tuple[str, str, int]]) -> list[str]:
    """Return the keys of those that are not there, or have another size."""
    gone = []
    for key, file, size in files:
        try:
            there = (folder / file).stat().st_size == size
        except OSError:
            there = False
        if not there:
            gone.append(key)
    return gone


async def take_folder(folder: Path, path: Path, now: float, make: bool) -> FolderLock:
    """Take a folder's lock in a thread; cancelled meanwhile, give it back.

    Args:
        folder: The batch's.
        path: Its ledger.
        now: Wall-clock seconds since the epoch.
        make: Whether a folder that is not there is made.

    Raises:
        LedgerError: Another runner holds it, it lost its ledger, or it cannot be made.
    """
    loop = asyncio.get_running_loop()
    taking = loop.run_in_executor(None, _take_lock, folder, path, now, make)
    try:
        return await see_through(taking)
    except asyncio.CancelledError:
        if taking.done() and not taking.cancelled() and taking.exception() is None:
            await in_thread(taking.result().release)
        raise


def _take_lock(folder: Path, path: Path, now: float, make: bool) -> FolderLock:
    try:
        if make:
            folder.mkdir(parents=True, exist_ok=True)
        elif not path.exists():
            raise LedgerError(f"there is no ledger in {folder}: give the --out of a batch")
    except OSError as error:
        raise LedgerError(
            f"cannot make the folder {folder}: {error.strerror or error}. Mend the rights or use "
            f"another --out"
        ) from error
    lock = FolderLock(folder / "ledger.lock", now=now)
    try:
        _check_not_lost(folder, path)
        Staging(folder, path).clear()
    except BaseException:
        lock.release()
        raise
    return lock


def _check_not_lost(folder: Path, path: Path) -> None:
    """Refuse a folder whose batch has lost its ledger: all of it would be paid for again."""
    if path.exists() and path.stat().st_size:
        return
    if (folder / "results.jsonl").is_file() or any(folder.glob("videos/*.mp4")):
        raise LedgerError(
            f"{folder} has the results or videos of a batch, but no ledger.sqlite, so nobody knows "
            f"what is paid for; a new one would pay again. Put the ledger back, or use another "
            f"--out"
        )


async def copy_ledger(folder: Path, into: Path) -> bool:
    """Copy a folder's ledger into another folder, for a dry run; False if there is none.

    It only reads, so it works while a batch writes, and changes nothing in `folder`.
    Cancelled, it first copies to the end.

    Args:
        folder: Where the ledger is.
        into: Where the copy goes; made if need be, and a ledger in it is replaced.

    Raises:
        LedgerError: The ledger cannot be read, or the copy cannot be written.
    """
    return await in_thread(_copy, folder / "ledger.sqlite", into)


def _copy(path: Path, into: Path) -> bool:
    if not path.exists():
        return False
    try:
        into.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerError(
            f"cannot make the folder {into}: {error.strerror or error}. Mend the rights"
        ) from error
    back_up(path, into / path.name)
    return True
