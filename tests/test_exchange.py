"""Below aiohttp's session: the same on the wire, and nobody waits inside aiohttp."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import attrs
import pytest
from yarl import URL

from seedance_async.bodies import Answer
from seedance_async.errors import TransportError
from seedance_async.exchange import Exchange, Payload
from seedance_async.http import Limits

from .misbehaving import Conversation, live, server, transport_to

HEADERS = {
    "Authorization": "Bearer x",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": "fox",
}
PATH = "/v1/requests/6f21c6f0-4a25-49ee-b720-000000000001/result?include_cost=true"


def exchange(base: str, connector: aiohttp.BaseConnector) -> Exchange:
    return Exchange(base, HEADERS, connector, proxy=None, ssl=True, connect_timeout=10)


@pytest.mark.parametrize("path", ["", "/runcomfy", "/run%20comfy/"])
@pytest.mark.parametrize(
    "body", [None, b"", b'{"text": "A red fox"}'], ids=["GET", "empty", "POST"]
)
def test_a_request_is_the_one_that_aiohttp_would_make(path: str, body: bytes | None) -> None:
    """Its method, its target, each of its headers, its body."""
    method = "GET" if body is None else "POST"

    async def answering(talk: Conversation) -> None:
        while await talk.request() is not None:
            await talk.answer()

    async def main() -> None:
        async with server(answering) as here, aiohttp.TCPConnector() as connector:
            base = here.url + path
            payload = Payload(body) if body else None
            answer = Answer(0, {}, b"")
            await exchange(base, connector).make(method, PATH, payload, answer)
            assert (answer.status, answer.complete, answer.body) == (200, True, b"{}")
            async with aiohttp.ClientSession() as session:
                given = {**HEADERS, **({"Content-Type": "application/json"} if body else {})}
                url = URL(base.rstrip("/") + PATH, encoded=True)
                async with session.request(
                    method, url, headers=given, data=body or None
                ) as response:
                    assert response.status == 200
        ours, theirs = (attrs.evolve(seen, connection=0) for seen in here.requests)
        if body == b"":
            assert theirs.headers.pop("content-type") == "application/octet-stream"  # of nothing
        assert ours == theirs

    live(main)


@pytest.mark.parametrize(
    "base",
    [
        "https://model-api.runcomfy.net",
        "https://model-api.runcomfy.net:443",
        "https://gateway.example:8443/runcomfy",
        "http://127.0.0.1:8765",
        "http://[::1]:8765",
    ],
)
def test_its_host_and_the_key_of_its_connection_are_those_of_aiohttp(base: str) -> None:
    """A session of aiohttp on the same connector would find the same connections."""

    async def main() -> None:
        async with aiohttp.TCPConnector() as connector:
            ours = exchange(base, connector)
            theirs = aiohttp.ClientRequest(
                "GET", URL(base + PATH, encoded=True), loop=asyncio.get_running_loop()
            )
            assert f"Host: {theirs.headers['Host']}\r\n" in ours._head
            assert ours._goal.connection_key == theirs.connection_key

    live(main)


@pytest.mark.parametrize("path", ["/a b", "/a\r\nX-Evil: 1", "/a\nb", "/\u00e9", "/\x00"])
def test_a_path_cannot_end_its_line(path: str) -> None:
    """Nothing that is not encoded reaches the wire, whoever forgot it."""

    async def main() -> None:
        async with aiohttp.TCPConnector() as connector:
            with pytest.raises(ValueError, match="encoded"):
                await exchange("http://127.0.0.1:1", connector).make(
                    "GET", path, None, Answer(0, {}, b"")
                )

    live(main)


class Closing:
    """A connection's transport that is on its way out."""

    def is_closing(self) -> bool:
        return True

    def abort(self) -> None:
        pass


class Broken:
    """A connector, and its one connection: it broke after it was chosen."""

    def __init__(self, transport: Closing | None) -> None:
        self.transport = transport
        self.protocol = self
        self.should_close = False
        self.closed = False

    async def connect(self, *_args: object, **_options: object) -> Broken:
        return self

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("transport", [Closing(), None])
def test_into_a_connection_that_closes_nothing_is_sent(transport: Closing | None) -> None:
    """The pool may give one out in the very turn in which it breaks."""

    async def main() -> None:
        broken: Any = Broken(transport)
        payload = Payload(b"{}")
        with pytest.raises(aiohttp.ClientConnectionResetError):
            await exchange("http://127.0.0.1:1", broken).make(
                "POST", "/", payload, Answer(0, {}, b"")
            )
        assert payload.sent is False
        assert broken.closed

    live(main)


