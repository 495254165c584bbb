"""Answers to the GETs of a download, one after the other, and a download that meets them."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import attrs

from seedance_async.download import DownloadedFile, DownloadRules, download
from seedance_async.errors import DownloadError
from seedance_async.http import Limits
from seedance_async.pacing import RetryPolicy

from .misbehaving import (
    SECRET,
    Conversation,
    Handler,
    Place,
    SeenRequest,
    head_of,
    live,
    server,
    transport_to,
)

Reply: TypeAlias = Callable[[Conversation, SeenRequest], Awaitable[None]]
QUICK = RetryPolicy(initial=0.01, maximum=0.02)


def mp4(size: int = 100_000) -> bytes:
    """Return `size` bytes in the boxes of an MP4."""
    head = struct.pack(">I4s4sI8s", 24, b"ftyp", b"isom", 0, b"isommp41") + struct.pack(
        ">I4sQQ", 24, b"moov", 0, 0
    )
    body = bytes(range(1, 251)) * (size // 250 + 1)
    return head + struct.pack(">I4s", size - len(head), b"mdat") + body[: size - len(head) - 8]


async def stored(talk: Conversation, size: int) -> None:
    """Wait until the client has stored so much, for tests that count the bytes of each piece."""
    part = talk.place.part
    assert part is not None
    for _ in range(400):
        if part.exists() and part.stat().st_size >= size - 8192:  # the rest is in its buffer
            break
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.01)


def whole(data: bytes, status: int = 200, **headers: str) -> Reply:
    """Answer with all of it."""

    async def reply(talk: Conversation, _request: SeenRequest) -> None:
        await talk.answer(status, data, **headers)

    return reply


def cut(data: bytes, at: int, **headers: str) -> Reply:
    """Promise all of it, send `at` bytes, close."""

    async def reply(talk: Conversation, _request: SeenRequest) -> None:
        await talk.answer(200, data[:at], **{"content_length": str(len(data)), **headers})
        await stored(talk, at)
        talk.close()

    return reply


def ranged(data: bytes, *, upto: int | None = None, **headers: str) -> Reply:
    """Answer a Range with a 206 from there on, up to byte `upto`, without a look at If-Range."""

    async def reply(talk: Conversation, request: SeenRequest) -> None:
        start = int(request.headers.get("range", "bytes=0-")[6:].partition("-")[0])
        given = {
            "content_range": f"bytes {start}-{len(data) - 1}/{len(data)}",
            "content_length": str(len(data) - start),
            **headers,
        }
        await talk.answer(206, data[start:upto], **given)
        if upto is not None:
            await stored(talk, upto)
            talk.close()

    return reply


def dripping(data: bytes, size: int, etag: str) -> Reply:
    """Serve ranges truly, but close after `size` bytes of each answer, at once."""

    async def reply(talk: Conversation, request: SeenRequest) -> None:
        asked = request.headers.get("range")
        start = 0 if asked is None else int(asked[6:].partition("-")[0])
        given = {"content_length": str(len(data) - start), "etag": etag}
        if asked is not None:
            given["content_range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        await talk.answer(200 if asked is None else 206, data[start : start + size], **given)
        if start + size < len(data):
            talk.close()

    return reply


def chunked(data: bytes) -> Reply:
    """Answer without a length, in chunks, with a proper end."""

    async def reply(talk: Conversation, _request: SeenRequest) -> None:
        await talk.send(head_of(200, transfer_encoding="chunked", content_type="video/mp4"))
        for start in range(0, len(data), 30_000):
            await talk.chunk(data[start : start + 30_000])
        await talk.chunk(b"")

    return reply


def in_turn(replies: tuple[Reply, ...]) -> Handler:
    """Give one reply to each request, the last one for ever."""
    count = 0

    async def handler(talk: Conversation) -> None:
        nonlocal count
        while (request := await talk.request()) is not None:
            reply = replies[min(count, len(replies) - 1)]
            count += 1
            await reply(talk, request)

    return handler


@attrs.frozen
class Met:
    """What came of a download, and what the server saw of it."""

    found: DownloadedFile | DownloadError
    place: Place

    @property
    def file(self) -> DownloadedFile:
        """The file; fails the test if there is none."""
        assert isinstance(self.found, DownloadedFile), self.found
        return self.found

    @property
    def error(self) -> DownloadError:
        """The error; fails the test if there is none."""
        assert isinstance(self.found, DownloadError), self.found
        return self.found

    def headers(self, name: str) -> list[str | None]:
        """What each request said in this header."""
        return [seen.headers.get(name) for seen in self.place.requests]


async def meet(
    path: Path,
    *replies: Reply,
    rules: DownloadRules | None = None,
    target: str = "/output/fox%3D1.mp4",
    stall: float = 5.0,
) -> Met:
    """Download from a server that gives these replies, and check what always holds.

    No `.part` file is left, and no request bears the token or asks for an encoding.
    """
    async with (
        server(in_turn(replies)) as here,
        transport_to(here.url, limits=Limits(stall=stall)) as transport,
    ):
        here.part = path.with_name(path.name + ".part")
        found: DownloadedFile | DownloadError
        try:
            found = await download(
                transport, here.url + target, path, rules or DownloadRules(), QUICK
            )
        except DownloadError as error:
            found = error
    assert not path.with_name(path.name + ".part").is_file()
    assert SECRET.encode() not in here.raw
    assert b"authorization" not in bytes(here.raw).lower()
    assert all(seen.headers["accept-encoding"] == "identity" for seen in here.requests)
    return Met(found, here)


def run(path: Path, *replies: Reply, rules: DownloadRules | None = None, stall: float = 5.0) -> Met:
    """Download from a server that gives these replies, the last one for ever."""
    met: list[Met] = []

    async def main() -> None:
        met.append(await meet(path, *replies, rules=rules, stall=stall))

    live(main)
    return met[0]
