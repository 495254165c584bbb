"""Requests to the service's own origin, straight through aiohttp's connector.

`aiohttp.ClientSession` looks at redirects, cookies, middlewares, netrc and traces for each request,
none of which the API's requests may have; what is left is a connection, a request and a response.
Everything used here is public in aiohttp 3, and the wire is the same (`tests/test_exchange.py`).
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict
from yarl import URL

__all__ = ["Exchange", "SubmissionBody"]


class SubmissionBody(aiohttp.payload.Payload):
    """A JSON body that knows whether any of it may have left this machine.

    No exception type tells that: the same bare TimeoutError comes while connecting and after the
    body. Headers alone do not count: without its body no server can accept a submission.
    """

    def __init__(self, value: bytes) -> None:
        super().__init__(value, content_type="application/json")
        self._size = len(value)
        self.sent = False

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        text: str = self._value.decode(encoding, errors)
        return text

    async def write(self, writer: AbstractStreamWriter) -> None:
        await self.write_with_length(writer, None)

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        del content_length  # the body is always whole
        transport: asyncio.Transport | None = getattr(writer, "transport", None)
        if transport is None or transport.is_closing():
            raise aiohttp.ClientConnectionResetError("the connection closed before the body")
        self.sent = True
        await writer.write(self._value)


class _Request(aiohttp.ClientRequest):
    """A request whose headers and origin are known before: they are copied, not built again.

    An aiohttp that no longer asked these methods would build the same, and take longer.
    """

    known_key: ConnectionKey | None = None

    @property
    def connection_key(self) -> ConnectionKey:
        """What connections for this request are kept under."""
        return super().connection_key if self.known_key is None else self.known_key

    def update_host(self, url: URL) -> None:
        """The base URL was checked; it holds no user and no password."""

    def update_headers(self, headers: Any) -> None:
        """Take a copy of the headers, `Host` included."""
        self.headers = headers.copy()

    def update_auto_headers(self, skip_auto_headers: Any) -> None:
        """All headers are given."""


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
        headers: dict[str, str],
        connector: aiohttp.BaseConnector,
        *,
        proxy: str | None,
        ssl: Any,
        connect_timeout: float,
    ) -> None:
        base = URL(base_url, encoded=True)
        self._scheme = base.scheme
        self._authority = base.raw_authority
        self._path = base.raw_path.rstrip("/")
        self._headers = CIMultiDict({"Host": base.host_port_subcomponent or "", **headers})
        self._connector = connector
        self._proxy = None if proxy is None else URL(proxy)
        self._ssl = ssl
        self._timeout: Final = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout)
        self._loop = asyncio.get_running_loop()
        self._key: ConnectionKey | None = None
        if proxy is None:  # a request by a proxy may be changed for it
            self._key = self._request("GET", "/", None).connection_key

    async def open(
        self, method: str, path: str, body: SubmissionBody | None
    ) -> aiohttp.ClientResponse:
        """Send a request and return its answer, of which the head was read; the caller closes it.

        Raises:
            ConnectionTimeoutError: No connection in time.
            ClientError: As aiohttp does; so OSError.
        """
        request = self._request(method, path, body)
        try:
            connection = await self._connector.connect(request, traces=[], timeout=self._timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError(f"no connection to {request.url}") from error
        try:
            assert connection.protocol is not None
            connection.protocol.set_response_params(read_until_eof=True, auto_decompress=True)
            response = await request.send(connection)
            try:
                return await response.start(connection)
            except BaseException:
                response.close()
                raise
        except BaseException:
            connection.close()
            raise

    def _request(self, method: str, path: str, body: SubmissionBody | None) -> _Request:
        path, _, query = path.partition("?")
        url = URL.build(
            scheme=self._scheme,
            authority=self._authority,
            path=self._path + path,
            query_string=query,
            encoded=True,
        )
        request = _Request(
            method,
            url,
            headers=self._headers,
            data=body,
            loop=self._loop,
            proxy=self._proxy,
            ssl=self._ssl,
        )
        request.known_key = self._key
        return request
