"""Small misbehaviours, to be strung together into plans."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any

from .server import Act, Call, Plan, acceptance, completion

__all__ = [
    "CANARY",
    "HTML",
    "accept",
    "answer",
    "cut",
    "drop",
    "echo",
    "error",
    "hang",
    "html",
    "interim",
    "oversized",
    "polls",
    "raw",
    "redirect",
    "result",
    "slow",
    "state",
    "submits",
    "trickle",
    "until_well",
]

CANARY = "canary-4f1c0ffee0-token-7d"
"""The token of all tests; it must be seen in Authorization headers to the base URL only."""

HTML = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


def answer(status: int, body: object = b"", **how: Any) -> Act:
    """Answer; a callable body is made from the call."""

    async def act(call: Call) -> None:
        await call.answer(status, body(call) if callable(body) else body, **how)

    return act


def html(status: int, *, headers: Iterable[tuple[str, str]] = ()) -> Act:
    """Answer as a gateway does."""
    return answer(status, HTML, headers=[("Content-Type", "text/html"), *headers])


def error(status: int, code: object, message: object = "no", **more: Any) -> Act:
    """Answer in the service's error shape."""
    headers = more.pop("headers", ())
    return answer(
        status, {"error_code": code, "error_message": message, **more}, headers=tuple(headers)
    )


def accept(then: Act | None = None, *, request_id: str | None = None) -> Act:
    """Take the job on the books, then answer as documented, or do `then` instead."""
    if then is None and request_id is None:
        return acceptance

    async def act(call: Call) -> None:
        taken = call.accept(request_id)
        await (then or answer(200, {"request_id": taken}))(call)

    return act


def result(status: object = "completed", output: object = None, **fields: object) -> Act:
    """Answer a poll with a state; a completed job has its video, unless `output` says otherwise."""

    def body(call: Call) -> dict[str, object]:
        found = {"video": call.video_url()} if output is None else output
        shown = found(call) if callable(found) else found
        return {"request_id": call.request_id, "status": status, "output": shown, **fields}

    return answer(200, body)


def state(status: object, http: int = 200, **fields: object) -> Act:
    """Answer a poll with a state and nothing else."""
    return answer(http, lambda call: {"request_id": call.request_id, "status": status, **fields})


def drop(*, reset: bool = False, after: int | None = None) -> Act:
    """Close the connection without an answer; of an early submission read `after` bytes first."""

    async def act(call: Call) -> None:
        if after:
            call.server.raw += await call.reader.readexactly(after)
        if reset:
            call.reset()
        else:
            call.close()

    return act


def hang(seconds: float = 30.0) -> Act:
    """Answer nothing for so long, then close."""

    async def act(call: Call) -> None:
        await asyncio.sleep(seconds)
        call.close()

    return act


def slow(seconds: float, then: Act) -> Act:
    """Do it later."""

    async def act(call: Call) -> None:
        await asyncio.sleep(seconds)
        await then(call)

    return act


def cut(body: object, *, reset: bool = False, missing: int = 40, status: int = 200) -> Act:
    """Promise more bytes than come."""

    async def act(call: Call) -> None:
        made = body(call) if callable(body) else body
        payload = made if isinstance(made, bytes) else json.dumps(made).encode()
        await call.answer(status, payload, length=len(payload) + missing)
        if reset:
            call.reset()
        else:
            call.close()

    return act


def raw(data: bytes) -> Act:
    """Send bytes and close."""

    async def act(call: Call) -> None:
        await call.send(data)
        call.close()

    return act


def interim(status: int, then: Act) -> Act:
    """Send an interim answer first."""

    async def act(call: Call) -> None:
        await call.send(f"HTTP/1.1 {status} Interim\r\n\r\n".encode())
        await then(call)

    return act


def redirect(status: int, where: Callable[[Call], str] | None = None) -> Act:
    """Point to the foreign server, with the path that was asked for."""

    async def act(call: Call) -> None:
        target = where(call) if where else call.server.foreign + call.received.target
        await call.answer(status, b"", headers=[("Location", target)])

    return act


def oversized(*, framing: str = "length") -> Act:
    """Report success in valid JSON of 9 MiB."""
    pad = "x" * (9 * 1024**2)
    return answer(
        200,
        lambda call: {
            "request_id": call.ticket.request_id if call.ticket else "none",
            "status": "completed",
            "pad": pad,
            "output": {"video": call.video_url("oversized.mp4")},
        },
        framing=framing,
    )


def trickle() -> Act:
    """Send a body so slowly that it never ends."""

    async def act(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            await call.send(b" ")
            await asyncio.sleep(0.02)

    return act


def echo(status: int, code: int) -> Act:
    """Answer with the token in every place where a client may look."""
    shown = f"bad Authorization: Bearer {CANARY}"
    body = {
        "error_code": code,
        "error_message": shown,
        "detail": [{"msg": shown}],
        "message": shown,
        "error": {"message": shown},
    }
    return answer(status, body, headers=[("X-Seen", shown), ("Location", f"/?t={CANARY}")])


def until_well(trouble: Act, then: Act) -> Act:
    """Do the first until the server is told that the trouble is over."""

    async def act(call: Call) -> None:
        await (then if call.server.well else trouble)(call)

    return act


def polls(*acts: Act, last: Act = completion) -> Plan:
    """Accept, meet the polls with these acts, then with `last` for ever."""
    return Plan(polls=(*acts, last))


def submits(*acts: Act, **rest: Any) -> Plan:
    """Meet the submissions with these acts, the last for ever."""
    return Plan(post=acts, **rest)
