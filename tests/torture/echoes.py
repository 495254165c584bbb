"""A service that repeats the token in every answer, in all spellings, and points elsewhere."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import Any

from tests.hostile.acts import accept, answer, cut, polls, raw, redirect, result, submits
from tests.hostile.server import Act, Call, HostileServer, Plan, acceptance

from .canary import spell

__all__ = ["Elsewhere", "catalog", "echoes", "errands", "listening"]


def echoes(token: str, spellings: int, chance: random.Random) -> dict[str, Plan]:
    """Return what a service does that repeats the token, by words such as `refused.percent`.

    Each kind of answer comes with the token as it is, and in so many of the other spellings.
    """
    plans = {name: _echoes_of(name, spelled) for name, spelled in spell(token).items()}
    others = sorted(plans.keys() - {"raw"})
    return {
        f"{kind}.{name}": plans[name][kind]
        for kind in plans["raw"]
        for name in ["raw", *chance.sample(others, min(spellings, len(others)))]
    }


def catalog(token: str) -> Act:
    """Return what the catalog does: it repeats the token, each time in another way."""
    spelled = spell(token)
    acts = [
        answer(status, f"{opening}not you, Bearer {said}".encode())
        for said in spelled.values()
        for status, opening in ((200, "<html>"), (502, "<html>"), (200, "["))
    ]
    left = itertools.cycle(acts)

    async def act(call: Call) -> None:
        await next(left)(call)

    return act


def errands(token: str) -> dict[str, Plan]:
    """Return what a service does that sends its client to another server, and one fine job."""
    return {
        "fine": Plan(video=(answer(200, b"video", headers=[("Content-Type", "video/mp4")]),)),
        "urls": submits(_accept_with_foreign_urls),
        "post-moved": submits(redirect(307)),
        "poll-moved": polls(redirect(302)),
        "video-moved": Plan(video=(redirect(302),)),
        "post-moved-with-it": submits(redirect(308, lambda call: _bait(call, token))),
        "poll-moved-with-it": polls(redirect(301, lambda call: _bait(call, token))),
        "video-elsewhere": polls(last=result(output=_video_elsewhere)),
        "video-by-tls": polls(last=result(output=_video_elsewhere_by_tls)),
    }


async def _accept_with_foreign_urls(call: Call) -> None:
    request_id = call.accept()
    where = f"{call.server.foreign}/v1/requests/{request_id}"
    urls = {f"{verb}_url": f"{where}/{verb}" for verb in ("status", "result", "cancel")}
    await call.answer(200, {"request_id": request_id, **urls})


def _bait(call: Call, token: str) -> str:
    return f"{call.server.foreign}/?{token}"


def _video_elsewhere(call: Call) -> dict[str, str]:
    return {"video": f"{call.server.foreign}/video-elsewhere.mp4"}


def _video_elsewhere_by_tls(call: Call) -> dict[str, str]:
    port = call.server.foreign.rpartition(":")[2]
    return {"video": f"https://localhost:{port}/video-by-tls.mp4"}


def _echoes_of(name: str, spelled: str) -> dict[str, Plan]:
    said = f"not you, Bearer {spelled}"

    def said_in_json(fields: Mapping[str, Any]) -> bytes:
        """A spelling with JSON's own escapes is put in as it is, so that it reads as the token."""
        shown = said if name.startswith("json") else json.dumps(said)[1:-1]
        return json.dumps(fields).replace("SAID", shown).encode()

    def error(status: int, code: int) -> Act:
        words = {"error_message": "SAID", "message": "SAID", "error": "SAID"}
        return answer(
            status, said_in_json({"error_code": code, "detail": [{"msg": "SAID"}], **words})
        )

    def state(**fields: Any) -> Act:
        return _about_the_job(lambda call: said_in_json({"request_id": call.request_id, **fields}))

    html = f"<html><body>{said}, {said}</body></html>".encode()
    seen = ("X-Seen", "Location", "Retry-After", "WWW-Authenticate", "Set-Cookie", "ETag")
    headers = [(header, said) for header in seen]
    garbage = raw(f"Authorization: {said}\r\n{said}\r\n\r\n".encode())
    in_framing = raw(
        f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{said}\r\n{said}".encode()
    )
    failed = {"message": "SAID", "code": 7, "header": ["SAID"]}
    return {
        "refused": submits(error(400, 400001)),
        "validation": submits(error(422, 422001)),
        "refused-in-html": submits(answer(404, html)),
        "doubt": submits(accept(error(500, 500001))),
        "doubt-in-html": submits(accept(answer(504, html))),
        "doubt-in-headers": submits(accept(answer(500, b"", headers=headers))),
        "doubt-cut": submits(accept(cut(said_in_json({"message": "SAID"})))),
        "doubt-garbage": submits(accept(garbage)),
        "limited": submits(answer(429, html, headers=headers[:2]), acceptance),
        "troubles": polls(
            error(500, 500001), answer(502, html), answer(200, html), in_framing, _break_off(said)
        ),
        "headers": polls(answer(503, b"", headers=[*headers[:2], *headers[3:]]), garbage),
        "denied": polls(last=error(403, 403001)),
        "lost": polls(last=error(404, 404001)),
        "failed": polls(last=state(status="failed", error=failed)),
        "strange": polls(state(status="SAID")),
        "no-video": polls(last=state(status="completed", output={"video": None, "x": "SAID"})),
        "no-output": polls(last=state(status="completed", output="SAID")),
        "uncancelled": Plan(polls=(state(status="in_queue"),), cancel=(error(500, 500001),)),
        "video-moved": Plan(video=(redirect(302, lambda _: f"http://127.0.0.1:9/{spelled}"),)),
        "video-html": Plan(video=(answer(200, html, headers=[("Content-Type", "text/html")]),)),
        "video-headers": Plan(video=(answer(500, html, headers=headers),)),
        "video-garbage": Plan(video=(garbage,)),
        "video-framing": Plan(video=(in_framing,)),
        "video-breaks": Plan(video=(_break_off(said),)),
    }


