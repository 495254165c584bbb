"""Where a video may come from (design, section 6, "Downloads"): hosts, schemes, redirects.

Real sockets need the real clock, so the times here are real, and short.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from seedance_async.credentials import Token
from seedance_async.download import DownloadRules, download, refuse_url
from seedance_async.errors import DownloadError
from seedance_async.http import HttpTransport

from .fileserver import QUICK, cut, meet, mp4, ranged, run, whole
from .misbehaving import SECRET, live, polite, server

VIDEO = mp4()
STRONG = '"v1"'
BASE = "https://model-api.runcomfy.net"
PUBLIC = "https://playgrounds-storage-public.runcomfy.net"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (f"{PUBLIC}/a/b%3D.mp4?x=y#z", None),
        ("https://a.b.runcomfy.com/x.mp4", None),
        ("https://A.RunComfy.NET/x.mp4", None),
        (f"{PUBLIC}:443/x.mp4", None),
        (f"{BASE}/x.mp4", None),
        (f"{BASE}:8443/x.mp4", None),
        ("https://cdn.example/x.mp4", None),
        ("https://CDN.example:8443/x.mp4", None),
        (f"{PUBLIC}:8443/x.mp4", "port"),
        ("https://evil.example/x.mp4", "not one of the service's"),
        ("https://runcomfy.net/x.mp4", "not one of the service's"),
        ("https://evilruncomfy.net/x.mp4", "not one of the service's"),
        ("https://x.runcomfy.net.evil.example/x.mp4", "not one of the service's"),
        ("https://evil.example#.runcomfy.net", "not one of the service's"),
        ("https://evil.example?.runcomfy.net", "not one of the service's"),
        ("https://me:pw@x.runcomfy.net/x.mp4", "credentials"),
        ("https://x.runcomfy.net@evil.example/x.mp4", "credentials"),
        (PUBLIC.replace("https", "http"), "https"),
        (BASE.replace("https", "http"), "http"),
        ("http://cdn.example/x.mp4", "https"),
        ("http://127.0.0.1/x.mp4", "https"),
        ("https://127.0.0.1/x.mp4", "not one of the service's"),
        ("ftp://x.runcomfy.net/x.mp4", "https"),
        ("file:///etc/passwd", "https"),
        ("https://[bad/x.mp4", "not a URL"),
        ("https://x.runcomfy.net:port/x.mp4", "not a URL"),
        ("", "https"),
    ],
)
def test_where_a_video_may_come_from(url: str, why: str | None) -> None:
    """https, the service's hosts or the base URL's own, and those that the user allows."""
    found = refuse_url(url, BASE, DownloadRules(allow_hosts=("Cdn.Example",)))
    assert (found is None) if why is None else (found is not None and why in found)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A target in a folder that does not exist yet."""
    return tmp_path / "videos" / "fox.mp4"


def test_a_simulators_own_files_may_come_over_http() -> None:
    """Plain http is for loopback, and there for the base URL's own host only."""
    rules = DownloadRules(allow_hosts=("127.0.0.2",))
    assert refuse_url("http://127.0.0.1:99/x.mp4", "http://127.0.0.1:8765", rules) is None
    assert refuse_url("http://127.0.0.2:99/x.mp4", "http://127.0.0.1:8765", rules) is not None


def test_a_refused_url_is_not_asked(path: Path) -> None:
    """The refusal comes before any request, names the URL, and leaves no file."""

    async def main() -> None:
        async with server(polite) as here:
            transport = HttpTransport(BASE, Token(SECRET, "test"), proxy=here.url)
            for url in ("https://evil.example/x.mp4", here.url, "https://me:pw@x.runcomfy.net/"):
                with pytest.raises(DownloadError) as caught:
                    await download(transport, url, path, DownloadRules(), QUICK)
                assert not caught.value.retryable
                assert caught.value.url == url
            await transport.aclose()
            assert here.connections == 0

    live(main)
    assert not path.parent.exists()


def test_redirects_within_the_host_are_followed(path: Path) -> None:
    """Up to five, also relative ones, within one try; the URL itself is asked again next time."""
    steps = [whole(b"", 302, location=f"/step%20{n}") for n in range(5)]
    again = whole(b"", 307, location="x")
    met = run(path, *steps, cut(VIDEO, 40_000, etag=STRONG), again, ranged(VIDEO))
    assert path.read_bytes() == VIDEO
    targets = [seen.target for seen in met.place.requests]
    assert targets[1:6] == [f"/step%20{n}" for n in range(5)]
    assert targets[6:] == ["/output/fox%3D1.mp4", "/output/x"]
    assert met.headers("range")[-1] == "bytes=40000-"


def test_redirects_in_a_circle_end(path: Path) -> None:
    """Five redirects are enough."""
    met = run(path, whole(b"", 301, location="/round"))
    assert (met.error.retryable, len(met.place.requests)) == (False, 6)
    met = run(path, whole(b"", 301))
    assert len(met.place.requests) == 6


def test_redirects_elsewhere_are_refused(path: Path) -> None:
    """Another host, port, scheme or user, or no URL: refused, nothing asked there."""

    async def main() -> None:
        async with server(lambda talk: talk.answer()) as elsewhere:
            places = [elsewhere.url, "https://127.0.0.1/x", "//evil.example/x", "https://[bad"]
            for place in [*places, "http://me:pw@127.0.0.1/x", "file:///etc/passwd"]:
                met = await meet(path, whole(b"", 302, location=place))
                assert (met.error.retryable, met.error.status) == (False, 302), place
                assert len(met.place.requests) == 1
            assert elsewhere.connections == 0

    live(main)
    assert not path.exists()
