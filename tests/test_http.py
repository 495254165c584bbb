"""One exchange, and the truth about `sent` (design, section 5, "POST").

Real sockets need the real clock, so the times here are real, and short.
"""

from __future__ import annotations

import asyncio
import gzip
import traceback
from collections.abc import Callable

import pytest

from seedance_async.bodies import MAX_BODY_BYTES, Answer
from seedance_async.errors import TransportError
from seedance_async.http import HttpTransport, Limits

from .misbehaving import (
    SECRET,
    Conversation,
    Handler,
    black_hole,
    closed_port,
    full_backlog,
    head_of,
    live,
    polite,
    server,
    transport_to,
)

PATH = "/v1/models/bytedance/seedance-1-0/pro/fast/text-to-video"
BODY = b'{"text": "A red fox"}'
LARGE = b'{"text": "' + b"x" * 3_000_000 + b'"}'


async def post(
    transport: HttpTransport, body: bytes = BODY, timeout: float = 5.0
) -> Answer | TransportError:
    """Send one POST; whatever else than a TransportError comes out fails the test."""
    try:
        return await transport.send("POST", PATH, body, timeout=timeout)
    except TransportError as error:
        return discreet(error)


def discreet(error: TransportError) -> TransportError:
    """Check that an error shows the token in none of its forms and drags no other error along."""
    shown = "".join(traceback.format_exception(error)) + repr(error) + repr(error.args)
    assert SECRET not in shown
    assert (error.__cause__, error.__context__) == (None, None)
    return error


def answered(found: Answer | TransportError) -> Answer:
    assert isinstance(found, Answer), found
    return found


def unanswered(found: Answer | TransportError) -> TransportError:
    assert isinstance(found, TransportError), found
    return found


# --- surely not sent -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "base",
    [
        lambda: f"http://127.0.0.1:{closed_port()}",
        lambda: "https://" + "a" * 64 + ".example",  # no resolver is asked for such a label
        lambda: "https://a..example",
    ],
    ids=["refused", "label too long", "empty label"],
)
def test_without_a_connection_nothing_is_sent(base: Callable[[], str]) -> None:
    """A refused connection or a host name that is none: not sent, so safe to send again."""

    async def main() -> None:
        async with transport_to(base(), proxy="") as transport:
            assert unanswered(await post(transport)).sent is False

    live(main)


def test_a_full_backlog_is_not_sent() -> None:
    """A connect timeout is told from all other timeouts, soon and with its own words."""

    async def main() -> None:
        with full_backlog() as port:
            base = f"http://127.0.0.1:{port}"
            async with transport_to(base, limits=Limits(connect=0.2)) as transport:
                began = asyncio.get_running_loop().time()
                error = unanswered(await post(transport, timeout=10))
                assert asyncio.get_running_loop().time() - began < 2
        assert error.sent is False
        assert "no connection" in str(error)
        assert "0.2 s" in str(error)

    live(main)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(100)])
def test_a_failed_tls_handshake_is_not_sent(answer: bytes) -> None:
    """A plain server spoken to with https sees no byte of the request."""

    async def plain(talk: Conversation) -> None:
        await talk.some(5)
        await talk.send(answer)

    async def main() -> None:
        async with server(plain) as here, transport_to(f"https://127.0.0.1:{here.port}") as to:
            assert unanswered(await post(to)).sent is False
        assert BODY not in here.raw
        assert SECRET.encode() not in here.raw

    live(main)


# --- perhaps sent --------------------------------------------------------------------------


async def close_at_once(talk: Conversation) -> None:
    talk.close()


async def reset_at_once(talk: Conversation) -> None:
    talk.reset()


async def close_after_the_head(talk: Conversation) -> None:
    await talk.head()
    talk.close()


async def close_during_the_body(talk: Conversation) -> None:
    await talk.head()
    await talk.some(1000)
    talk.close()


async def reset_during_the_body(talk: Conversation) -> None:
    await talk.head()
    await talk.some(1000)
    talk.reset()


