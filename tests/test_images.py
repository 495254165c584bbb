"""Image rules: judging is pure, reading takes as little as it can."""

from __future__ import annotations

import base64
import struct
import sys
from collections.abc import Callable

import anyio
import pytest

from seedance_async.errors import InvalidRequestError, SeedanceError, TransportError
from seedance_async.heads import Head, PrivateAddressError, is_private_host
from seedance_async.images import (
    Fetch,
    ImageReport,
    check_images,
    image_rules,
    inspect_images,
    judge_image,
)
from seedance_async.models import LiteImageToVideo, ProFastTextToVideo, RawRequest, RequestAdvice

FIRST = "https://example.com/first.png"
LAST = "https://example.com/last.png"
RULES = image_rules("lite")["first_frame_image_url"]


@pytest.fixture
def anyio_backend() -> str:
    """The client lives on asyncio."""
    return "asyncio"


# --- images, by hand -----------------------------------------------------------------------


def png(width: int, height: int, padding: int = 0) -> bytes:
    header = struct.pack(">I4sIIBBBBB", 13, b"IHDR", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + header + bytes(4 + padding)


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + bytes(20)


def webp(width: int, height: int) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunk = b"VP8X" + struct.pack("<I", 10) + bytes(4) + size
    return b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk + bytes(20)


def jpeg(width: int, height: int, metadata: int = 0) -> bytes:
    """Return a JPEG whose size stands behind about so many bytes of metadata."""
    blocks = b"".join(
        b"\xff\xe2" + struct.pack(">H", 60_002) + b"\x11" * 60_000
        for _ in range(metadata // 60_000)
    )
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, height, width, 3) + bytes(9)
    return b"\xff\xd8" + blocks + frame + b"\xff\xda" + bytes(5_000)


class Web:
    """Hosts that serve files by URL and keep count of what is asked for."""

    def __init__(self, files: dict[str, bytes | Head | Exception]) -> None:
        self.files = files
        self.asked: list[tuple[str, int]] = []

    async def fetch(self, url: str, first_bytes: int) -> Head:
        """Serve the first bytes of a file, as a server with ranges does."""
        self.asked.append((url, first_bytes))
        await anyio.lowlevel.checkpoint()
        served = self.files[url]
        if isinstance(served, Exception):
            raise served
        if isinstance(served, Head):
            return served
        return Head(status=206, size_bytes=len(served), body=served[:first_bytes], final_url=url)


def request(first: str = FIRST, last: str | None = None) -> LiteImageToVideo:
    return LiteImageToVideo(prompt="a fox", first_frame_image_url=first, last_frame_image_url=last)


# --- judging -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "height", "size_bytes", "broken", "warned"),
    [
        (1280, 720, 1_000_000, 0, 0),
        (301, 301, None, 0, 0),
        (300, 400, None, 0, 1),
        (299, 400, None, 1, 0),
        (5999, 5999, None, 0, 0),
        (6000, 6000, None, 0, 2),
        (6001, 6000, None, 1, 1),
        (400, 1000, None, 0, 1),
        (399, 1000, None, 1, 0),
        (1000, 400, None, 0, 1),
        (1001, 400, None, 1, 0),
        (100, 7000, None, 3, 0),
        (None, None, 29_999_999, 0, 0),
        (None, None, 30_000_000, 0, 1),
        (None, None, 30 * 2**20, 0, 1),
        (None, None, 30 * 2**20 + 1, 1, 0),
        (None, None, None, 0, 0),
    ],
)
def test_both_readings_of_a_rule_are_honoured(
    width: int | None, height: int | None, size_bytes: int | None, broken: int, warned: int
) -> None:
    """Refused is what breaks a rule strictly and at the bound; the bound itself is a warning."""
    violations, warnings = judge_image("image", FIRST, width, height, size_bytes, RULES)
    assert (len(violations), len(warnings)) == (broken, warned)


def test_rules_come_from_the_schema() -> None:
    """Each image field has its own rules, in words that say the way out."""
    assert set(image_rules("lite")) == {"first_frame_image_url", "last_frame_image_url"}
    assert [str(rule) for rule in RULES] == [
        "its width must be under 6000 px: scale it",
        "its height must be under 6000 px: scale it",
        "its width must be over 300 px: scale it",
        "its height must be over 300 px: scale it",
        "its width divided by height must be over 0.4: crop it",
        "its width divided by height must be under 2.5: crop it",
        "its file must be under 30 MB: compress it",
    ]
    assert image_rules("pro-fast") == image_rules("no/such/model") == {}


