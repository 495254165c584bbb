"""The head of a file on the public web: nobody is led into a private network.

The resolver is a fake one. Its "public" names lead to a server on loopback, so `is_private_host`
is told to take 127.0.0.1, and nothing else, for public. Real sockets need the real clock.
"""

from __future__ import annotations

import asyncio
import socket

import aiohttp
import pytest

from seedance_async import http
from seedance_async.errors import TransportError
from seedance_async.heads import Head, PrivateAddressError, is_private_host
from seedance_async.http import fetch_head

from .fileserver import Reply, chunked, in_turn, ranged, whole
from .misbehaving import Conversation, Place, SeenRequest, closed_port, head_of, live, server

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100_000)
NAMES = {
    "images.example": ["127.0.0.1"],
    "metadata.example": ["169.254.169.254"],
    "intranet.example": ["10.0.0.7"],
    "loopback6.example": ["::1"],
    "mixed.example": ["127.0.0.1", "192.168.0.1"],
}


class FakeResolver(aiohttp.abc.AbstractResolver):
    """Resolves the names above, and fails for all others as the real one does."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        """Return the name's addresses."""
        if host not in NAMES:
            raise OSError(-2, "Name or service not known")
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": socket.AF_INET6 if ":" in address else socket.AF_INET,
                "proto": 0,
                "flags": 0,
            }
            for address in NAMES[host]
        ]

    async def close(self) -> None:
        """Nothing is open."""


@pytest.fixture(autouse=True)
def fake_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    """No name is asked for outside this process."""
    monkeypatch.setattr(aiohttp, "DefaultResolver", FakeResolver)