def _break_off(said: str) -> Act:
    """Send a piece of a video, and words in the place of the next piece's size."""

    async def act(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nvideo\r\n")
        await asyncio.sleep(0.02)  # else it is read as one with what follows
        await call.send(f"{said}\r\n".encode())
        call.close()

    return act


def _about_the_job(body: Callable[[Call], bytes]) -> Act:
    async def act(call: Call) -> None:
        await call.answer(200, body(call))

    return act


class Elsewhere:
    """Another origin: it answers everything with a video, and keeps every byte that it gets."""

    def __init__(self) -> None:
        self.raw = bytearray()
        self.port = 0

    @property
    def url(self) -> str:
        """Its address: another port, and so another origin."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one connection to its end."""
        with suppress(ConnectionError):
            while chunk := await reader.read(65536):
                self.raw += chunk
                if b"\r\n\r\n" in chunk:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nvideo")
        writer.close()


@contextmanager
def listening(plans: Mapping[str, Plan]) -> Iterator[tuple[HostileServer, Elsewhere]]:
    """Serve on two ports, the second of which is another origin; a thread and a loop of their own.

    So what the client's loop says of itself is the client's alone.
    """

    async def serve() -> None:
        elsewhere = Elsewhere()
        listener = await asyncio.start_server(elsewhere.serve, "127.0.0.1", 0)
        elsewhere.port = listener.sockets[0].getsockname()[1]
        async with listener, HostileServer(plans) as server:
            server.foreign = elsewhere.url
            found.put((server, elsewhere))
            await asyncio.to_thread(over.wait)

    found: SimpleQueue[tuple[HostileServer, Elsewhere]] = SimpleQueue()
    over = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(serve(), debug=False))
    thread.start()
    try:
        yield found.get(timeout=20)
    finally:
        over.set()
        thread.join()