def test_a_violation_says_what_the_image_is() -> None:
    """The message names the field, the fact, the rule and the way out."""
    (violation,), _ = judge_image("image", FIRST, 200, 400, None, RULES)
    assert str(violation) == (
        "image is an image of 200 x 400 px, but its width must be over 300 px: scale it "
        f"(given: {FIRST!r})"
    )


# --- reading -------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("make", [png, gif, webp, jpeg])
async def test_four_kilobytes_tell_the_size(make: Callable[[int, int], bytes]) -> None:
    """A header is enough: 4 KiB of each image, whatever its kind."""
    web = Web({FIRST: make(640, 480) + bytes(10_000)})
    report = await check_images(request(), fetch=web.fetch)
    assert [(image.width, image.height) for image in report.images] == [(640, 480)]
    assert web.asked == [(FIRST, 4096)]
    assert not report.warnings


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("metadata", "reads"),
    [
        (60_000, [4096, 65536]),
        (420_000, [4096, 65536, 524288]),
        (600_000, [4096, 65536, 524288]),
    ],
)
async def test_a_jpeg_with_much_metadata_is_read_further(metadata: int, reads: list[int]) -> None:
    """The read grows to 512 KiB, and then the image is let through with a warning."""
    web = Web({FIRST: jpeg(640, 480, metadata)})
    report = await check_images(request(), fetch=web.fetch)
    assert [first_bytes for _, first_bytes in web.asked] == reads
    found = metadata < 600_000
    assert report.images[0].width == (640 if found else None)
    assert len(report.warnings) == (0 if found else 1)


@pytest.mark.anyio
async def test_all_violations_of_all_images_come_at_once() -> None:
    """Both frames are looked at, and reported in the schema's order."""
    web = Web({FIRST: png(100, 150), LAST: png(6100, 6200)})
    with pytest.raises(InvalidRequestError) as caught:
        await check_images(request(last=LAST), fetch=web.fetch)
    fields = [violation.field for violation in caught.value.violations]
    assert fields == ["first_frame_image_url"] * 2 + ["last_frame_image_url"] * 2
    assert caught.value.model_id == LiteImageToVideo.model_id


@pytest.mark.anyio
async def test_images_are_fetched_together() -> None:
    """The last frame does not wait for the first."""
    both = anyio.Event()
    web = Web({FIRST: png(640, 480), LAST: png(640, 480)})

    async def fetch(url: str, first_bytes: int) -> Head:
        head = await web.fetch(url, first_bytes)
        if len(web.asked) == 2:
            both.set()
        await both.wait()
        return head

    report = await check_images(request(last=LAST), fetch=fetch)
    assert [image.url for image in report.images] == [FIRST, LAST]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("served", "word"),
    [
        (TransportError("no answer from example.com", sent=True), "no answer from example.com"),
        (PrivateAddressError("example.com is 10.0.0.1"), "10.0.0.1"),
        (ConnectionResetError("reset"), "reset"),
        (Head(status=403, size_bytes=9, body=b"Forbidden", final_url=FIRST), "HTTP 403"),
        (
            Head(
                status=200,
                size_bytes=None,
                body=b"<html>log in</html>",
                final_url=FIRST,
                content_type="text/html",
            ),
            "text/html",
        ),
        (b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>", "no PNG"),
        (b"", "no PNG"),
        (b"\xff\xd8\xff\xe1\x00\x01\x00", "no PNG"),
        (b"\x89PNG\r\n\x1a\n", "no PNG"),
        (png(0, 0), "no PNG"),
    ],
)
async def test_what_cannot_be_checked_is_a_warning(
    served: bytes | Head | Exception, word: str
) -> None:
    """The service may see what we do not: nothing but a broken size rule refuses."""
    web = Web({FIRST: served})
    report = await check_images(request(), fetch=web.fetch)
    assert len(web.asked) == 1
    assert not report.violations
    (warning,) = report.warnings
    assert word in warning
    assert warning.startswith("first_frame_image_url ")


@pytest.mark.anyio
async def test_a_silent_host_is_a_warning() -> None:
    """Every wait ends; with no time at all, at once."""

    async def fetch(url: str, first_bytes: int) -> Head:
        await anyio.sleep_forever()
        raise AssertionError

    report = await check_images(request(), fetch=fetch, timeout=0)
    assert report.warnings == (
        "first_frame_image_url is not checked, for it cannot be reached: no answer within 0 s",
    )


@pytest.mark.anyio
async def test_a_short_file_tells_its_size() -> None:
    """Where the server gives no length, a body that ends early is the whole file."""
    body = png(640, 480)
    web = Web({FIRST: Head(status=200, size_bytes=None, body=body, final_url=FIRST)})
    report = await check_images(request(), fetch=web.fetch)
    assert report.images[0].size_bytes == len(body)


