"""Downloads: a video is on disk whole, or not at all.

The token never goes along. What a server may do wrong (cut, stall, lie about lengths, change the
file in between, redirect elsewhere, send HTML) ends in a retry or a `DownloadError`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urljoin, urlsplit

import attrs

from seedance_async.bodies import excerpt
from seedance_async.credentials import is_loopback
from seedance_async.errors import DownloadError, StorageError, TransportError
from seedance_async.pacing import RetryPolicy
from seedance_async.sink import DownloadedFile, Sink, Writing
from seedance_async.supervisor import in_thread
from seedance_async.transport import Stream, Transport

__all__ = ["DownloadRules", "DownloadedFile", "download", "refuse_url"]

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS: Final = 5
_MAYBE_LATER: Final = frozenset({403, 404, 410})
_NOT_VIDEO: Final = ("text/", "application/json", "application/xml", "application/xhtml")


def _lowered(hosts: Iterable[str]) -> tuple[str, ...]:
    return tuple(host.lower() for host in hosts)


@attrs.frozen
class DownloadRules:
    """What a download may do.

    Attributes:
        allow_hosts: Hosts beside `*.runcomfy.net`, `*.runcomfy.com` and the base URL's own.
        max_bytes: The largest video, in bytes.
        tries: Tries in a row without a new byte before giving up; a 403, 404 or 410 counts too.
        timeout: Seconds for the whole download, all tries together.
    """

    allow_hosts: tuple[str, ...] = attrs.field(default=(), converter=_lowered)
    max_bytes: int = 2 * 1024**3
    tries: int = 3
    timeout: float = 3600.0


def refuse_url(url: str, base_url: str, rules: DownloadRules) -> str | None:
    """Say why a video must not be fetched from `url`; None if it may be."""
    try:
        parts, base = urlsplit(url), urlsplit(base_url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return "it is not a URL"
    if parts.username is not None or parts.password is not None:
        return "it carries credentials"
    if host == (base.hostname or "").lower():
        fine = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
        return None if fine else "plain http is allowed to loopback only"
    if parts.scheme != "https":
        return "only https is allowed"
    if host in rules.allow_hosts or host.endswith((".runcomfy.net", ".runcomfy.com")):
        return None if port in (None, 443) or host in rules.allow_hosts else "its port is not 443"
    return f"the host {host} is not one of the service's; --allow-host or allow_hosts permits it"


async def download(
    transport: Transport, url: str, path: Path, rules: DownloadRules, retry: RetryPolicy
) -> DownloadedFile:
    """Fetch `url` into `path`.

    Cancelled, it leaves nothing behind.

    Raises:
        DownloadError: It could not be fetched.
        StorageError: It could not be stored.
    """
    refusal = refuse_url(url, transport.base_url, rules)
    if refusal is not None:
        raise DownloadError(
            f"the video is not fetched from {url}: {refusal}", url=url, retryable=False
        )
    sink = Sink(path.with_name(path.name + ".part"))
    fetch = _Fetch(transport, url, sink, rules)
    try:
        async with asyncio.timeout(rules.timeout):
            await _try_until_whole(fetch, rules, retry)
        return await in_thread(sink.finish, path)
    except TimeoutError:
        raise DownloadError(
            f"{url} was not complete after {rules.timeout:g} s; try again", url=url, retryable=True
        ) from None
    except OSError as error:
        raise StorageError(
            f"the video cannot be stored at {path}: {error.strerror or error}. Free space or mend "
            f"the rights, then download {url} again",
            url=url,
            retryable=True,
        ) from error
    finally:
        await in_thread(sink.discard)


async def _try_until_whole(fetch: _Fetch, rules: DownloadRules, retry: RetryPolicy) -> None:
    fruitless = most = 0
    while True:
        trouble = await fetch.attempt()
        if trouble is None:
            return
        # Against the most that ever came: a server without ranges begins anew each time.
        fruitless = 0 if fetch.sink.size > most else fruitless + 1
        most = max(most, fetch.sink.size)
        if not trouble.retryable or fruitless >= rules.tries:
            raise DownloadError(
                f"{fetch.url}: {trouble.why}",
                url=fetch.url,
                retryable=trouble.retryable and trouble.status not in _MAYBE_LATER,
                status=trouble.status,
            )
        await asyncio.sleep(retry.poll_backoff(fruitless, trouble.retry_after))


@attrs.frozen
class _Trouble:
    why: str
    retryable: bool = True
    status: int | None = None
    retry_after: float | None = None


class _Fetch:
    """One video over several connections."""

    def __init__(self, transport: Transport, url: str, sink: Sink, rules: DownloadRules) -> None:
        self.url = url
        self.sink = sink
        self._transport = transport
        self._rules = rules
        self._etag: str | None = None
        self._total: int | None = None

    async def attempt(self) -> _Trouble | None:
        """Go on with the download once; None if it is whole."""
        headers = {}
        if self.sink.size and self._etag is not None:
            headers = {"Range": f"bytes={self.sink.size}-", "If-Range": self._etag}
        location = self.url
        try:
            for _ in range(_MOST_REDIRECTS + 1):
                async with self._transport.stream(location, headers) as stream:
                    if stream.status not in _REDIRECTS:
                        return await self._receive(stream)
                    target = _redirect(location, stream.headers.get("location", ""))
                    if target is None:
                        return _foreign(stream)
                    location = target
        except TransportError as error:
            return _Trouble(str(error))
        return _Trouble("it redirects too often", retryable=False)

    async def _receive(self, stream: Stream) -> _Trouble | None:
        if stream.status not in (200, 206):
            if stream.status == 416:
                self._etag = None
            return _status_trouble(stream)
        kind = stream.headers.get("content-type", "").lower()
        if kind.startswith(_NOT_VIDEO):
            return _Trouble(f"the server sends {kind}, not a video", status=stream.status)
        total = await self._place(stream)
        if isinstance(total, _Trouble):
            return total
        if total is not None and total > self._rules.max_bytes:
            return self._too_large()
        writing, size = Writing(self.sink), self.sink.size
        try:
            async for chunk in stream.chunks():
                size += len(chunk)
                if size > self._rules.max_bytes:
                    return self._too_large()
                await writing.put(chunk)
        finally:
            await writing.finish()  # also what came before a break: a Range goes on behind it
        return await self._judge(total)

    async def _place(self, stream: Stream) -> int | _Trouble | None:
        """Put the file where this answer begins; return the promised size, if any."""
        if stream.status == 206:
            start, total = _content_range(stream.headers)
            if start != self.sink.size or self._etag is None or not self._is_same(stream, total):
                self._etag = None
                return _Trouble("the server sends another range than asked for", status=206)
            return self._total if total is None else total
        await in_thread(self.sink.restart)
        etag = stream.headers.get("etag", "")
        self._etag = etag if etag.startswith('"') and len(etag) > 2 else None
        encoded = stream.headers.get("content-encoding", "identity") != "identity"
        self._total = None if encoded else _natural(stream.headers.get("content-length", ""))
        return self._total

    def _is_same(self, stream: Stream, total: int | None) -> bool:
        """Tell whether a 206 goes on with the file that was begun, whatever If-Range made of it."""
        return stream.headers.get("etag", self._etag) == self._etag and (
            total is None or self._total is None or total == self._total
        )

    async def _judge(self, total: int | None) -> _Trouble | None:
        size = self.sink.size
        if size == 0:
            return _Trouble("the server sends nothing")
        if total is not None and size != total:
            if size > total:
                self._etag = None
            return _Trouble(f"{size} of {total} bytes came")
        if self.sink.head.lstrip()[:1] in (b"<", b"{"):
            self._etag = None
            return _Trouble("the server sends text, not a video")
        # Even a promised length may be the length of a file that was cut on the server.
        if not await in_thread(self.sink.is_whole_mp4, total is not None):
            self._etag = None
            return _Trouble("the video is cut short")
        return None

    def _too_large(self) -> _Trouble:
        return _Trouble(f"it is larger than {self._rules.max_bytes} bytes", retryable=False)


def _redirect(location: str, target: str) -> str | None:
    """Return where a redirect leads; None if that is another host, or no URL."""
    try:
        target = urljoin(location, target)
        return target if urlsplit(target)[:2] == urlsplit(location)[:2] else None
    except ValueError:
        return None


def _foreign(stream: Stream) -> _Trouble:
    target = excerpt(stream.headers.get("location", "nowhere"))
    return _Trouble(
        f"it redirects to {target}, which is not followed", retryable=False, status=stream.status
    )


def _status_trouble(stream: Stream) -> _Trouble:
    status = stream.status
    retryable = status in _MAYBE_LATER or status in (408, 416, 425, 429) or status >= 500
    return _Trouble(
        f"the server answers HTTP {status}",
        retryable=retryable,
        status=status,
        retry_after=_natural(stream.headers.get("retry-after", "")),
    )


def _natural(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _content_range(headers: Mapping[str, str]) -> tuple[int | None, int | None]:
    """Read `bytes START-END/TOTAL`."""
    unit, _, rest = headers.get("content-range", "").partition(" ")
    span, _, total = rest.partition("/")
    if unit != "bytes":
        return None, None
    return _natural(span.partition("-")[0]), _natural(total)