def test_what_was_not_sent_by_the_time_limit_is_not_sent_after_it() -> None:
    """The rest of a large body goes with its connection, which is cut."""
    body = b"x" * 30_000_000
    seen = 0

    async def slow(talk: Conversation) -> None:
        nonlocal seen
        await talk.head()
        await asyncio.sleep(0.2)
        while chunk := await talk._reader.read(2**20):
            seen += len(chunk)

    async def main() -> None:
        async with server(slow) as here, transport_to(here.url) as transport:
            with pytest.raises(TransportError, match="no answer") as caught:
                await transport.send("POST", "/", body, timeout=0.1)
            assert caught.value.sent
            await asyncio.sleep(0.4)
        assert seen < len(body)

    live(main)


def test_at_most_so_many_reads_are_inside_aiohttp() -> None:
    """The rest wait before it, in order; one that is cancelled there takes no place."""
    most = 3
    inside: list[int] = []

    async def slow(talk: Conversation) -> None:
        while await talk.request() is not None:
            inside.append(talk.place.connections)
            await asyncio.sleep(0.02)
            await talk.answer()

    async def main() -> None:
        async with (
            server(slow) as here,
            transport_to(here.url, limits=Limits(connections=most)) as transport,
        ):
            reads = [
                asyncio.create_task(transport.send("GET", f"/{number}", timeout=10))
                for number in range(20)
            ]
            await asyncio.sleep(0.01)
            for waiting in reads[10:15]:
                waiting.cancel()
            answers = await asyncio.gather(*reads, return_exceptions=True)
            assert sum(isinstance(one, asyncio.CancelledError) for one in answers) == 5
            assert len(inside) == 15
            assert here.connections <= most
            paths = [int(seen.target[1:]) for seen in here.requests]
            assert sorted(paths) == [*range(10), *range(15, 20)]
            again = await transport.send("GET", "/again", timeout=10)
            assert again.status == 200, "no place was lost"

    live(main)


def test_a_submission_never_waits_behind_reads() -> None:
    """However many reads hang: the pool bounds submissions, and has admitted this one."""

    async def main() -> None:
        async def reluctant(talk: Conversation) -> None:
            while (seen := await talk.request()) is not None:
                await asyncio.sleep(5 if seen.method == "GET" else 0)
                await talk.answer()

        async with (
            server(reluctant) as here,
            transport_to(here.url, limits=Limits(connections=1)) as transport,
        ):
            reads = {
                asyncio.create_task(transport.send("GET", f"/{number}", timeout=5))
                for number in range(3)
            }
            await asyncio.sleep(0.01)
            answer = await transport.send("POST", "/", b"{}", timeout=2)
            assert answer.status == 200
            for read in reads:
                read.cancel()
            await asyncio.wait(reads)

    live(main)


def test_a_read_that_waits_too_long_for_its_place_times_out() -> None:
    """Its time limit counts from the call, so that nobody waits behind hanging reads for ever."""

    async def main() -> None:
        async def silent(talk: Conversation) -> None:
            await talk.request()
            await asyncio.sleep(5)

        async with (
            server(silent) as here,
            transport_to(here.url, limits=Limits(connections=1)) as transport,
        ):
            first = asyncio.create_task(transport.send("GET", "/first", timeout=5))
            await asyncio.sleep(0.01)
            with pytest.raises(TransportError, match=r"no answer to GET /second within 0\.05 s"):
                await transport.send("GET", "/second", timeout=0.05)
            first.cancel()
            await asyncio.wait({first})

    live(main)


def test_after_its_end_a_transport_sends_nothing() -> None:
    """Neither a POST, of which nothing was sent then, nor a GET by the caller's connector."""

    async def main() -> None:
        async with server(_polite) as here:
            async with transport_to(here.url) as transport:
                pass
            for method, body in (("GET", None), ("POST", b"{}")):
                with pytest.raises(TransportError, match="the transport is closed") as caught:
                    await transport.send(method, "/", body, timeout=1)
                assert caught.value.sent is (body is None)
            assert here.requests == []

    async def _polite(talk: Conversation) -> None:
        while await talk.request() is not None:
            await talk.answer()

    live(main)
