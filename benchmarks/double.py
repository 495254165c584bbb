"""The double that benchmarks talk to: answers a POST with an id and a GET with a finished video.

No simulator: it checks nothing and draws nothing, so that it stays several times cheaper than any
client and never is the bottleneck. It counts what it answers, and `GET /books` tells.

Run by the benchmarks in a process of its own; prints its port:

    python -m benchmarks.double [--core N] [--job-seconds 10] [--delay 0.1]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import resource
import time
from datetime import UTC, datetime
from typing import Final, cast

try:
    import uvloop
except ImportError:
    run = asyncio.run
else:
    run = uvloop.run

from benchmarks.cores import pin

_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
# The documented bodies (wire.md, sections 1 and 3); ids have the length of a UUID.
_ACCEPTED: Final = (
    b'{"request_id": "%b", "status_url": "https://model-api.runcomfy.net/v1/requests/%b/status", '
    b'"result_url": "https://model-api.runcomfy.net/v1/requests/%b/result", '
    b'"cancel_url": "https://model-api.runcomfy.net/v1/requests/%b/cancel"}'
)
_COMPLETED: Final = (
    b'{"request_id": "%b", "status": "completed", "output": {"video": '
    b'"https://playgrounds-storage-public.runcomfy.net/b/output/%b.mp4"}, '
    b'"created_at": "2026-06-16T14:31:14Z", "finished_at": "%b", '
    b'"model_id": "bytedance/seedance-1-0/pro/fast/text-to-video", "cost": 0.05}'
)
_RUNNING: Final = b'{"request_id": "%b", "status": "in_progress"}'
_LONG_AGO: Final = b"2026-06-16T14:32:20.500Z"
_ID: Final = b"6f21c6f0-4a25-49ee-b720-%012x"
_RESULT: Final = b"GET /v1/requests/"


class Books:
    """What was answered since the double began."""

    def __init__(self, job_seconds: float) -> None:
        self.job_seconds = job_seconds
        self.finishing: dict[bytes, float] = {}
        self.ids = itertools.count()
        self.posts = 0
        self.gets = 0
        self.connections = 0

    def as_json(self) -> bytes:
        """Return the counts and the CPU seconds of this process."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        return json.dumps(
            {
                "posts": self.posts,
                "gets": self.gets,
                "connections": self.connections,
                "cpu": used.ru_utime + used.ru_stime,
            }
        ).encode()


class Connection(asyncio.Protocol):
    """One keep-alive connection; knows just enough HTTP/1.1 for the clients measured here."""

    def __init__(self, books: Books, delay: float) -> None:
        self._books = books
        self._delay = delay
        self._loop = asyncio.get_running_loop()
        self._pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._books.connections += 1

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole."""
        data = self._pending + data
        while data:
            end = data.find(b"\r\n\r\n") + 4
            if end < 4:
                break
            if data.startswith(b"POST"):
                end += _content_length(data[:end])
                if len(data) < end:
                    break
            body = self._answer(data[:end])
            answer = b"%b%d\r\n\r\n%b" % (_HEAD, len(body), body)
            if self._delay:
                self._loop.call_later(self._delay, self._transport.write, answer)
            else:
                self._transport.write(answer)
            data = data[end:]
        self._pending = data

    def _answer(self, request: bytes) -> bytes:
        books = self._books
        if request.startswith(b"POST"):
            books.posts += 1
            request_id = _ID % next(books.ids)
            if books.job_seconds:
                books.finishing[request_id] = time.time() + books.job_seconds
            return _ACCEPTED % (request_id, request_id, request_id, request_id)
        if request.startswith(_RESULT):
            books.gets += 1
            request_id = request[len(_RESULT) : request.index(b"/", len(_RESULT))]
            finished = books.finishing.get(request_id, 0.0)
            if finished > time.time():
                return _RUNNING % request_id
            return _COMPLETED % (request_id, request_id, _moment(finished))
        return books.as_json()


def _moment(at: float) -> bytes:
    return datetime.fromtimestamp(at, UTC).isoformat().encode() if at else _LONG_AGO


def _content_length(head: bytes) -> int:
    at = head.lower().index(b"\r\ncontent-length:") + len(b"\r\ncontent-length:")
    return int(head[at : head.index(b"\r\n", at)])


async def _serve(job_seconds: float, delay: float) -> None:
    books = Books(job_seconds)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(books, delay), "127.0.0.1", 0, backlog=1024
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser(description="The double of the benchmarks.")
    parser.add_argument("--core", type=int, help="the core to stay on")
    parser.add_argument("--job-seconds", type=float, default=0.0, help="from POST to completion")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    given = parser.parse_args()
    pin(given.core)
    run(_serve(given.job_seconds, given.delay))


if __name__ == "__main__":
    main()
