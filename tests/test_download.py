"""A video is on disk whole, or not at all (design, section 6, "Downloads").

Real sockets need the real clock, so the times here are real, and short.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from seedance_async.download import DownloadRules

from .fileserver import Reply, chunked, cut, dripping, mp4, ranged, run, whole
from .misbehaving import Conversation, SeenRequest, head_of

VIDEO = mp4()
OTHER = mp4(120_000)[:-1] + b"\xff"
STRONG = '"v1"'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A target in a folder that does not exist yet."""
    return tmp_path / "videos" / "fox.mp4"


# --- whole ---------------------------------------------------------------------------------


def test_a_whole_file(path: Path) -> None:
    """Name, size and digest are those of the bytes; the URL's escapes go out as they are."""
    met = run(path, whole(VIDEO, content_type="video/mp4"))
    assert path.read_bytes() == VIDEO
    assert (met.file.path, met.file.size) == (path, len(VIDEO))
    assert met.file.sha256 == hashlib.sha256(VIDEO).hexdigest()
    assert [seen.target for seen in met.place.requests] == ["/output/fox%3D1.mp4"]
    assert met.headers("range") == [None]
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("size", [1_000, 30_000, 99_999])
def test_what_had_arrived_when_the_connection_broke_is_kept(size: int, path: Path) -> None:
    """However early each answer is cut, the next one goes on where it ended, and the end comes."""
    met = run(path, dripping(VIDEO, size, STRONG))
    assert met.file.sha256 == hashlib.sha256(VIDEO).hexdigest()
    asked = met.headers("range")
    assert asked == [None, *(f"bytes={at}-" for at in range(size, len(VIDEO), size))]


def test_an_old_file_is_replaced(path: Path) -> None:
    """The rename replaces what stood there."""
    path.parent.mkdir()
    path.write_bytes(b"old")
    run(path, whole(VIDEO))
    assert path.read_bytes() == VIDEO


@pytest.mark.parametrize("reply", [chunked(VIDEO), chunked(b"no mp4 but some video")])
def test_without_a_length(reply: Reply, path: Path) -> None:
    """Without a length the boxes of an MP4 tell that it is whole; other formats are believed."""
    met = run(path, reply)
    assert path.stat().st_size == met.file.size


@pytest.mark.parametrize("size", [*range(24, 60), 1000, len(VIDEO) - 1])
def test_a_cut_mp4_without_a_length_is_not_whole(size: int, path: Path) -> None:
    """An MP4 cut anywhere but between boxes is noticed, and fetched again from the start."""
    met = run(path, chunked(VIDEO[:size]), whole(VIDEO))
    if size in (24, 48):
        assert met.file.size == size  # between boxes nobody can tell
        return
    assert met.file.size == len(VIDEO)
    assert met.headers("range") == [None, None]


def test_a_last_box_without_a_size_is_whole(path: Path) -> None:
    """Size 0 means "to the end of the file", by the format's definition."""
    live_video = VIDEO[:48] + bytes(4) + VIDEO[52:]
    assert run(path, chunked(live_video)).file.size == len(live_video)


def test_a_box_of_64_bits(path: Path) -> None:
    """A box of more than 4 GiB has its size behind its name; one that lies is cut."""
    box = b"\0\0\0\1mdat" + (116).to_bytes(8) + bytes(100)
    assert run(path, chunked(VIDEO[:48] + box)).file.size == 48 + 116
    assert run(path, chunked(VIDEO[:48] + box[:12])).error.retryable


# --- cut, and gone on with -----------------------------------------------------------------


def test_a_cut_download_goes_on_where_it_was(path: Path) -> None:
    """Range with If-Range on a strong ETag; the pieces make the whole, digest included."""
    met = run(path, cut(VIDEO, 40_000, etag=STRONG), ranged(VIDEO, upto=70_000), ranged(VIDEO))
    assert path.read_bytes() == VIDEO
    assert met.file.sha256 == hashlib.sha256(VIDEO).hexdigest()
    assert met.headers("range") == [None, "bytes=40000-", "bytes=70000-"]
    assert met.headers("if-range") == [None, STRONG, STRONG]


@pytest.mark.parametrize("etag", [None, 'W/"v1"', '""', "v1"])
def test_without_a_strong_etag_it_begins_anew(etag: str | None, path: Path) -> None:
    """A weak or missing ETag does not tell whether the file is the same: no Range then."""
    headers = {} if etag is None else {"etag": etag}
    met = run(path, cut(VIDEO, 40_000, **headers), whole(VIDEO))
    assert path.read_bytes() == VIDEO
    assert met.headers("range") == met.headers("if-range") == [None, None]


