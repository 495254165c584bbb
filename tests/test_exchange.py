"""Below aiohttp's session: the same on the wire, and nobody waits inside aiohttp."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from yarl import URL

from seedance_async.errors import TransportError
from seedance_async.exchange import Exchange, SubmissionBody, _Request
from seedance_async.http import Limits

from .misbehaving import Conversation, live, server, transport_to

HEADERS = {
    "Authorization": "Bearer x",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": "fox",
}
PATH = "/v1/requests/6f21c6f0-4a25-49ee-b720-000000000001/result?include_cost=true"


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
@pytest.mark.parametrize("body", [None, b'{"text": "A red fox"}'], ids=["GET", "POST"])
def test_a_request_is_the_one_that_aiohttp_would_make(base: str, body: bytes | None) -> None:
    """Its URL, its headers, and the key that its connection is kept under."""

    async def main() -> None:
        connector = aiohttp.TCPConnector()
        exchange = Exchange(base, HEADERS, connector, proxy=None, ssl=True, connect_timeout=10)
        method = "GET" if body is None else "POST"
        ours = exchange._request(method, PATH, None if body is None else SubmissionBody(body))
        theirs = aiohttp.ClientRequest(
            method,
            URL(base + PATH, encoded=True),
            headers=HEADERS,
            data=None if body is None else SubmissionBody(body),
            loop=asyncio.get_running_loop(),
        )
        assert isinstance(ours, _Request)
        assert ours.url == theirs.url
        assert ours.url.raw_path_qs == theirs.url.raw_path_qs
        assert dict(ours.headers) == dict(theirs.headers)
        assert ours.connection_key == theirs.connection_key
        await connector.close()

    live(main)


def test_what_one_request_adds_no_other_carries() -> None:
    """The headers are copied for each request: a body's length stays with its body."""

    async def main() -> None:
        connector = aiohttp.TCPConnector()
        exchange = Exchange(
            "http://127.0.0.1:1", HEADERS, connector, proxy=None, ssl=True, connect_timeout=1
        )
        first = exchange._request("POST", "/", SubmissionBody(b"{}"))
        assert first.headers["Content-Length"] == "2"
        assert "Content-Length" not in exchange._request("GET", "/", None).headers
        await connector.close()

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
