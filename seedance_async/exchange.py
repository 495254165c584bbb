"""Requests to the service's own origin, over aiohttp's connections.

`aiohttp.ClientSession` looks at redirects, cookies, middlewares, netrc and traces for each request,
none of which the API's requests may have, and builds request and response of many parts. Here
aiohttp finds the connection (pool, names, TLS, proxies) and parses the answer; what is written is
a head that is known before, and a body. The wire is the same (`tests/test_exchange.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from seedance_async.bodies import MAX_BODY_BYTES, Answer

__all__ = ["Exchange", "SubmissionBody", "converse"]


class SubmissionBody:
    """A JSON body that knows whether any of it may have left this machine.

    No exception type tells that: the same bare TimeoutError comes while connecting and after the
    body.
    """

    def __init__(self, value: bytes) -> None:
        self._value = value
        self.sent = False

    def head(self) -> str:
        """Return what the request's head says of the body."""
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
        by = None if proxy is None else URL(proxy)
        loop = asyncio.get_running_loop()
        # Only what aiohttp finds connections for; it adds to the headers what is for the proxy.
        self._request = aiohttp.ClientRequest(
            "GET", self._base, headers=given, loop=loop, proxy=by, ssl=ssl
        )
        self._by_proxy = by is not None and not self._request.is_ssl()
        self._head = _lines(given)

    async def make(
        self, method: str, path: str, body: SubmissionBody | None, answer: Answer
    ) -> None:
        """Send a request and fill in `answer` as it comes.

        Cancelled or failed, the connection is cut at once, with what was not yet sent.

        Raises:
            ConnectionTimeoutError: No connection in time.
            ClientError: As aiohttp does; so OSError.
            HttpProcessingError: What came is not HTTP.
        """
        path = self._path + path
        if not (path.isascii() and path.isprintable()) or " " in path:
            raise ValueError("a path must be encoded")
        connection = await self._connect()
        whole = False
        try:
            whole = await converse(connection, self._compose(method, path, body), body, answer)
        finally:
            if whole:
                connection.release()
            else:
                _cut(connection)

    async def _connect(self) -> Any:
        while True:
            try:
                connection = await self._connector.connect(
                    self._request, traces=[], timeout=self._timeout
                )
            except TimeoutError as error:
                raise aiohttp.ConnectionTimeoutError(f"no connection to {self._base}") from error
            assert connection.protocol is not None
            if not connection.protocol.should_close:
                return connection
            # What came while it lay in the pool would be taken for the answer to this request: the
            # id of another job, say.
            _cut(connection)

    def _compose(self, method: str, path: str, body: SubmissionBody | None) -> bytes:
        """Return a request's head."""
        lines = self._head
        if self._by_proxy:
            path = f"{self._base.origin()}{path}"
            lines = _lines(self._request.headers)
        if body is not None:
            lines += body.head()
        elif method != "GET":
            lines += "Content-Length: 0\r\n"
        return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode()


async def converse(
    connection: Any, head: bytes, body: SubmissionBody | None, answer: Answer
) -> bool:
    """Write a request and read its answer; return whether the connection can serve again."""
    protocol: ResponseHandler | None = connection.protocol
    transport: asyncio.Transport | None = connection.transport
    if protocol is None or transport is None or transport.is_closing():
        raise aiohttp.ClientConnectionResetError("the connection closed before the request")
    protocol.set_response_params(read_until_eof=True, auto_decompress=True)
    if body is None:
        transport.write(head)
    else:
        body.write(transport, head)
    message, content = await protocol.read()
    while 100 <= message.code < 200 and message.code != 101:
        message, content = await protocol.read()
    answer.status, answer.headers = message.code, message.headers  # looked up in any case
    await _read(content, answer)
    # Who was answered early may still be sending.
    return answer.complete and transport.get_write_buffer_size() == 0


def _cut(connection: Any) -> None:
    if connection.transport is not None:
        connection.transport.abort()
    connection.close()


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


def _lines(headers: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())