def test_a_file_that_changed_in_between(path: Path) -> None:
    """A server that answers If-Range with a 200 sends the new file: all of it, nothing mixed."""
    met = run(path, cut(VIDEO, 40_000, etag=STRONG), whole(OTHER, etag='"v2"'))
    assert path.read_bytes() == OTHER
    assert met.file.sha256 == hashlib.sha256(OTHER).hexdigest()


@pytest.mark.parametrize("headers", [{"etag": '"v2"'}, {"etag": 'W/"v1"'}, {}])
def test_a_206_of_another_file_is_not_mixed_in(headers: dict[str, str], path: Path) -> None:
    """A server that ignores If-Range gives itself away by its ETag or its length: begin anew."""
    met = run(
        path, cut(VIDEO, 40_000, etag=STRONG), ranged(OTHER, upto=None, **headers), whole(OTHER)
    )
    assert path.read_bytes() == OTHER
    assert met.headers("range") == [None, "bytes=40000-", None]


def test_a_server_that_ignores_ranges(path: Path) -> None:
    """A 200 in answer to a Range begins at the first byte."""
    met = run(path, cut(VIDEO, 40_000, etag=STRONG), whole(VIDEO, etag=STRONG))
    assert path.read_bytes() == VIDEO
    assert met.headers("range") == [None, "bytes=40000-"]


@pytest.mark.parametrize(
    "content_range",
    [
        *["bytes 0-99999/100000", "bytes 40001-99999/100000", "bytes */100000", "", "pages 1-2/3"],
        *["bytes x-y/z", "bytes ²-9/9", f"bytes {'9' * 5000}-1/2", "bytes -/"],
    ],
)
def test_a_wrong_range_is_not_written(content_range: str, path: Path) -> None:
    """A 206 that begins elsewhere, or says nothing of use, is thrown away."""
    wrong = ranged(VIDEO, content_range=content_range)
    met = run(path, cut(VIDEO, 40_000, etag=STRONG), wrong, whole(VIDEO))
    assert path.read_bytes() == VIDEO
    assert met.headers("range") == [None, "bytes=40000-", None]


def test_a_206_that_nobody_asked_for(path: Path) -> None:
    """A part without a Range is no file."""
    assert run(path, whole(VIDEO, 206, content_range="bytes 5-9/10")).error.status == 206


def test_an_unknown_total_is_the_first_one(path: Path) -> None:
    """`bytes 40000-99999/*` goes on with what the first answer promised."""
    unknown = "bytes 40000-99999/*"
    short = ranged(VIDEO, content_range=unknown, upto=90_000)
    met = run(path, cut(VIDEO, 40_000, etag=STRONG), short, ranged(VIDEO))
    assert path.read_bytes() == VIDEO
    assert met.headers("range")[2] == "bytes=90000-"


def test_a_416_begins_anew(path: Path) -> None:
    """A range that is not there (the first length was a lie) is not asked for again."""
    met = run(path, cut(VIDEO + b"x", len(VIDEO), etag=STRONG), whole(b"", 416), whole(VIDEO))
    assert path.read_bytes() == VIDEO
    assert met.headers("range") == [None, "bytes=100000-", None]


def test_a_server_that_always_cuts_is_given_up(path: Path) -> None:
    """Three tries in a row that bring no byte more than ever before are enough."""
    met = run(path, *[cut(VIDEO, size) for size in (50_000, 90_000, 30_000, 90_000, 60_000)])
    assert met.error.retryable
    assert len(met.place.requests) == 5  # two with news, three without
    assert not path.exists()


def test_tries_that_bring_bytes_do_not_count(path: Path) -> None:
    """A download that goes on is not given up, however often it is cut."""
    pieces = [ranged(VIDEO, upto=20_000 + 10_000 * n) for n in range(1, 7)]
    met = run(path, cut(VIDEO, 20_000, etag=STRONG), *pieces, ranged(VIDEO))
    assert path.read_bytes() == VIDEO
    assert len(met.place.requests) == 8


def test_a_stall_is_a_cut(path: Path) -> None:
    """No byte for `Limits.stall` seconds ends a try, not the download."""

    async def stall(talk: Conversation, _request: SeenRequest) -> None:
        await talk.answer(200, VIDEO[:40_000], content_length=str(len(VIDEO)), etag=STRONG)
        await asyncio.sleep(30)

    met = run(path, stall, ranged(VIDEO), stall=0.2)
    assert path.read_bytes() == VIDEO
    assert met.headers("range") == [None, "bytes=40000-"]


