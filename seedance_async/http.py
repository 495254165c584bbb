"""The transport on aiohttp: one exchange each, no second try, and the truth about `sent`.

What aiohttp would do unasked is off: redirects, cookies, netrc, proxies from the environment for
each request, middlewares. Only this file and `exchange.py` (and the simulator's) import
aiohttp.
"""

from __future__ import annotations

import asyncio
import socket
import ssl as ssl_module
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import aiohttp
import attrs
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from seedance_async.__about__ import __version__
from seedance_async.bodies import Answer, excerpt
from seedance_async.credentials import Token
from seedance_async.entrance import Entrance
from seedance_async.errors import TransportError
from seedance_async.exchange import Exchange, Payload
from seedance_async.heads import Head, PrivateAddressError, is_private_host
from seedance_async.proxies import ProxyRule
from seedance_async.redaction import hide
from seedance_async.watchdog import Watchdog

__all__ = ["HttpTransport", "Limits", "fetch_head"]

_BROKEN: Final = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError, RuntimeError)
"""What an exchange may end in; ValueError: no host name; RuntimeError: a closed connector."""

_CUT_OFF: Final = (aiohttp.ClientError, OSError, RuntimeError)
"""What reading a body may end in; RuntimeError: the framing broke while nobody was waiting."""

_HEAD_SECONDS: Final = 30.0
_USER_AGENT: Final = f"seedance-async/{__version__} aiohttp/{aiohttp.__version__}"


