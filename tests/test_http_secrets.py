"""Where the token and the environment do not go (design, promise 6 and section 5, "POST").

Real sockets need the real clock, so the times here are real, and short.
"""

from __future__ import annotations

import asyncio
import traceback
from pathlib import Path

import pytest

from seedance_async.errors import CredentialsError, TransportError
from seedance_async.http import Limits
from seedance_async.proxies import ProxyRule
from seedance_async.wire import read_result, read_status, read_submission

from .misbehaving import (
    SECRET,
    Conversation,
    Handler,
    black_hole,
    head_of,
    live,
    polite,
    server,
    transport_to,
)
from .test_http import BODY, answered, discreet, post, unanswered

REAL = "https://model-api.runcomfy.net"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy variables but those that a test sets."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


# --- the token -----------------------------------------------------------------------------


def test_requests_bear_the_token_and_downloads_do_not() -> None:
    """Each call bears the token; a stream bears none, not even to the base URL's own host."""

    async def main() -> None:
        async with server(polite) as here, transport_to(here.url) as transport:
            await post(transport)
            await transport.send("GET", "/v1/requests/x/result", timeout=5)
            async with transport.stream(f"{here.url}/a%3Db.mp4?x=%20", {"Range": "bytes=5-"}) as it:
                assert it.status == 200
                assert [chunk async for chunk in it.chunks()] == [b"{}"]
        sent, got, streamed = here.requests
        assert sent.headers["authorization"] == got.headers["authorization"] == f"Bearer {SECRET}"
        assert (sent.method, sent.body) == ("POST", BODY)
        assert sent.headers["content-type"] == "application/json"
        assert sent.headers["content-length"] == str(len(BODY))
        assert "authorization" not in streamed.headers
        assert streamed.target == "/a%3Db.mp4?x=%20"
        assert streamed.headers["range"] == "bytes=5-"
        assert streamed.headers["accept-encoding"] == "identity"

    live(main)


ECHOES = [
    f'{{"error_message": "bad token {SECRET}", "detail": ["{SECRET}"]}}',
    '{"error_message": "bad token ' + SECRET.replace("s", "\\u0073") + '"}',
    f'{{"status": "failed", "error": {{"message": "{SECRET}", "header": "Bearer {SECRET}"}}}}',
    f'{{"status": "completed", "output": {{"note": "{SECRET}"}}}}',
    f'{{"status": "{SECRET}"}}',
    f"<html>Bearer {SECRET}</html>",
    "x" * (295 - len(SECRET)) + SECRET * 9,
]


@pytest.mark.parametrize("body", ECHOES)
@pytest.mark.parametrize("status", [200, 401, 422, 500])
def test_a_token_that_the_answer_repeats_is_taken_out(status: int, body: str) -> None:
    """What is read from an answer reaches logs and ledgers, so the token is not in it."""

    async def echo(talk: Conversation) -> None:
        await talk.request()
        await talk.answer(status, body.encode(), location=f"/x?token={SECRET}")

    async def main() -> None:
        async with server(echo) as here, transport_to(here.url) as transport:
            found = answered(await post(transport))
        assert SECRET not in repr(found)
        readings: list[object] = [read_submission(found, now=0)]
        readings += [read_result(found, "x", now=0), read_status(found, "x", now=0)]
        for reading in readings:
            error = getattr(reading, "error", None)
            assert SECRET not in f"{reading!r} {error} {error!r}"

    live(main)


def test_no_repr_shows_the_token() -> None:
    """A transport's repr tells the address only."""

    async def main() -> None:
        async with transport_to(REAL, proxy="http://me:hidden@127.0.0.1:1") as transport:
            assert repr(transport) == f"<HttpTransport {REAL}>"
        assert "hidden" not in repr(ProxyRule("http://me:hidden@127.0.0.1:1"))

    live(main)