def test_a_server_that_never_answers_is_given_up(path: Path) -> None:
    """Silence before the head is bounded as well."""

    async def silence(_talk: Conversation, _request: SeenRequest) -> None:
        await asyncio.sleep(30)

    met = run(path, silence, stall=0.1)
    assert met.error.retryable
    assert len(met.place.requests) >= 3  # aiohttp itself repeats no GET on a new connection


# --- lies, and no videos -------------------------------------------------------------------


def test_a_length_that_is_too_long(path: Path) -> None:
    """Fewer bytes than promised are no file, even if the connection ends politely."""
    met = run(path, cut(VIDEO + b"x" * 10, len(VIDEO)))
    assert met.error.retryable
    assert not path.exists()


@pytest.mark.parametrize("at_once", [True, False])
def test_a_length_that_is_too_short(at_once: bool, path: Path) -> None:
    """An MP4 that ends within a box is cut, though its length is the promised one."""

    async def lie(talk: Conversation, _request: SeenRequest) -> None:
        await talk.answer(200, VIDEO[:60], content_length="60")
        await talk.send(VIDEO[60:] if at_once else b"")

    met = run(path, lie)
    assert met.error.retryable
    assert len(str(met.error)) < 600
    assert not path.exists()


@pytest.mark.parametrize("tail", [b"abc", b"\0" * 20, b"random bytes that are no box"])
def test_bytes_behind_the_last_box_pass(tail: bytes, path: Path) -> None:
    """With the promised length, what is no box is the file's own affair."""
    assert run(path, whole(VIDEO + tail)).file.size == len(VIDEO + tail)


@pytest.mark.parametrize("length", ["-1", "1, 2", "many", "1e3"])
def test_a_length_that_is_none(length: str, path: Path) -> None:
    """A length that cannot be read is no answer."""
    assert run(path, whole(VIDEO, content_length=length)).error.retryable


@pytest.mark.parametrize(
    "reply",
    [
        whole(b"<html>sorry</html>", content_type="text/html; charset=utf-8"),
        whole(b"<!DOCTYPE html>", content_type="video/mp4"),
        whole(b"\r\n <html>", content_type="application/octet-stream"),
        whole(b'{"error_code": 404001}', content_type="application/json"),
        whole(b'{"error_code": 404001}'),
        whole(b"expired", content_type="TEXT/PLAIN"),
        whole(b"<Error/>", content_type="application/xml"),
        whole(b""),
        chunked(b""),
        whole(b"", 204),
    ],
)
def test_what_is_no_video_is_not_stored(reply: Reply, path: Path) -> None:
    """HTML, JSON, XML, text and nothing at all under a 200 are no video, by type or by content."""
    met = run(path, reply)
    assert str(met.place.url) in str(met.error)
    assert not path.exists()


@pytest.mark.parametrize("status", [403, 404, 410])
def test_gone_after_three_tries(status: int, path: Path) -> None:
    """A fresh file may not be there yet; after three tries it is not tried again by itself."""
    met = run(path, whole(b"no", status))
    assert (met.error.status, met.error.retryable) == (status, False)
    assert len(met.place.requests) == 3
    met = run(path, whole(b"no", status), whole(b"no", status), whole(VIDEO))
    assert met.file.size == len(VIDEO)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_passing_trouble_is_waited_out(status: int, path: Path) -> None:
    """A Retry-After of 0 is honoured; the file comes with the third try."""
    trouble = whole(b"later", status, retry_after="0")
    assert run(path, trouble, trouble, whole(VIDEO)).file.size == len(VIDEO)
    met = run(path, trouble)
    assert (met.error.status, met.error.retryable) == (status, True)
    assert len(met.place.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 405, 451])
def test_a_definite_refusal_is_not_tried_again(status: int, path: Path) -> None:
    """Other 4xx do not change by asking again."""
    met = run(path, whole(b"no", status))
    assert (met.error.status, len(met.place.requests)) == (status, 1)


def test_the_size_cap_by_header(path: Path) -> None:
    """A promise over the cap is refused before the body is read, and not tried again."""
    met = run(path, whole(VIDEO), rules=DownloadRules(max_bytes=len(VIDEO) - 1))
    assert (met.error.retryable, len(met.place.requests)) == (False, 1)
    assert run(path, whole(VIDEO), rules=DownloadRules(max_bytes=len(VIDEO))).file.size


def test_the_size_cap_while_streaming(path: Path) -> None:
    """A body without a length is cut off at the cap."""

    async def endless(talk: Conversation, _request: SeenRequest) -> None:
        await talk.send(head_of(200, transfer_encoding="chunked"))
        while True:
            await talk.chunk(VIDEO)

    met = run(path, endless, rules=DownloadRules(max_bytes=1_000_000))
    assert "larger than 1000000 bytes" in str(met.error)
    assert not met.error.retryable
