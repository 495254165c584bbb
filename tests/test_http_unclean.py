"""Connections that are not clean: what came on them unasked, and what still waits to be sent."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import aiohttp
import pytest

from seedance_async.bodies import Answer
from seedance_async.errors import TransportError
from seedance_async.exchange import Exchange

from .misbehaving import Conversation, head_of, live, server, tls_contexts, transport_to


class Talks(list[Conversation]):
    """A server that answers each request with its path, and the connections that it has."""

    async def serve(self, talk: Conversation) -> None:
        """Answer until the client closes."""
        self.append(talk)
        while (seen := await talk.request()) is not None:
            await talk.answer(200, seen.target.encode())


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("news", ["an answer", "its end"])
def test_what_the_loop_has_not_read_yet_counts(method: str, news: str) -> None:
    """It lies with the system when the next request is made, in the very same turn."""

    async def main() -> None:
        talks = Talks()
        body = b"{}" if method == "POST" else None
        async with server(talks.serve) as here, transport_to(here.url) as transport:
            for path in ("/1", "/2"):
                answer = await transport.send(method, path, body, timeout=5)
                assert answer.body == path.encode()
                if news == "an answer":
                    talks[-1]._writer.write(head_of(200, content_length="4") + b"fake")
                else:
                    talks[-1]._writer.get_extra_info("socket").shutdown(socket.SHUT_WR)
            assert len(talks) == 2

    live(main)


def test_over_tls_a_refusal_that_came_early_ends_its_connection() -> None:
    """Its body waits below TLS, where nobody sees it; the next submission would wait behind it."""

    async def hasty(talk: Conversation) -> None:
        seen = await talk.head()
        assert seen is not None
        if seen.target == "/first":
            await talk.answer(429, b"{}")
            await asyncio.sleep(30)
        await talk.some(int(seen.headers["content-length"]))
        await talk.answer()

    async def main() -> None:
        serving, trusting = tls_contexts()
        async with (
            server(hasty, tls=serving) as here,
            transport_to(here.url.replace("http", "https"), ssl=trusting) as transport,
        ):
            first = await transport.send("POST", "/first", b"x" * 12_000_000, timeout=10)
            assert first.status == 429
            second = await transport.send("POST", "/second", b"{}", timeout=10)
            assert second.status == 200

    live(main)


def test_over_tls_noise_behind_an_answer_takes_nothing_from_it() -> None:
    """The id in it is paid; that its connection broke is nobody's business."""
    body = b'{"request_id": "paid"}'

    async def noisy(talk: Conversation) -> None:
        await talk.request()
        await talk.send(head_of(200, content_length=str(len(body))))
        for part in (body[:5], body[5:] + b"junk"):
            await asyncio.sleep(0.03)
            talk._writer.write(part)
        talk._writer.write(b"more")
        await asyncio.sleep(1)

    async def main() -> None:
        serving, trusting = tls_contexts()
        async with (
            server(noisy, tls=serving) as here,
            transport_to(here.url.replace("http", "https"), ssl=trusting) as transport,
        ):
            answer = await transport.send("POST", "/", b"{}", timeout=10)
            assert (answer.complete, answer.body) == (True, body)

    live(main)


def test_a_server_that_speaks_first_is_asked_nothing() -> None:
    """No second connection is tried at once: the next would be no better, and so on without end."""

    class Protocol:
        should_close = True

    class Connection:
        protocol = Protocol()
        transport = None
        closed = False

        def close(self) -> None:
            self.closed = True

    class Connector:
        def __init__(self) -> None:
            self.given: list[Connection] = []

        async def connect(self, *_: Any, **__: Any) -> Connection:
            self.given.append(Connection())
            return self.given[-1]

    async def main() -> None:
        connector: Any = Connector()
        exchange = Exchange(
            "https://127.0.0.1:1", {}, connector, proxy=None, ssl=True, connect_timeout=1
        )
        with pytest.raises(aiohttp.ClientConnectionError, match="before it was asked"):
            await exchange.make("POST", "/", None, Answer(0, {}, b""))
        assert [one.closed for one in connector.given] == [True]

    live(main)


def test_a_transport_that_closes_ends_what_waits_on_the_callers_connector() -> None:
    """That connector stays open, so it is the time limit that ends the request."""

    async def silent(talk: Conversation) -> None:
        await talk.request()
        await asyncio.sleep(30)

    async def main() -> None:
        async with server(silent) as here, aiohttp.TCPConnector() as connector:
            async with transport_to(here.url, connector=connector) as transport:
                reading = asyncio.create_task(transport.send("GET", "/", timeout=0.2))
                await asyncio.sleep(0.05)
            with pytest.raises(TransportError, match=r"no answer to GET / within 0\.2 s"):
                await asyncio.wait_for(reading, 5)

    live(main)