def test_cookies_are_not_sent_back() -> None:
    """A cookie of one answer does not go along with the next request, POST, GET or download."""

    async def bake(talk: Conversation) -> None:
        while await talk.request() is not None:
            await talk.answer(200, b"{}", set_cookie="a=b; Path=/")

    async def main() -> None:
        async with server(bake) as here, transport_to(here.url) as transport:
            for _ in range(2):
                await post(transport)
                await transport.send("GET", "/", timeout=5)
                async with transport.stream(f"{here.url}/x", {}):
                    pass
        assert len(here.requests) == 6
        assert all("cookie" not in seen.headers for seen in here.requests)

    live(main)


def test_netrc_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A netrc entry for the host neither replaces the token nor adds a password to a download."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login fox password hidden\ndefault login a password b\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))

    async def main() -> None:
        async with server(polite) as here, transport_to(here.url) as transport:
            await post(transport)
            async with transport.stream(f"{here.url}/x", {}):
                pass
        sent, streamed = here.requests
        assert sent.headers["authorization"] == f"Bearer {SECRET}"
        assert "authorization" not in streamed.headers

    live(main)


# --- proxies -------------------------------------------------------------------------------


async def tunnel_refused(talk: Conversation) -> None:
    """Refuse every CONNECT, repeating what came."""
    request = await talk.request()
    if request is not None:
        await talk.send(head_of(502, content_length="2") + b"no")


async def tunnel_to_nowhere(talk: Conversation) -> None:
    """Accept a CONNECT and close during the handshake."""
    await talk.request()
    await talk.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
    await talk.some(5)


@pytest.mark.parametrize("handler", [tunnel_refused, tunnel_to_nowhere])
def test_a_proxy_sees_neither_token_nor_body(handler: Handler) -> None:
    """An explicit proxy gets a CONNECT; as it fails, nothing of the request was sent."""

    async def main() -> None:
        async with (
            server(handler) as proxy,
            transport_to(REAL, proxy=f"http://me:hidden@127.0.0.1:{proxy.port}") as transport,
        ):
            error = unanswered(await post(transport))
            assert error.sent is False
            assert "hidden" not in str(error)
            with pytest.raises(TransportError) as caught:
                async with transport.stream("https://x.runcomfy.net/a.mp4", {}):
                    pass
            discreet(caught.value)
        hosts = ["model-api.runcomfy.net:443", "x.runcomfy.net:443"]
        assert [(seen.method, seen.target) for seen in proxy.requests] == [
            ("CONNECT", host) for host in hosts
        ]
        assert all("authorization" not in seen.headers for seen in proxy.requests)
        assert SECRET.encode() not in proxy.raw
        assert BODY not in proxy.raw

    live(main)


def test_the_environments_proxy_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTPS_PROXY counts as it stood when the transport was made."""

    async def main() -> None:
        async with server(tunnel_refused) as proxy, server(tunnel_refused) as later:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            async with transport_to(REAL) as transport:
                monkeypatch.setenv("HTTPS_PROXY", later.url)
                assert unanswered(await post(transport)).sent is False
                with pytest.raises(TransportError):
                    async with transport.stream("https://x.runcomfy.net/a.mp4", {}):
                        pass
        assert (len(proxy.requests), later.connections) == (2, 0)

    live(main)


@pytest.mark.parametrize("explicit", [True, False])
def test_loopback_is_never_proxied(explicit: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulator on this machine is reached directly, whatever the proxy settings say."""

    async def main() -> None:
        async with server(tunnel_refused) as proxy, server(polite) as here:
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
            monkeypatch.setenv("ALL_PROXY", proxy.url)
            async with transport_to(here.url, proxy=proxy.url if explicit else None) as transport:
                answered(await post(transport))
                async with transport.stream(f"{here.url}/x", {}) as stream:
                    assert stream.status == 200
        assert proxy.connections == 0

    live(main)


@pytest.mark.parametrize(
    ("explicit", "environment", "url", "expected"),
    [
        (None, {}, REAL, None),
        (None, {"https": "http://p:1"}, REAL, "http://p:1"),
        (None, {"https": "p:1"}, REAL, "http://p:1"),
        (None, {"http": "http://p:1"}, REAL, None),
        (None, {"all": "http://p:1"}, REAL, "http://p:1"),
        ("http://q:2", {"https": "http://p:1"}, REAL, "http://q:2"),
        ("", {"https": "http://p:1"}, REAL, None),
        ("http://q:2", {}, "http://localhost:8765", None),
        ("http://q:2", {}, "http://127.9.9.9:8765", None),
        ("http://q:2", {}, "http://[::1]:8765", None),
        ("http://q:2", {}, "https://localhost.example", "http://q:2"),
    ],
)
def test_proxy_rule(
    explicit: str | None, environment: dict[str, str], url: str, expected: str | None
) -> None:
    """The given proxy, else the environment's; an empty one is none; loopback has none."""
    assert ProxyRule(explicit, environment)(url) == expected