@pytest.fixture
def loopback_is_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a server has to be reached: 127.0.0.1 alone counts as public."""
    monkeypatch.setattr(
        http, "is_private_host", lambda host: host != "127.0.0.1" and is_private_host(host)
    )


def fetch(*replies: Reply, target: str = "/a%3Db.png", first_bytes: int = 64) -> tuple[Head, Place]:
    """Fetch a head from `images.example`, whose server gives these replies."""
    found: list[tuple[Head, Place]] = []

    async def main() -> None:
        async with server(in_turn(replies)) as here:
            url = f"http://images.example:{here.port}{target}"
            found.append((await fetch_head(url, first_bytes=first_bytes), here))

    live(main)
    return found[0]


def refused(url: str) -> TransportError:
    """Return the error that comes instead of a head."""
    found: list[TransportError] = []

    async def main() -> None:
        with pytest.raises(TransportError) as caught:
            await fetch_head(url, first_bytes=64)
        found.append(caught.value)

    live(main)
    return found[0]


def redirect_to(location: str) -> Reply:
    return whole(b"", 302, location=location)


# --- private places ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        *["127.0.0.1", "localhost", "LOCALHOST.", "a.localhost", "[::1]", "0.0.0.0", "[::]"],
        *["10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1"],
        *["[::ffff:127.0.0.1]", "[fe80::1]", "[fc00::1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"],
        *["127.1", "0x7f000001", "2130706433", "0177.0.0.1"],
    ],
)
def test_a_private_address_is_refused_before_any_connection(host: str) -> None:
    """However a private address is written, nothing connects to it."""

    async def main() -> None:
        async with server(in_turn((whole(PNG),))) as here:
            with pytest.raises(PrivateAddressError) as caught:
                await fetch_head(f"http://{host}:{here.port}/x.png", first_bytes=64)
            assert caught.value.sent is False
            assert here.connections == 0

    live(main)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_name_that_leads_to_a_private_address_is_refused(name: str) -> None:
    """Each address that a name resolves to is looked at; one private one is enough."""
    assert isinstance(refused(f"http://{name}/x.png"), PrivateAddressError)


@pytest.mark.usefixtures("loopback_is_public")
@pytest.mark.parametrize(
    "location",
    [
        *["http://10.0.0.1/", "http://[::1]/", "http://localhost/x", "//169.254.169.254/latest"],
        *["http://metadata.example/", "https://intranet.example/", "http://mixed.example/"],
        *["http://loopback6.example/", "http://0x7f000002/", "http://public@10.0.0.1/"],
    ],
)
@pytest.mark.parametrize("hops", [1, 3])
def test_a_redirect_into_a_private_network_is_refused(location: str, hops: int) -> None:
    """A public host cannot send us home, not at the first hop and not at a later one."""
    replies = [redirect_to("/next")] * (hops - 1) + [redirect_to(location)]

    async def main() -> None:
        async with server(in_turn(tuple(replies))) as here:
            with pytest.raises(PrivateAddressError):
                await fetch_head(f"http://images.example:{here.port}/x", first_bytes=64)
            assert len(here.requests) == hops

    live(main)


# --- heads ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("loopback_is_public")
def test_a_head_is_a_few_bytes_and_the_whole_size() -> None:
    """A Range is asked for; the size of the whole is in Content-Range; no credentials go along."""
    head, place = fetch(ranged(PNG, content_type="image/png"))
    assert (head.status, head.body, head.size_bytes) == (206, PNG[:64], len(PNG))
    assert head.content_type == "image/png"
    assert head.final_url == f"http://images.example:{place.port}/a%3Db.png"
    (seen,) = place.requests
    assert (seen.method, seen.target) == ("GET", "/a%3Db.png")
    assert seen.headers["range"] == "bytes=0-63"
    assert "authorization" not in seen.headers


@pytest.mark.usefixtures("loopback_is_public")
def test_a_server_without_ranges() -> None:
    """Of a 200 only the first bytes are read; its size is Content-Length, if it has one."""
    head, _ = fetch(whole(PNG))
    assert (head.status, head.body, head.size_bytes) == (200, PNG[:64], len(PNG))
    head, _ = fetch(chunked(PNG))
    assert (head.body, head.size_bytes) == (PNG[:64], None)
    head, _ = fetch(whole(PNG[:10]))
    assert (head.body, head.size_bytes) == (PNG[:10], 10)
    head, _ = fetch(whole(b"gone", 404))
    assert head.status == 404


@pytest.mark.usefixtures("loopback_is_public")
def test_an_endless_file_ends_at_the_first_bytes() -> None:
    """No more is read than asked for, whatever is sent."""

    async def endless(talk: Conversation, _request: SeenRequest) -> None:
        await talk.send(head_of(200, connection="close"))
        while True:
            await talk.send(PNG)

    head, _ = fetch(endless, first_bytes=1000)
    assert head.body == PNG[:1000]


@pytest.mark.usefixtures("loopback_is_public")
@pytest.mark.parametrize("total", ["*", "", "²", "9" * 5000])
def test_a_total_that_is_none(total: str) -> None:
    """A Content-Range that says nothing of use makes no size, or no head."""
    try:
        head, _ = fetch(ranged(PNG, content_range=f"bytes 0-63/{total}"))
    except TransportError:
        return
    assert head.size_bytes is None


@pytest.mark.usefixtures("loopback_is_public")
def test_public_redirects_are_followed_without_cookies() -> None:
    """Up to five, relative ones too; a cookie of one hop does not go to the next."""
    hop = whole(b"", 307, location="b/c%20d.png?x=1", set_cookie="a=b; Path=/")
    head, place = fetch(*[hop] * 5, whole(PNG), target="/a/x.png")
    assert head.final_url.endswith("/a/b/b/b/b/b/c%20d.png?x=1")
    assert len(place.requests) == 6
    assert all("cookie" not in seen.headers for seen in place.requests)


@pytest.mark.usefixtures("loopback_is_public")
@pytest.mark.parametrize("location", ["/round", "", "ftp://images.example/x", "https://[bad"])
def test_redirects_that_lead_nowhere(location: str) -> None:
    """Circles, no URL and other schemes end in a TransportError."""
    with pytest.raises(TransportError):
        fetch(redirect_to(location))


@pytest.mark.usefixtures("loopback_is_public")
def test_no_answer_is_a_transport_error() -> None:
    """Unknown names, closed ports, no URLs, and servers that speak no HTTP."""
    port = closed_port()
    for url in ("http://unknown.example/", f"http://images.example:{port}/", "x", "", "http://["):
        error = refused(url)
        assert type(error) is TransportError

    async def garbage(talk: Conversation, _request: SeenRequest) -> None:
        await talk.send(b"220 hello\r\n\r\n")

    with pytest.raises(TransportError):
        fetch(garbage)


@pytest.mark.usefixtures("loopback_is_public")
def test_the_whole_takes_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time counts over all redirects together."""
    monkeypatch.setattr(http, "_HEAD_SECONDS", 0.3)

    async def slow(talk: Conversation, _request: SeenRequest) -> None:
        await asyncio.sleep(0.2)
        await talk.answer(302, b"", location="/next")

    with pytest.raises(TransportError, match="in time"):
        fetch(slow)