@attrs.frozen
class Limits:
    """What the connections may take.

    Attributes:
        connect: Seconds for one connection attempt, DNS excluded.
        submit_keepalive: Seconds that a connection for POSTs may idle and still be used again.
            Servers close idle connections after 5 s and more; one that is closed under a POST
            cannot be told from a POST that arrived, so POSTs use fresh connections or ones that
            have just answered.
        read_keepalive: The same for GETs, which are safe to repeat.
        stall: Seconds without a byte after which a download is given up.
        connections: How many connections GETs and downloads may hold together. It begins with
            100 at most, and goes further if the way to the service is long.
    """

    connect: float = 10.0
    submit_keepalive: float = 1.0
    read_keepalive: float = 15.0
    stall: float = 60.0
    connections: int = 100

    @classmethod
    def for_jobs(cls, number: int) -> Limits:
        """Return limits for so many jobs, each polled every 2 s at a round trip of 0.1 s."""
        return cls(connections=max(cls().connections, number // 20))


class HttpTransport:
    """The real `Transport`; made inside a running event loop.

    Args:
        base_url: The service's address: https, or http to loopback.
        token: Sent to the base URL's origin only.
        proxy: A proxy's URL; None reads the environment once, "" uses none.
        ssl: As aiohttp takes it; None verifies with the system's certificates.
        connector: The caller's own for GETs and downloads; never closed here.
        limits: Times and numbers of connections.
    """

    def __init__(
        self,
        base_url: str,
        token: Token,
        *,
        proxy: str | None = None,
        ssl: ssl_module.SSLContext | bool | aiohttp.Fingerprint | None = None,
        connector: aiohttp.BaseConnector | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._base_url = base_url
        self._secret = token.reveal()
        self._limits = limits or Limits()
        self._proxy_rule = ProxyRule(proxy)
        self._ssl: Any = True if ssl is None else ssl
        self._submits = aiohttp.TCPConnector(
            limit=0, keepalive_timeout=self._limits.submit_keepalive
        )
        self._owns_connector = connector is None
        self._reads = connector or aiohttp.TCPConnector(
            limit=0, keepalive_timeout=self._limits.read_keepalive
        )
        self._entrance = Entrance(self._reads.limit or self._limits.connections)
        self._posting = self._make_exchange(self._submits)
        self._getting = self._make_exchange(self._reads)
        self._downloads = self._open_session(self._reads)
        self._watchdog = Watchdog()
        self._closed = False

    def _make_exchange(self, connector: aiohttp.BaseConnector) -> Exchange:
        return Exchange(
            self._base_url,
            {
                "Authorization": f"Bearer {self._secret}",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": _USER_AGENT,
            },
            connector,
            proxy=self._proxy_rule(self._base_url),
            ssl=self._ssl,
            connect_timeout=self._limits.connect,
        )

    def _open_session(self, connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
        session = aiohttp.ClientSession(
            connector=connector,
            connector_owner=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            headers={"User-Agent": _USER_AGENT},
        )
        # aiohttp sends a GET again by itself; the one retry layer is ours, which counts and paces.
        session._retry_connection = False  # noqa: SLF001  there is no public switch
        return session

    def __repr__(self) -> str:
        return f"<HttpTransport {self._base_url}>"

    @property
    def base_url(self) -> str:
        """The service's address, without a slash at the end."""
        return self._base_url

    async def send(
        self, method: str, path: str, body: bytes | None = None, *, timeout: float
    ) -> Answer:
        """Send one request once; see `Transport.send`."""
        payload = None if body is None else Payload(body)
        answer = Answer(0, {}, b"", complete=False, secret=self._secret)
        trouble = "the transport is closed" if self._closed else ""
        # The error is raised outside the except blocks: aiohttp's own hold the request's headers,
        # and with them the token, which a chained traceback could show.
        try:
            if not trouble:
                # In two halves: a computer that slept reads in the second what came meanwhile.
                with self._watchdog.limit(timeout / 2, strikes=2):
                    await self._exchange(method, path, payload, answer)
        except aiohttp.ConnectionTimeoutError:
            trouble = f"no connection for {method} {path} within {self._limits.connect:g} s"
        except TimeoutError:
            trouble = f"no answer to {method} {path} within {timeout:g} s"
        except _BROKEN as error:
            trouble = hide(f"no answer to {method} {path}: {_describe(error)}", self._secret)
        if not answer.status:
            raise TransportError(hide(trouble, self._secret), sent=payload is None or payload.sent)
        return answer  # one that broke off keeps its status, which may decide already

    async def _exchange(
        self, method: str, path: str, payload: Payload | None, answer: Answer
    ) -> None:
        if method != "GET":
            await self._posting.make(method, path, payload, answer)
            return
        entered: float | None = await self._entrance.enter()
        try:
            await self._getting.make(method, path, None, answer)
        finally:
            if not 200 <= answer.status < 300:
                entered = None  # an error may come from nearby, and at once
            self._entrance.leave(entered)

    @asynccontextmanager
    async def stream(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[_HttpStream]:
        """Open a GET of a video without the token; see `Transport.stream`."""
        await self._entrance.enter()
        try:
            response = await self._open_stream(url, headers)
            try:
                yield _HttpStream(response, self._secret, self._limits.stall)
            finally:
                response.close()
        finally:
            self._entrance.leave()

    async def _open_stream(self, url: str, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        trouble = ""
        try:
            return await self._downloads.request(
                "GET",
                URL(url, encoded=True),
                headers={**headers, "Accept-Encoding": "identity"},
                allow_redirects=False,
                proxy=self._proxy_rule(url),
                ssl=self._ssl,
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=self._limits.connect, sock_read=self._limits.stall
                ),
            )
        except TimeoutError:
            trouble = f"no answer from {_place(url)} in time"
        except _BROKEN as error:
            trouble = hide(f"no answer from {_place(url)}: {_describe(error)}", self._secret)
        raise TransportError(hide(trouble, self._secret), sent=True)

    async def aclose(self) -> None:
        """Close the connections that this transport opened; the caller's connector stays."""
        self._closed = True
        self._watchdog.close()
        await self._downloads.close()
        await self._submits.close()
        if self._owns_connector:
            await self._reads.close()


class _HttpStream:
    """An open download; nothing that it tells holds the token, should the server repeat it."""

    def __init__(self, response: aiohttp.ClientResponse, secret: str, stall: float) -> None:
        self._response = response
        self._stall = stall
        self._secret = secret
        self.status = response.status
        self.headers: Mapping[str, str] = {
            name: hide(value, secret) for name, value in _lower(response.headers)
        }

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes; see `Stream.chunks`."""
        trouble = ""
        content = self._response.content
        pieces = content.iter_chunked(256 * 1024)
        try:
            while True:
                # aiohttp's own clock stops if the framing breaks, and its reader waits for ever.
                async with asyncio.timeout(self._stall):
                    chunk = await anext(pieces, b"")
                if not chunk:
                    break
                yield chunk
        except TimeoutError:
            trouble = "the download stalled"
        except _CUT_OFF as error:
            trouble = hide(f"the download broke off: {_describe(error)}", self._secret)
        if trouble:
            # The reader raises before it hands out what had arrived, which a Range would have to
            # fetch again, for ever if each answer is cut early. There is no public way to it.
            if rest := content._read_nowait(-1):  # noqa: SLF001
                yield rest
            raise TransportError(hide(trouble, self._secret), sent=True)


def _lower(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    return ((name.lower(), value) for name, value in headers.items())


def _place(url: str) -> str:
    """Return the host and port of what may be no URL at all."""
    return url.partition("://")[2].partition("/")[0] or url


def _describe(error: BaseException) -> str:
    """Return an error's text without the request that aiohttp's errors carry along."""
    if isinstance(error, aiohttp.ClientResponseError | HttpProcessingError):
        # The message may hold all that came where HTTP was expected.
        return f"{type(error).__name__}: {excerpt(error.message)}"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return "the proxy cannot be reached"
    return f"{type(error).__name__}: {excerpt(str(error)) or 'no further details'}"


class _PublicResolver(aiohttp.abc.AbstractResolver):
    """Resolves names, and refuses those that lead into a private network."""

    def __init__(self) -> None:
        self._resolver = aiohttp.DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        for address in found:
            if is_private_host(address["host"]):
                raise PrivateAddressError(f"{host} leads to a private address")
        return found

    async def close(self) -> None:
        await self._resolver.close()


async def fetch_head(url: str, *, first_bytes: int) -> Head:
    """GET the first bytes of a public file, following up to 5 redirects within the public web.

    Needs no session and sends no token; the whole takes at most 30 s.

    Raises:
        PrivateAddressError: It leads to an address that is not public.
        TransportError: There was no answer.
    """
    connector = aiohttp.TCPConnector(resolver=_PublicResolver(), force_close=True)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
        headers={"User-Agent": _USER_AGENT, "Accept-Encoding": "identity"},
    ) as session:
        try:
            async with asyncio.timeout(_HEAD_SECONDS):
                for _ in range(6):
                    if is_private_host(urlsplit(url).hostname or ""):
                        raise PrivateAddressError(f"{url} leads to a private address")
                    head, location = await _get_head(session, url, first_bytes)
                    if location is None:
                        return head
                    url = urljoin(url, location)
        except TimeoutError:
            raise TransportError(f"no answer from {url} in time", sent=True) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise TransportError(f"no answer from {url}: {_describe(error)}", sent=True) from error
    raise TransportError(f"{url} redirects too often", sent=True)


async def _get_head(
    session: aiohttp.ClientSession, url: str, first_bytes: int
) -> tuple[Head, str | None]:
    async with session.get(
        URL(url, encoded=True),
        headers={"Range": f"bytes=0-{first_bytes - 1}"},
        allow_redirects=False,
    ) as response:
        if response.status in (301, 302, 303, 307, 308):
            location = response.headers.get("Location", "")
            return Head(status=response.status, size_bytes=None, body=b"", final_url=url), location
        body = bytearray()
        while len(body) < first_bytes:
            chunk = await response.content.read(first_bytes - len(body))
            if not chunk:
                break
            body += chunk
        return (
            Head(
                status=response.status,
                size_bytes=_whole_size(response),
                body=bytes(body),
                final_url=url,
                content_type=response.headers.get("Content-Type"),
            ),
            None,
        )


def _whole_size(response: aiohttp.ClientResponse) -> int | None:
    if response.status == 206:
        total = response.headers.get("Content-Range", "").rpartition("/")[2]
        return int(total) if total.isdigit() else None
    return response.content_length