async def close_after_the_body(talk: Conversation) -> None:
    await talk.request()
    talk.close()


async def reset_after_the_body(talk: Conversation) -> None:
    await talk.request()
    talk.reset()


async def cut_the_answers_head(talk: Conversation) -> None:
    await talk.request()
    await talk.send(b"HTTP/1.1 200 OK\r\nContent-Le")
    talk.close()


async def speak_no_http(talk: Conversation) -> None:
    await talk.request()
    await talk.send(f"220 smtp {SECRET}\r\n\r\n".encode())


async def speak_of_two_lengths(talk: Conversation) -> None:
    await talk.request()
    await talk.send(head_of(200, content_length="two") + b"{}")


async def read_nothing(talk: Conversation) -> None:
    await asyncio.sleep(30)


AFTER_CONNECTING: list[Handler] = [
    *[close_at_once, reset_at_once, close_after_the_head],
    *[close_during_the_body, reset_during_the_body, close_after_the_body, reset_after_the_body],
    *[cut_the_answers_head, speak_no_http, speak_of_two_lengths, black_hole, read_nothing],
]


@pytest.mark.parametrize("handler", AFTER_CONNECTING, ids=lambda handler: handler.__name__)
@pytest.mark.parametrize("body", [BODY, LARGE], ids=["small", "large"])
def test_once_connected_a_post_may_have_been_sent_and_goes_out_once(
    handler: Handler, body: bytes
) -> None:
    """Whatever breaks after connecting: `sent`, for bytes may have left; and no second try.

    A close at accept counts as well: the kernel took the body before the server looked.
    """

    async def main() -> None:
        async with server(handler) as here, transport_to(here.url) as transport:
            error = unanswered(await post(transport, body, timeout=0.4))
            await asyncio.sleep(0.02)
            assert error.sent is True
            assert here.connections == 1
            assert len(here.requests) <= 1

    live(main)


def test_a_cancelled_exchange_is_given_up() -> None:
    """Cancellation comes out as such, and the connection is closed, not kept."""

    async def main() -> None:
        async with server(black_hole) as here, transport_to(here.url) as transport:
            task = asyncio.ensure_future(transport.send("POST", PATH, BODY, timeout=10))
            while not here.requests:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            while not here.closed_by_client:
                await asyncio.sleep(0.01)

    live(main)


# --- answers -------------------------------------------------------------------------------


def exchange(handler: Handler, timeout: float = 5.0, body: bytes = BODY) -> Answer:
    """Return the answer that a handler gives to one POST."""
    found: list[Answer] = []

    async def main() -> None:
        async with server(handler) as here, transport_to(here.url) as transport:
            found.append(answered(await post(transport, body, timeout)))

    live(main)
    return found[0]


def test_words_before_the_answer_are_no_answer() -> None:
    """100, 102 and 103 may come before it, as often as a server likes."""

    async def talkative(talk: Conversation) -> None:
        await talk.request()
        for status in (100, 103, 102, 103):
            await talk.send(head_of(status))
        await talk.answer(202, b'{"a": 1}')

    found = exchange(talkative)
    assert (found.status, found.complete, found.body) == (202, True, b'{"a": 1}')


def test_a_body_without_an_end_is_left() -> None:
    """What is read of it ends at 8 MiB, long before the time limit."""

    async def endless(talk: Conversation) -> None:
        await talk.request()
        await talk.send(head_of(200, connection="close"))
        while True:
            await talk.send(b"x" * 2**16)
            await asyncio.sleep(0)

    found = exchange(endless, timeout=60)
    assert (found.status, found.complete, len(found.body)) == (200, False, MAX_BODY_BYTES)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_answers(status: int) -> None:
    """No redirect of a submission is followed, neither here nor to another origin."""

    async def main() -> None:
        async with server(polite) as elsewhere:

            async def redirect(talk: Conversation) -> None:
                while await talk.request() is not None:
                    await talk.answer(status, location=f"{elsewhere.url}/x")

            async with server(redirect) as here, transport_to(here.url) as transport:
                assert answered(await post(transport)).status == status
                got = await transport.send("GET", "/v1/requests/x/result", timeout=5)
                assert got.status == status
                assert len(here.requests) == 2
            assert elsewhere.connections == 0

    live(main)


