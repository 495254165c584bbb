"""Each way in which a video comes, or does not (wire.md, section 7; design, section 6)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Literal

import attrs

from .acts import HTML, answer, drop, hang, html, redirect
from .server import Act, Call

__all__ = ["FILE", "MP4", "OTHER", "VIDEO_ROWS", "VideoRow", "serve"]


def _mp4(fill: bytes, size: int) -> bytes:
    head = (24).to_bytes(4) + b"ftypisom\0\0\2\0isomiso2"
    return head + (8 + size).to_bytes(4) + b"mdat" + fill * size


FILE = _mp4(b"v", 150_000)
OTHER = _mp4(b"w", 120_000)
MP4 = ("Content-Type", "video/mp4")

Ends = Literal["whole", "error", "either"]


@attrs.frozen
class VideoRow:
    """How a video comes, and what must come of it.

    Attributes:
        acts: What the n-th GET meets.
        ends: `whole` (the file holds exactly `data`), `error`, or `either` of the two.
        gets: How many GETs there may be, if that is known.
    """

    word: str
    acts: tuple[Act, ...]
    ends: Ends
    data: bytes = FILE
    gets: int | None = None


def serve(
    data: bytes = FILE,
    etag: str | None = '"v1"',
    *,
    ranges: bool = True,
    until: int | None = None,
    framing: str = "length",
    status: int = 206,
    span: str | None = None,
) -> Act:
    """Serve a file as RFC 9110 says, up to byte `until` of what was asked for, then break off.

    A Range is honoured if there is no If-Range or a matching one; `span` lies in Content-Range.
    """

    async def act(call: Call) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", call.received.header("range") or "")
        match = call.received.header("if-range") in (None, etag)
        headers = [MP4] + ([("ETag", etag)] if etag else [])
        if ranges and asked and match:
            first = int(asked[1])
            span_ = span or f"bytes {first}-{len(data) - 1}/{len(data)}"
            code, body, headers = status, data[first:], [*headers, ("Content-Range", span_)]
        else:
            code, body = 200, data
        cut = body if until is None else body[:until]
        length = len(body) if until is not None else None
        await call.answer(code, cut, headers=headers, length=length, framing=framing)
        if until is not None:
            await asyncio.sleep(0.01)
            call.close()

    return act


def _stalls(after: int) -> Act:
    async def act(call: Call) -> None:
        await call.answer(200, FILE[:after], headers=[MP4, ("ETag", '"v1"')], length=len(FILE))
        await asyncio.sleep(30)

    return act


def _length(length: int, data: bytes = FILE) -> Act:
    async def act(call: Call) -> None:
        await call.answer(200, data, headers=[MP4], length=length)
        call.close()

    return act


def _rows() -> Iterator[VideoRow]:
    whole = serve()
    half = serve(until=50_000)

    def row(word: str, ends: Ends, *acts: Act, data: bytes = FILE) -> VideoRow:
        return VideoRow(word, acts, ends, data)

    yield VideoRow("whole", (whole,), "whole", gets=1)
    yield row("chunked", "whole", serve(framing="chunked"))
    yield row("until-eof", "either", serve(framing="eof"))
    yield row("until-eof-cut", "error", answer(200, FILE[:999], headers=[MP4], framing="eof"))
    yield row("no-etag", "whole", serve(etag=None))
    yield VideoRow("cut-once", (half, whole), "whole", gets=2)
    yield row("cut-thrice", "whole", half, half, half)
    yield row("cut-no-etag", "whole", serve(etag=None, until=50_000), serve(etag=None))
    weak = 'W/"v1"'
    yield row("cut-weak-etag", "whole", serve(etag=weak, until=50_000), serve(etag=weak))
    yield row("cut-range-ignored", "whole", half, serve(ranges=False))
    yield row("etag-changed", "whole", half, serve(OTHER, '"v2"'), data=OTHER)
    yield row("etag-gone", "whole", half, serve(OTHER, None), data=OTHER)
    lied = answer(206, OTHER[50_000:], headers=[MP4, ("ETag", '"v2"'), _span(50_000, OTHER)])
    yield row("etag-changed-in-206", "either", half, lied, serve(OTHER, '"v2"'), data=OTHER)
    yield row("cut-wrong-span", "either", half, serve(span=f"bytes 0-{len(FILE) - 1}/{len(FILE)}"))
    yield row("cut-other-total", "either", half, serve(span="bytes 50000-60000/60001"), whole)
    yield row("cut-odd-span", "either", half, serve(span="bytes x-y/z"), whole)
    yield row("cut-no-span", "either", half, answer(206, FILE[50_000:], headers=[MP4]), whole)
    yield row("cut-from-the-start", "either", half, answer(206, FILE, headers=[MP4]), whole)
    yield row("cut-416", "either", half, answer(416), whole)
    yield row("part-unasked", "either", answer(206, FILE[:900], headers=[MP4, _span(0, FILE)]))
    yield row("cut-for-ever", "error", serve(ranges=False, until=50_000))
    yield row("cut-at-once", "error", serve(until=0))
    yield row("stalled-once", "whole", _stalls(60_000), whole)
    yield row("stalled-for-ever", "error", _stalls(0))
    yield row("silent-once", "whole", hang(), whole)
    yield row("length-too-great", "error", _length(len(FILE) + 10))
    yield row("length-too-small", "error", _length(len(FILE) - 10))
    yield row("reset-once", "whole", drop(reset=True), whole)
    yield row("dropped-for-ever", "error", drop())
    yield row("500-twice", "whole", html(500), html(503), whole)
    yield row("429-once", "whole", answer(429, headers=[("Retry-After", "0")]), whole)
    yield row("404-twice", "whole", answer(404), answer(404), whole)
    for status in (403, 404, 410):
        yield VideoRow(f"{status}-for-ever", (html(status),), "error", gets=3)
    yield row("500-for-ever", "error", html(500))
    yield row("html", "error", html(200))
    yield row("html-as-video", "error", answer(200, HTML, headers=[MP4]))
    yield row("json-as-video", "error", answer(200, {"error_code": 404001}, headers=[MP4]))
    yield row("json", "error", answer(200, {"error_code": 404001, "error_message": "gone"}))
    yield row("empty", "error", answer(200, headers=[MP4]))
    yield row("204", "error", answer(204, framing="none"))
    yield row(
        "gzip-garbage", "either", answer(200, FILE, headers=[MP4, ("Content-Encoding", "gzip")])
    )
    yield row("too-big", "error", answer(200, FILE + b"x" * 900_000, headers=[MP4]))
    yield row("too-big-chunks", "error", answer(200, FILE * 9, headers=[MP4], framing="chunked"))
    for status in (301, 302, 307):
        yield row(f"redirect-{status}", "error", redirect(status))
    yield row(
        "redirect-home", "either", redirect(302, lambda c: f"{c.server.url}/videos/whole/x.mp4")
    )


def _span(first: int, data: bytes) -> tuple[str, str]:
    return ("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")


VIDEO_ROWS = list(_rows())