def test_no_proxy_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_PROXY excepts hosts from the environment's proxy."""
    monkeypatch.setenv("HTTPS_PROXY", "http://p:1")
    monkeypatch.setenv("NO_PROXY", "runcomfy.net")
    rule = ProxyRule()
    assert rule(REAL) is None
    assert rule("https://example.com") == "http://p:1"


@pytest.mark.parametrize(
    "proxy", ["socks5://me:hidden@h:1", "http://me:hidden@h:99999", "http://[me:hidden"]
)
def test_an_unusable_proxy_is_refused_at_once_and_not_shown(proxy: str) -> None:
    """What is no http proxy's URL is an error before anything is sent, without its password."""
    with pytest.raises(CredentialsError) as caught:
        ProxyRule(proxy)(REAL)
    assert "hidden" not in str(caught.value)
    with pytest.raises(CredentialsError):
        ProxyRule(None, {"https": proxy})(REAL)


def test_a_proxy_that_is_not_there_is_a_transport_error() -> None:
    """A proxy that cannot be reached is no answer, and nothing was sent."""

    async def main() -> None:
        async with transport_to(REAL, proxy="http://127.0.0.1:9") as transport:
            assert unanswered(await post(transport)).sent is False

    live(main)


# --- streams -------------------------------------------------------------------------------


async def stall(talk: Conversation) -> None:
    await talk.request()
    await talk.send(head_of(200, content_length="10") + b"12345")
    await asyncio.sleep(30)


async def cut(talk: Conversation) -> None:
    await talk.request()
    await talk.send(head_of(200, content_length="10") + b"12345")
    await asyncio.sleep(0.02)


async def reset(talk: Conversation) -> None:
    await cut(talk)
    talk.reset()


@pytest.mark.parametrize("handler", [stall, cut, reset], ids=lambda handler: handler.__name__)
def test_a_stream_that_breaks_off_is_a_transport_error(handler: Handler) -> None:
    """What came before is handed out; then the error says that the rest did not come."""

    async def main() -> None:
        async with (
            server(handler) as here,
            transport_to(here.url, limits=Limits(stall=0.1)) as transport,
            transport.stream(f"{here.url}/x", {}) as stream,
        ):
            got = []
            with pytest.raises(TransportError) as caught:
                async for chunk in stream.chunks():
                    got.append(chunk)  # kept although the error comes
            assert got == [b"12345"]
            discreet(caught.value)

    live(main)


@pytest.mark.parametrize("url", ["https://[bad", "ftp://x.example/a", "x", "", "https://a..b/"])
def test_a_stream_of_no_url_is_a_transport_error(url: str) -> None:
    """Whatever a server names as a video's URL ends in the one error."""

    async def main() -> None:
        async with transport_to(REAL, proxy="") as transport:
            with pytest.raises(TransportError):
                async with transport.stream(url, {}):
                    pass

    live(main)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_cancelled_request_shows_no_token_among_its_variables(method: str) -> None:
    """Those who report errors report the local variables of each function on the way."""

    async def main() -> None:
        async with server(black_hole) as here, transport_to(here.url) as transport:
            sending = asyncio.create_task(transport.send(method, "/", None, timeout=5))
            await asyncio.sleep(0.05)
            sending.cancel()
            try:
                await sending
            except asyncio.CancelledError as error:
                frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
                ours = [frame for frame in frames if frame.f_globals["__name__"] != __name__]
                assert any(frame.f_code.co_name == "_converse" for frame in ours)
                assert not [frame for frame in ours if SECRET in repr(frame.f_locals)]
            else:
                pytest.fail("the cancellation was swallowed")

    live(main)
