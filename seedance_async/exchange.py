"""Requests to the service's own origin, over aiohttp's connections.

`aiohttp.ClientSession` looks at redirects, cookies, middlewares, netrc and traces for each request,
none of which the API's requests may have, and builds request and response of many parts. Here
aiohttp finds the connection (pool, names, TLS, CONNECT) and parses the answer; what is written is a
head that is known before, and a body. The wire is the same (`tests/test_exchange.py`).

What this rests on, beside aiohttp's documented names, in 3.12 to 3.14: `BaseConnector.connect` asks
a `ClientRequest` for nothing but where it goes; a `Connection` has `protocol` and `transport`; its
protocol has `set_response_params`, `read` and `should_close`.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final
from weakref import WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from seedance_async.bodies import MAX_BODY_BYTES, Answer

__all__ = ["Exchange", "Payload"]


class Payload:
    """A JSON body that knows whether any of it may have left this machine.

    No exception type tells that: the same bare TimeoutError comes while connecting and after the
    body.
    """

    def __init__(self, value: bytes) -> None:
        self._value = value
        self.sent = False

    def headers(self) -> str:
        """Return the lines in which the request's head tells of the body."""
        return f"Content-Length: {len(self._value)}\r\nContent-Type: application/json\r\n"

    def write(self, transport: asyncio.WriteTransport, head: bytes) -> None:
        """Write the whole request, which the operating system may take in parts."""
        self.sent = True
        transport.writelines((head, self._value))


class Exchange:
    """Makes requests to one origin, each once.

    Args:
        base_url: The origin, and the path before all paths.
        headers: Sent with each request.
        connector: Where connections come from; never closed here.
        proxy: A proxy's URL or None.
        ssl: As aiohttp takes it.
        connect_timeout: Seconds for one connection attempt, DNS excluded.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        connector: aiohttp.BaseConnector,
        *,
        proxy: str | None,
        ssl: Any,
        connect_timeout: float,
    ) -> None:
        self._base = URL(base_url, encoded=True)
        self._path = self._base.raw_path.rstrip("/")
        self._connector = connector
        self._timeout: Final = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout)
        given = {"Host": self._base.host_port_subcomponent or "", **headers}
        self._head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        self._goal = aiohttp.ClientRequest(
            "GET",
            self._base,
            headers={"Host": given["Host"]},
            loop=asyncio.get_running_loop(),
            proxy=None if proxy is None else URL(proxy),
            ssl=ssl,
        )
        if proxy is not None and not self._goal.is_ssl():
            raise ValueError("by a proxy only https")  # loopback, the only http, needs none
        self._used: WeakSet[ResponseHandler] = WeakSet()

    async def make(self, method: str, path: str, body: Payload | None, answer: Answer) -> None:
        """Send a request and fill in `answer` as it comes.

        Cancelled or failed, the connection is cut at once, with what was not yet sent.

        Raises:
            ConnectionTimeoutError: No connection in time.
            ClientError: As aiohttp does; so OSError.
            HttpProcessingError: What came is not HTTP.
        """
        answer.status, answer.complete = 0, False
        path = self._path + path
        if not (path.isascii() and path.isprintable()) or " " in path:
            raise ValueError("a path must be encoded")
        connection = await self._connect()
        try:
            await _converse(connection, self._compose(method, path, body), body, answer)
        finally:
            if _serves_again(connection, answer, with_body=body is not None):
                connection.release()
            else:
                _cut(connection)

    async def _connect(self) -> Any:
        """Return a connection on which nothing has come that would be taken for the answer."""
        while True:
            try:
                connection = await self._connector.connect(
                    self._goal, traces=[], timeout=self._timeout
                )
            except TimeoutError as error:
                raise aiohttp.ConnectionTimeoutError(f"no connection to {self._base}") from error
            protocol = connection.protocol
            assert protocol is not None
            used = protocol in self._used
            if not protocol.should_close and not (used and _has_unread(connection.transport)):
                self._used.add(protocol)
                return connection
            _cut(connection)
            if not used:  # the next one would be no better
                raise aiohttp.ClientConnectionError("the server spoke before it was asked")

    def _compose(self, method: str, path: str, body: Payload | None) -> bytes:
        """Return a request's head."""
        lines = self._head
        if body is not None:
            lines += body.headers()
        elif method != "GET":
            lines += "Content-Length: 0\r\n"
        return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode()


async def _converse(connection: Any, head: bytes, body: Payload | None, answer: Answer) -> None:
    """Write a request and read its answer."""
    protocol: ResponseHandler | None = connection.protocol
    transport: asyncio.Transport | None = connection.transport
    if protocol is None or transport is None or transport.is_closing():
        raise aiohttp.ClientConnectionResetError("the connection closed before the request")
    protocol.set_response_params(read_until_eof=True, auto_decompress=True)
    if body is None:
        transport.write(head)
    else:
        body.write(transport, head)
    del head  # it holds the token, which a traceback would show
    message, content = await protocol.read()
    while 100 <= message.code < 200 and message.code != 101:
        message, content = await protocol.read()
    answer.status, answer.headers = message.code, message.headers  # looked up in any case
    await _read(content, answer)


async def _read(content: aiohttp.StreamReader, answer: Answer) -> None:
    """Read a body to its end or the longest that is read; one that breaks off is kept as it is."""
    chunks: list[bytes] = []
    size = 0
    try:
        while size <= MAX_BODY_BYTES and not content.at_eof():
            chunk = await content.readany()
            size += len(chunk)
            chunks.append(chunk)
        answer.complete = size <= MAX_BODY_BYTES and content.exception() is None
    finally:
        answer.body = b"".join(chunks)[:MAX_BODY_BYTES]


def _serves_again(connection: Any, answer: Answer, *, with_body: bool) -> bool:
    """Decide whether another request may follow on a connection."""
    if not answer.complete or connection.transport is None:
        return False
    # A refusal may come before the body was taken, and what of it still waits below TLS cannot be
    # seen from here: the next request would wait behind it.
    return not with_body or 200 <= answer.status < 300


def _has_unread(transport: asyncio.Transport | None) -> bool:
    """Return whether something has come that the loop has not looked at yet: an answer, an end."""
    socket = None if transport is None else transport.get_extra_info("socket")
    if socket is None or socket.fileno() < 0:
        return True
    if not hasattr(select, "poll"):  # Windows, whose `select` takes any socket
        return bool(select.select([socket.fileno()], [], [], 0)[0])
    poll = select.poll()
    poll.register(socket.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _cut(connection: Any) -> None:
    if connection.transport is not None:
        with suppress(AttributeError):  # asyncio's TLS before 3.11.3, if it is closed already
            connection.transport.abort()
    connection.close()
