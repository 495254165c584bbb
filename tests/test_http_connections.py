"""Which connections are used, and that none stays (design, section 5, "Stale connections").

Real sockets need the real clock, so the times here are real, and short.
"""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import aiohttp
import pytest

from seedance_async.credentials import Token
from seedance_async.errors import TransportError
from seedance_async.http import HttpTransport, Limits

from .misbehaving import SECRET, Conversation, black_hole, live, polite, server, transport_to
from .test_http import answered, post


async def forgetful(talk: Conversation) -> None:
    """Answer as long as the connection is warm; what comes after 0.4 s of idling is lost."""
    while True:
        try:
            async with asyncio.timeout(0.4):
                if await talk.request() is None:
                    return
        except TimeoutError:
            await black_hole(talk)
            return
        await talk.answer()


def test_posts_never_use_a_connection_that_has_idled() -> None:
    """Quick POSTs share a connection; after `submit_keepalive` each takes a fresh one."""

    async def main() -> None:
        limits = Limits(submit_keepalive=0.2)
        async with server(forgetful) as here, transport_to(here.url, limits=limits) as transport:
            for number in range(3):
                for part in range(3):
                    answered(await post(transport, f"{number}-{part}".encode(), timeout=2))
                await asyncio.sleep(0.5)
        bodies = [seen.body.decode() for seen in here.requests]
        assert bodies == [f"{number}-{part}" for number in range(3) for part in range(3)]
        assert 3 <= here.connections < 9

    live(main)
    assert Limits().submit_keepalive <= 1.0


@pytest.mark.parametrize("delay", [0.0, 0.02], ids=["at once", "while it idles"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_answer_that_nobody_asked_for_answers_no_other_request(
    method: str, delay: float
) -> None:
    """A submission that took it for its own would track the job of another, and lose its own."""

    async def twice(talk: Conversation) -> None:
        while (seen := await talk.request()) is not None:
            await talk.answer(200, seen.target.encode())
            await asyncio.sleep(delay)
            await talk.answer(200, b"nobody asked")

    async def main() -> None:
        async with server(twice) as here, transport_to(here.url) as transport:
            for number in range(4):
                path = f"/{number}"
                answer = await transport.send(
                    method, path, b"{}" if method == "POST" else None, timeout=5
                )
                assert answer.body == path.encode()
                await asyncio.sleep(2 * delay)

    live(main)


def test_a_server_that_closes_idle_connections_causes_no_doubt() -> None:
    """A connection that was seen to close is not used again, however warm it is."""

    closed = asyncio.Event()

    async def hurried(talk: Conversation) -> None:
        await talk.request()
        await talk.answer()
        talk.close()
        closed.set()

    async def main() -> None:
        async with server(hurried) as here, transport_to(here.url) as transport:
            for _ in range(5):
                answered(await post(transport))
                await closed.wait()
                closed.clear()
                for _ in range(5):  # iterations of the loop in which the end can be seen
                    await asyncio.sleep(0.003)
        assert len(here.requests) == 5

    live(main)


def test_a_post_into_a_closing_connection_is_a_doubt_never_a_double() -> None:
    """What no keep-alive rule can exclude: closed just as the next POST leaves."""

    async def abrupt(talk: Conversation) -> None:
        await talk.request()
        await talk.answer()

    async def main() -> None:
        async with server(abrupt) as here, transport_to(here.url) as transport:
            found = [await post(transport, f"{number}".encode()) for number in range(30)]
        bodies = [seen.body for seen in here.requests]
        assert len(bodies) == len(set(bodies))
        for number, one in enumerate(found):
            arrived = f"{number}".encode() in bodies
            if isinstance(one, TransportError):
                assert one.sent or not arrived
            else:
                assert arrived

    live(main)


def test_the_callers_connector_serves_reads_and_stays_open() -> None:
    """POSTs have a connector of their own; the caller's is never closed."""

    class Counting(aiohttp.TCPConnector):
        used = 0

        async def connect(self, *args: object, **kwargs: object) -> aiohttp.connector.Connection:
            self.used += 1
            return await super().connect(*args, **kwargs)  # type: ignore[arg-type]

    async def main() -> None:
        async with server(polite) as here:
            connector = Counting()
            transport = HttpTransport(here.url, Token(SECRET, "test"), connector=connector)
            await post(transport)
            assert connector.used == 0
            await transport.send("GET", "/", timeout=5)
            async with transport.stream(f"{here.url}/x.mp4", {}) as stream:
                assert stream.status == 200
            assert connector.used == 2
            await transport.aclose()
            await transport.aclose()
            assert not connector.closed
            await connector.close()

    live(main)


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
def test_aclose_leaves_no_socket() -> None:
    """After aclose no descriptor is left, and no ResourceWarning (an error here) is raised."""
    counts: list[int] = []

    async def main() -> None:
        async with server(polite) as here:
            counts.append(descriptors())
            transport = HttpTransport(here.url, Token(SECRET, "test"))
            await asyncio.gather(*(post(transport) for _ in range(5)))
            await asyncio.gather(*(transport.send("GET", "/", timeout=5) for _ in range(5)))
            await transport.aclose()
            while descriptors() > counts[0]:
                await asyncio.sleep(0.01)  # the server's ends close when they see ours closed

    live(main)
    gc.collect()
