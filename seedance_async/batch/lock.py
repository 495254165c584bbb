"""The lock that lets one runner work in a folder.

The operating system holds it for as long as the process lives, so a dead runner leaves none.
The file's text only tells who holds it; it means nothing once the lock is free.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from seedance_async.errors import LedgerError

if sys.platform == "win32":
    import msvcrt

    _PLACE = 1 << 30
    """Windows locks bytes against reading too: one far behind the text."""
else:
    import fcntl

__all__ = ["FolderLock"]


class FolderLock:
    """An exclusive lock on a file; held from construction to `release`.

    Args:
        path: The lock's file, made if need be and never removed.
        now: Wall-clock seconds, for those who find it locked.

    Raises:
        LedgerError: Somebody holds it (the text tells who), or the file cannot be used.
    """

    def __init__(self, path: Path, *, now: float) -> None:
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise _unusable(path, error) from error
        try:
            self._take(now)
        except BaseException:
            os.close(self._descriptor)
            raise

    def _take(self, now: float) -> None:
        try:
            _lock(self._descriptor)
        except (BlockingIOError, PermissionError):
            raise LedgerError(_held(self.path, self._text())) from None
        except OSError as error:
            raise _unusable(self.path, error) from error
        since = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
        text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since})
        with suppress(OSError):  # a full disk: the lock holds without a name
            self._write(text.encode())

    def _text(self) -> str:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        return os.read(self._descriptor, 1000).decode(errors="replace")

    def _write(self, text: bytes) -> None:
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, text)

    @property
    def held(self) -> bool:
        """Whether it is still ours."""
        return self._descriptor >= 0

    def release(self) -> None:
        """Give the lock back; may be repeated."""
        if self._descriptor < 0:
            return
        descriptor, self._descriptor = self._descriptor, -1
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
        with suppress(OSError):
            _unlock(descriptor)  # said aloud: a forked child may hold a copy of the descriptor
        os.close(descriptor)


if sys.platform == "win32":

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _PLACE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, _PLACE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _held(path: Path, text: str) -> str:
    """Say who holds the lock, as far as the file tells."""
    try:
        told = json.loads(text)
        holder = f"process {told['pid']} on {told['host']} since {told['since']}"
    except (ValueError, KeyError, TypeError):
        holder = "another process"
    return (
        f"the folder {path.parent} is in use by {holder}. Wait until it ends or interrupt it; "
        f"nothing was changed"
    )


def _unusable(path: Path, error: OSError) -> LedgerError:
    return LedgerError(
        f"cannot lock {path}: {error.strerror or error}. Mend the rights or use another folder, "
        f"on a local disk"
    )
