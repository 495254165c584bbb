"""A server of raw bytes on loopback, for answers that no proper server would give.

A test's handler is a coroutine that gets one `Conversation` for each connection and does with it
what it likes; what it leaves open is closed when the server ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl as ssl_module
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import TypeAlias

import aiohttp
import attrs

from seedance_async.credentials import Token
from seedance_async.http import HttpTransport, Limits

SECRET = "sk-fox-9876543210"  # the token of all tests that talk to this server


@attrs.frozen
class SeenRequest:
    """A request as it came over the wire, header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int


@attrs.define
class Place:
    """Where the server listens, and what it saw."""

    port: int = 0
    connections: int = 0
    requests: list[SeenRequest] = attrs.field(factory=list)
    raw: bytearray = attrs.field(factory=bytearray)
    closed_by_client: int = 0
    part: Path | None = None  # the file that a download grows, to see what has arrived

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}"


class Conversation:
    """One connection, from the server's side."""

    def __init__(
        self, place: Place, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.place = place
        self.number = place.connections
        self._reader = reader
        self._writer = writer

    async def head(self) -> SeenRequest | None:
        """Read a request's head, leaving its body; None if the client closed."""
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            self.place.raw += getattr(error, "partial", b"")
            self.place.closed_by_client += 1
            return None
        self.place.raw += head
        first, *lines = head.decode("latin-1").rstrip().split("\r\n")
        method, target, _version = first.split(" ")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        return SeenRequest(method, target, headers, b"", self.number)

    async def some(self, size: int) -> bytes:
        """Read exactly `size` bytes."""
        data = await self._reader.readexactly(size)
        self.place.raw += data
        return data

    async def request(self) -> SeenRequest | None:
        """Read a whole request and remember it; None if the client closed."""
        head = await self.head()
        if head is None:
            return None
        body = await self.some(int(head.headers.get("content-length", "0")))
        seen = attrs.evolve(head, body=body)
        self.place.requests.append(seen)
        return seen

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self, status: int = 200, body: bytes = b"{}", **headers: str) -> None:
        """Send a whole answer; its length is right unless a header says otherwise."""
        await self.send(head_of(status, **{"content_length": str(len(body)), **headers}) + body)

    async def chunk(self, data: bytes) -> None:
        """Send a piece of a chunked body; empty ends it."""
        await self.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def close(self) -> None:
        """Close politely."""
        self._writer.close()

    def reset(self) -> None:
        """Close with an RST instead of a FIN."""
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


Handler: TypeAlias = Callable[[Conversation], Awaitable[None]]


def head_of(status: int, **headers: str) -> bytes:
    """Return an answer's head; underscores in header names stand for dashes."""
    lines = [f"HTTP/1.1 {status} So"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@contextlib.asynccontextmanager
async def server(
    handler: Handler, *, tls: ssl_module.SSLContext | None = None
) -> AsyncIterator[Place]:
    """Listen on a free port of loopback; each connection is `handler`'s, whose bugs come out."""
    place = Place()
    tasks: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []
    broken: list[Exception] = []

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        place.connections += 1
        try:
            await handler(Conversation(place, reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away
        except Exception as error:  # noqa: BLE001  # raised again where the server ends
            broken.append(error)
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        task = asyncio.ensure_future(converse(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listening = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    place.port = listening.sockets[0].getsockname()[1]
    try:
        yield place
    finally:
        listening.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0)  # aborted transports close their sockets in the next iteration
        if broken:
            raise broken[0]


@contextlib.asynccontextmanager
async def transport_to(
    base_url: str,
    *,
    limits: Limits | None = None,
    proxy: str | None = None,
    ssl: ssl_module.SSLContext | None = None,
    connector: aiohttp.BaseConnector | None = None,
) -> AsyncIterator[HttpTransport]:
    """Open a real transport with the token of these tests."""
    transport = HttpTransport(
        base_url, Token(SECRET, "test"), limits=limits, proxy=proxy, ssl=ssl, connector=connector
    )
    try:
        yield transport
    finally:
        await transport.aclose()


def live(main: Callable[[], Coroutine[object, object, None]]) -> None:
    """Run a test on a plain event loop with the real clock, for at most 20 s."""
    asyncio.run(asyncio.wait_for(main(), 20))


def tls_contexts() -> tuple[ssl_module.SSLContext, ssl_module.SSLContext]:
    """Return the contexts of a server on loopback and of a client that trusts it."""
    certificate = Path(__file__).parent / "localhost.pem"
    serving = ssl_module.SSLContext(ssl_module.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate)
    return serving, ssl_module.create_default_context(cafile=str(certificate))


def closed_port() -> int:
    """Return a port at which nothing listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextlib.contextmanager
def full_backlog() -> Iterator[int]:
    """Yield a port that listens, never accepts, and has no room for another connection."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(listening.getsockname())
        yield listening.getsockname()[1]


async def black_hole(talk: Conversation) -> None:
    """Read whatever comes and never answer."""
    while await talk.request() is not None:
        pass


async def polite(talk: Conversation) -> None:
    """Answer every request with an empty object."""
    while await talk.request() is not None:
        await talk.answer()
