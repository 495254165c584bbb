"""A server of large files on a link of a given speed, for benchmarks/downloads.py.

Any path is the same file; ranges are not known. The link is one bucket of tokens for all
connections together, refilled as time passes. In a process of its own; prints its port:

    python -m benchmarks.fileserver --bytes 10000000 [--link 125000000] [--core N]
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Final

from benchmarks.cores import pin

_PIECE: Final = 64 * 1024
_BURST: Final = 0.05
"""Seconds' worth of bytes that may follow at once after a pause, for timers are late."""


class Link:
    """A link that carries so many bytes a second, whoever sends.

    Args:
        speed: Bytes a second; None: as many as will.
    """

    def __init__(self, speed: float | None) -> None:
        self._speed = speed
        self._free_at = 0.0

    async def take(self, size: int) -> None:
        """Wait until the link has room for so many bytes."""
        if self._speed is None:
            return
        now = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now - _BURST) + size / self._speed
        if self._free_at > now:
            await asyncio.sleep(self._free_at - now)


def video(size: int) -> bytes:
    """Return an MP4 as far as a download looks: its first box, and one that fills the rest."""
    first = (16).to_bytes(4) + b"ftypisom" + bytes(4)
    rest = size - len(first)
    return first + rest.to_bytes(4) + b"mdat" + bytes(range(256)) * ((rest - 8) // 256 + 1)


async def _serve(size: int, speed: float | None) -> None:
    content = memoryview(video(size)[:size])
    link = Link(speed)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: %d\r\n\r\n" % size

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(head)
                for start in range(0, size, _PIECE):
                    piece = content[start : start + _PIECE]
                    await link.take(len(piece))
                    writer.write(piece)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser(description="Large files on a slow link.")
    parser.add_argument("--bytes", type=int, required=True)
    parser.add_argument("--link", type=float, help="bytes a second; else as many as will")
    parser.add_argument("--core", type=int, help="the core to stay on")
    given = parser.parse_args()
    pin(given.core)
    asyncio.run(_serve(given.bytes, given.link))


if __name__ == "__main__":
    main()