@pytest.mark.anyio
@pytest.mark.filterwarnings("ignore::seedance_async.models.RequestAdvice")
@pytest.mark.parametrize(
    "url",
    [
        "fox.png",
        "/home/me/fox.png",
        "C:\\fox.png",
        "",
        "http://example.com/fox.png",
        "ftp://example.com/fox.png",
        "https:///fox.png",
        "https://localhost/fox.png",
        "https://127.1/fox.png",
        "https://[::1]/fox.png",
        "https://169.254.169.254/latest/meta-data",
        "https://[bad/fox.png",
    ],
)
async def test_what_the_service_cannot_fetch_is_refused_without_asking(url: str) -> None:
    """Local paths, plain http and private hosts get an error that says what is needed."""
    web = Web({})
    with pytest.raises(InvalidRequestError, match="must be a public https URL") as caught:
        await check_images(request(url), fetch=web.fetch)
    assert [violation.value for violation in caught.value.violations] == [url]
    assert web.asked == []


@pytest.mark.anyio
async def test_a_redirect_to_a_private_address_is_refused() -> None:
    """Also where somebody else's fetch followed it."""
    inside = Head(
        status=200, size_bytes=9, body=png(640, 480), final_url="https://10.0.0.1/first.png"
    )
    with pytest.raises(InvalidRequestError, match="redirects to"):
        await check_images(request(), fetch=Web({FIRST: inside}).fetch)


def data_uri(body: bytes, mark: str = ";base64") -> str:
    return f"data:image/png{mark},{base64.b64encode(body).decode()}"


@pytest.mark.anyio
@pytest.mark.filterwarnings("ignore::seedance_async.models.RequestAdvice")
async def test_data_uris_are_judged_from_their_own_bytes() -> None:
    """Nothing is fetched; that they are undocumented is always said."""
    web = Web({})
    report = await check_images(request(data_uri(png(640, 480))), fetch=web.fetch)
    assert (report.images[0].width, report.images[0].size_bytes) == (640, len(png(640, 480)))
    assert report.warnings == (
        "first_frame_image_url is a data: URI, which the service does not document",
    )
    with pytest.raises(InvalidRequestError, match="200 x 480"):
        await check_images(request(data_uri(png(200, 480))), fetch=web.fetch)
    for url in (data_uri(b"x", mark=""), "data:nothing", "data:image/png;base64,x"):
        report = await check_images(request(url), fetch=web.fetch)
        assert report.images[0].width is None
        assert report.warnings
    assert web.asked == []


@pytest.mark.anyio
async def test_inspecting_reports_violations_without_raising() -> None:
    """A batch lists the errors of all rows."""
    report = await inspect_images(request(), fetch=Web({FIRST: png(100, 640)}).fetch)
    assert len(report.violations) == 2


@pytest.mark.anyio
async def test_requests_without_image_rules_have_nothing_to_check() -> None:
    """Text needs no network; a raw request of a known model has that model's rules."""
    fetch: Fetch = Web({FIRST: png(640, 480)}).fetch
    assert await check_images(ProFastTextToVideo(text="a fox"), fetch=fetch) == ImageReport()
    assert await check_images(RawRequest("a/b", {"image": FIRST}), fetch=fetch) == ImageReport()
    raw = RawRequest(LiteImageToVideo.model_id, {"first_frame_image_url": FIRST, "prompt": 5})
    assert len((await check_images(raw, fetch=fetch)).images) == 1


@pytest.mark.anyio
async def test_a_missing_imagesize_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra the error says what to install, before anything is fetched."""
    monkeypatch.setitem(sys.modules, "imagesize", None)
    web = Web({})
    with pytest.raises(SeedanceError, match=r"seedance-async\[cli\]"):
        await check_images(request(), fetch=web.fetch)


# --- hosts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST.",
        "a.localhost",
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "2130706433",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "::1",
        "[::1]",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fec0::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "2002:7f00:1::",
        "64:ff9b::7f00:1",
        "2001:db8::1",
    ],
)
def test_private_hosts(host: str) -> None:
    """However it is written, an address off the public internet is one."""
    assert is_private_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "8.8.8.8",
        "2606:4700::1111",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "localhost.example",
    ],
)
def test_public_hosts(host: str) -> None:
    """Names are public until they are resolved."""
    assert not is_private_host(host)


def test_advice_is_not_repeated_as_an_error() -> None:
    """Plain http constructs with advice; only the image check refuses it."""
    with pytest.warns(RequestAdvice):
        request("http://example.com/fox.png")