def test_a_body_over_8_mib_is_cut_there() -> None:
    """A body without end is read to 8 MiB, in finite time, and is not complete."""

    async def endless(talk: Conversation) -> None:
        await talk.request()
        await talk.send(head_of(200, connection="close"))
        while True:
            await talk.send(b"[" * 100_000)

    found = exchange(endless)
    assert (found.status, found.complete, len(found.body)) == (200, False, MAX_BODY_BYTES)


def test_a_body_of_8_mib_is_whole() -> None:
    """The limit itself is within the limit."""

    async def large(talk: Conversation) -> None:
        await talk.request()
        await talk.answer(200, b"x" * MAX_BODY_BYTES)

    found = exchange(large)
    assert (found.complete, len(found.body)) == (True, MAX_BODY_BYTES)


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("status", [200, 400])
def test_a_cut_body_keeps_its_status(status: int, reset: bool) -> None:
    """The status may decide already (a refusal), so it is not thrown away with the body."""

    async def cut(talk: Conversation) -> None:
        await talk.request()
        await talk.answer(status, b'{"request_id', content_length="100")
        await asyncio.sleep(0.05)
        talk.reset() if reset else talk.close()

    found = exchange(cut)
    assert (found.status, found.complete, found.body) == (status, False, b'{"request_id')


def test_slow_bodies() -> None:
    """Within the limit a slow body is whole; beyond it, it is cut there."""

    async def drip(talk: Conversation) -> None:
        await talk.request()
        await talk.send(head_of(202, content_length="10"))
        for _ in range(10):
            await asyncio.sleep(0.02)
            await talk.send(b"x")

    async def dry_up(talk: Conversation) -> None:
        await talk.request()
        await talk.send(head_of(202, content_length="10") + b"xx")
        await asyncio.sleep(30)

    found = exchange(drip, timeout=5)
    assert (found.status, found.complete, found.body) == (202, True, b"x" * 10)
    found = exchange(dry_up, timeout=0.4)
    assert (found.status, found.complete, found.body) == (202, False, b"xx")


@pytest.mark.parametrize(
    ("body", "complete"),
    [
        (b"no gzip", False),
        (gzip.compress(b"{}", mtime=0), True),
        (gzip.compress(b"{}", mtime=0)[:5], True),
    ],
)
def test_encodings_that_nobody_asked_for(body: bytes, complete: bool) -> None:
    """A gzip body is read, or incomplete, or empty where aiohttp sees no cut; it never raises."""

    async def encoded(talk: Conversation) -> None:
        await talk.request()
        await talk.answer(200, body, content_encoding="gzip")

    found = exchange(encoded)
    assert found.complete == complete
    assert found.body in (b"", b"{}")


def test_an_answer_before_the_body_was_read() -> None:
    """A refusal that comes while a large body is under way is the answer, and comes at once."""

    async def hasty(talk: Conversation) -> None:
        await talk.head()
        await talk.answer(401, b"{}")
        await asyncio.sleep(30)

    found = exchange(hasty, timeout=5, body=LARGE * 5)
    assert found.status == 401


def test_an_answer_that_came_while_the_computer_slept_is_read() -> None:
    """The clock leaps over the whole limit; what lies in the socket by then leaves no doubt."""

    async def sleepy(talk: Conversation) -> None:
        loop = asyncio.get_running_loop()
        awake = loop.time
        await talk.request()
        await talk.answer(202, b"{}")
        loop.time = lambda: awake() + 3600  # type: ignore[method-assign]

    async def main() -> Answer | TransportError:
        async with server(sleepy) as here, transport_to(here.url) as transport:
            return await post(transport, timeout=30)

    assert answered(asyncio.run(main())).complete
