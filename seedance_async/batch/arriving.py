"""A manifest that arrives as it is written: typed on a terminal, or through a pipe.

A read of such a thing may last for ever, and nothing in this process ends it. So a thread of its
own reads, which is left behind once nobody wants the rows any more; it is a daemon, for which the
end of the process does not wait.
"""

from __future__ import annotations

import io
import os
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, cast

from seedance_async.batch.dialect import ManifestError, Readable, Source, form_of
from seedance_async.batch.manifest import open_manifest

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["Opening"]

_CHUNK: Final = 1 << 16
_AHEAD: Final = 4
"""Chunks that are read before they are wanted."""


class Opening:
    """Opens a manifest, so that another thread may leave whoever reads it.

    Args:
        source: What `open_manifest` takes. A file, or a stream of the caller's, is read where its
            bytes are asked for: that ends soon, or is the caller's to end.
    """

    def __init__(self, source: str | Readable) -> None:
        self._source = source
        self._arriving = _Arriving(source) if isinstance(source, str) else None

    @contextmanager
    def opened(self) -> Iterator[Source]:
        """Open it and close it. To read from it blocks; if that may be for long, until `leave`.

        Raises:
            ManifestError: It cannot be opened, or it was left, also while it is read.
        """
        arriving = self._arriving
        if arriving is None or not _may_wait(arriving.source):
            with open_manifest(self._source) as opened:
                yield opened
            return
        with io.BufferedReader(arriving, _CHUNK) as stream:
            if arriving.source == "-":
                yield Source(stream, "standard input", "jsonl")
            else:
                yield Source(stream, arriving.source, form_of(arriving.source))

    def leave(self) -> None:
        """Let no read last any longer; may be repeated, and called in any thread."""
        if self._arriving is not None:
            self._arriving.leave()


def _may_wait(source: str) -> bool:
    """Tell whether a read of a source may wait for somebody who writes it."""
    try:
        if source != "-":
            return not stat.S_ISREG(Path(source).stat().st_mode)
        stdin = sys.stdin.buffer
        is_file = stat.S_ISREG(os.fstat(stdin.fileno()).st_mode)
    except (OSError, ValueError, AttributeError):  # opening it says what is wrong
        return False
    return isinstance(stdin, io.BufferedReader) and not is_file


class _Arriving(io.RawIOBase):
    """The bytes that the thread has read."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._chunks: SimpleQueue[bytes | Exception | None] = SimpleQueue()
        self._room = threading.Semaphore(_AHEAD)
        self._rest = memoryview(b"")
        self._left = False
        self._begun = False
        self._over = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        if not self._begun and not self._left:
            self._begun = True
            name = f"seedance_async reads {self.source}"
            threading.Thread(target=self._read, name=name, daemon=True).start()
        if not self._rest and not self._over:
            self._rest = memoryview(self._next())
            self._over = not self._rest
        into = memoryview(buffer).cast("B")
        size = min(len(into), len(self._rest))
        into[:size], self._rest = self._rest[:size], self._rest[size:]
        return size

    def _next(self) -> bytes:
        chunk = self._chunks.get()
        self._room.release()
        if self._left or chunk is None:
            raise ManifestError("it was left before its end", source=self.source)
        if isinstance(chunk, Exception):
            raise chunk
        return chunk

    def leave(self) -> None:
        self._left = True
        self._chunks.put(None)
        self._room.release()

    def close(self) -> None:
        self.leave()
        super().close()

    # --- in the thread -----------------------------------------------------------------------

    def _read(self) -> None:
        try:
            with open_manifest(self.source) as opened:
                # Past its buffer: Python's end wants to close that one, and aborts the process if
                # a thread still reads through it.
                raw = cast("io.BufferedReader", opened.stream).raw
                while self._room.acquire() and not self._left:
                    chunk = raw.read(_CHUNK)
                    if chunk is None:
                        raise BlockingIOError(0, "nothing has arrived, and it does not wait")
                    self._chunks.put(chunk)
                    if not chunk:
                        return
        except Exception as error:  # noqa: BLE001  told where the rows are read
            self._chunks.put(error)
