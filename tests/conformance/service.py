"""Raw HTTP to the service under examination: one request, one answer, nothing sent twice."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import aiohttp
import attrs
from yarl import URL

Document = dict[str, Any]

TIMEOUT = aiohttp.ClientTimeout(total=100, sock_connect=10)
"""A slow acceptance must not become a doubt, so that it may take long."""

LARGEST = 256 * 1024 * 1024
"""Bytes that are read of one answer, a video included."""

_NEVER_SENT = ("ClientConnector", "ConnectionTimeoutError")
_UNDECIDED = (408, 409, 425, 499)


@attrs.frozen
class Answer:
    """One answer, or why there is none; the token never stands in it.

    Attributes:
        asked: the request line.
        status: of HTTP; 0 where no whole answer came.
        headers: names in any case.
        body: all of it.
        seconds: from the request to the end of the body.
        trouble: why no whole answer came.
    """

    asked: str
    status: int = 0
    headers: Mapping[str, str] = attrs.field(factory=dict)
    body: bytes = attrs.field(default=b"", repr=False)
    seconds: float = 0.0
    trouble: str = ""

    @property
    def document(self) -> Document:
        """The JSON object in the body; an empty one where there is none."""
        try:
            document = json.loads(self.body)
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}

    @property
    def kind(self) -> str:
        """The media type, without parameters."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    def __str__(self) -> str:
        if self.trouble:
            return f"no answer: {self.trouble}"
        if self.kind.startswith(("video/", "image/")):
            return f"HTTP {self.status} with {len(self.body)} bytes of {self.kind}"
        return f"HTTP {self.status} {self.body[:1000].decode(errors='replace')}".rstrip()


@attrs.frozen
class Pace:
    """How a job is followed: seconds between two rounds of polls, and how many rounds at most."""

    seconds: float = 3.0
    rounds: int = 400


@attrs.define
class Service:
    """A service at a base URL, as seen by the owner of a token.

    Attributes:
        base_url: without a slash at the end.
        model: the id of the model that is examined.
        body: the input of a generation.
        pace: how jobs are followed.
        on_answer: told what a submission was for and how it was answered, before anything else
            happens: an id in there may be a paid job's.
        slowest: the answer that took longest.
    """

    base_url: str
    model: str
    body: Document
    pace: Pace
    on_answer: Callable[[str, Answer], None] = attrs.field(repr=False)
    _token: str = attrs.field(repr=False)
    _http: aiohttp.ClientSession = attrs.field(repr=False)
    slowest: Answer = attrs.field(factory=lambda: Answer("nothing"))

    async def get(self, path: str, *, token: str | None = None) -> Answer:
        """Ask with the token, or with another one; an empty one is left out."""
        return await self.ask("GET", path, token=token)

    async def cancel(self, request_id: str) -> Answer:
        """Cancel a job, with no body."""
        return await self.ask("POST", f"/v1/requests/{request_id}/cancel")

    async def submit(self, model: str, body: Document | bytes, why: str) -> Answer:
        """Send one submission, once; whatever comes back is told before it is looked at."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = await self.ask("POST", f"/v1/models/{model}", data)
        self.on_answer(why, answer)
        return answer

    async def ask(
        self, method: str, path: str, body: bytes | None = None, *, token: str | None = None
    ) -> Answer:
        """Send one request to the service."""
        given = self._token if token is None else token
        headers = {"Authorization": f"Bearer {given}"} if given else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return await self._send(method, self.base_url + path, headers, body)

    async def fetch(self, url: str, **headers: str) -> Answer:
        """Fetch a file exactly as its URL is given, without the token."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self._send("GET", url, named, None)

    async def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        answer = await self._exchange(method, url, headers, body)
        if answer.seconds > self.slowest.seconds:
            self.slowest = answer
        return answer

    async def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        asked = f"{method} {url.removeprefix(self.base_url)}"
        begin = time.monotonic()
        try:
            async with self._http.request(
                method, URL(url, encoded=True), headers=headers, data=body, allow_redirects=False
            ) as response:
                content = await _read(response)
                seconds = time.monotonic() - begin
                clean = self._without_token(content)
                return Answer(asked, response.status, response.headers.copy(), clean, seconds)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            seconds = time.monotonic() - begin
            trouble = self._without_token(f"{type(error).__name__}: {error}".encode()).decode()
            return Answer(asked, seconds=seconds, trouble=trouble)

    def _without_token(self, said: bytes) -> bytes:
        return said.replace(self._token.encode(), b"(the token)")


def accepted_id(answer: Answer) -> str:
    """Return the id that a submission was answered with, empty where it was not accepted.

    An id beside an error may be a trace's: it is told all the same, for it may be a paid job.
    """
    request_id = answer.document.get("request_id")
    return request_id if isinstance(request_id, str) else ""


def is_doubt(answer: Answer) -> bool:
    """Say whether a submission may have been accepted although no id came back."""
    if accepted_id(answer) or answer.trouble.startswith(_NEVER_SENT):
        return False
    refused = 400 <= answer.status < 500 and answer.status not in _UNDECIDED
    return not refused and "error_code" not in answer.document


async def _read(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for piece in response.content.iter_chunked(2**16):
        content += piece
        if len(content) > LARGEST:
            raise ValueError(f"the answer has more than {LARGEST} bytes")
    return bytes(content)


@contextlib.asynccontextmanager
async def connect(
    base_url: str,
    token: str,
    *,
    model: str,
    body: Document,
    pace: Pace,
    on_answer: Callable[[str, Answer], None],
) -> AsyncIterator[Service]:
    """Open the way to a service.

    No connection is used twice, for a server that closes an idle one could leave a submission in
    doubt; nothing is taken from the environment, neither cookies nor redirects are followed.
    """
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=TIMEOUT,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    ) as http:
        yield Service(base_url.rstrip("/"), model, body, pace, on_answer, token, http)
