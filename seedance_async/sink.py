"""Where a download goes: the `.part` file, its digest, and the thread that writes it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Final

import attrs

from seedance_async.supervisor import see_through

__all__ = ["DownloadedFile", "Sink", "Writing"]

_AHEAD: Final = 1 << 20
"""Bytes that may wait for the disk while a thread writes."""
_BOXES: Final = frozenset(
    b"ftyp styp moov mdat moof mfra sidx ssix free skip wide uuid meta pdin".split()
)


@attrs.frozen
class DownloadedFile:
    """A video on disk.

    Attributes:
        path: Where.
        size: Bytes.
        sha256: Hex digest.
    """

    path: Path
    size: int
    sha256: str


class Sink:
    """The `.part` file and its digest; its methods block and run in threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.head = b""
        self._file: BinaryIO | None = None
        self._digest = hashlib.sha256()

    def restart(self) -> None:
        """Begin at the first byte."""
        self.close()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("wb")
        self._digest = hashlib.sha256()
        self.size = 0
        self.head = b""

    def write(self, chunks: Iterable[bytes]) -> None:
        """Append."""
        assert self._file is not None
        for chunk in chunks:
            self._file.write(chunk)
            self._digest.update(chunk)
            self.size += len(chunk)
            if len(self.head) < 16:
                self.head += chunk[: 16 - len(self.head)]

    def finish(self, target: Path) -> DownloadedFile:
        """Make it durable under its own name."""
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        self.close()
        self.path.replace(target)
        return DownloadedFile(target, self.size, self._digest.hexdigest())

    def is_whole_mp4(self, promised: bool) -> bool:
        """Tell whether the boxes of an MP4 end where the file ends; True for what is none.

        Args:
            promised: The size is the promised one; then a few bytes after the last box pass.
        """
        if self.head[4:8] != b"ftyp":
            return True
        assert self._file is not None
        self._file.flush()
        offset = 0
        with self.path.open("rb") as file:
            while offset < self.size:
                file.seek(offset)
                header = file.read(16)
                if len(header) < 8:
                    return promised  # else cut within a box's header
                if header[4:8] not in _BOXES:
                    return True  # no MP4 that we know, or something behind its end
                size = int.from_bytes(header[:4])
                if size == 1 and len(header) == 16:
                    size = int.from_bytes(header[8:16])
                elif size == 0:
                    return True  # the last box reaches to the end, by definition
                if size < 8:
                    return False
                offset += size
        return offset == self.size

    def close(self) -> None:
        """Close the file, if open."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def discard(self) -> None:
        """Remove what is left of the `.part` file; a disk in trouble has been told of before."""
        with contextlib.suppress(OSError):
            self.close()
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)


class Writing:
    """Writes what came while more comes: one thread at a time takes all that waits for it."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._waiting: list[bytes] = []
        self._size = 0
        self._under_way: asyncio.Future[None] | None = None

    async def put(self, chunk: bytes) -> None:
        """Take a chunk; wait for the disk only where it is far behind."""
        self._waiting.append(chunk)
        self._size += len(chunk)
        if self._under_way is None or self._under_way.done() or self._size >= _AHEAD:
            await self._end()
            self._begin()

    async def finish(self) -> None:
        """Wait until all that came is written; cancelled meanwhile, until no thread writes."""
        await self._end()
        if self._waiting:
            self._begin()
            await self._end()

    def _begin(self) -> None:
        chunks, self._waiting, self._size = self._waiting, [], 0
        loop = asyncio.get_running_loop()
        self._under_way = loop.run_in_executor(None, self._sink.write, chunks)

    async def _end(self) -> None:
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            await see_through(under_way)
