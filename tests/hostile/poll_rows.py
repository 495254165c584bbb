"""Each answer to a poll, and how the job must end (wire.md, sections 2, 3 and 5)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from seedance_async import (
    AuthenticationError,
    Cancelled,
    Failed,
    InsufficientBalanceError,
    Lost,
    PermissionDeniedError,
    Succeeded,
    TimedOut,
)

from . import acts
from .acts import (
    CANARY,
    answer,
    cut,
    drop,
    echo,
    error,
    hang,
    html,
    interim,
    redirect,
    result,
    state,
)
from .acts import polls as plan
from .meeting import Row
from .server import Act, completion

__all__ = ["POLL_ROWS"]

OK = (Succeeded,)


def _ends_with(name: str) -> Any:
    return lambda outcome: outcome.video_url.endswith(name)


def _successes() -> Iterator[Row]:
    """Success in each spelling, and with fields of the wrong type beside it."""
    for word in ("completed", "succeeded", "COMPLETED", "Succeeded"):
        yield Row(f"done-{word}", plan(last=result(word)), OK, check=_ends_with("out_%3D7.mp4"))
    one = "https://a.runcomfy.net/1.mp4"
    two = "https://a.runcomfy.net/2.mp4"
    for word, output in {
        "videos": {"videos": [one, two]},
        "both": {"video": one, "videos": [two]},
        "with-image": {"image": "https://a.runcomfy.net/x.png", "images": [], "video": one},
        "null-video": {"video": None, "videos": [one]},
    }.items():
        yield Row(f"output-{word}", plan(last=result(output=output)), OK, check=_ends_with("1.mp4"))
    echoed = {"video": "https://evil.example/v.mp4", "input": {"video": "https://evil.example/"}}
    beside: dict[str, dict[str, Any]] = {
        "unknown-fields": {"x": {"y": [1]}, "logs": None, "model_id": "other"},
        "echoed-input": echoed,
        "null-code": {"error_code": None, "error": None},
        "odd-times": {"created_at": 5, "finished_at": "yesterday"},
        "times": {"created_at": "2026-06-16T10:00:00Z", "finished_at": "2026-06-16T10:01:00Z"},
    }
    for word, fields in beside.items():
        act = result(**fields)
        yield Row(f"beside-{word}", plan(last=act), OK, check=_ends_with("out_%3D7.mp4"))
    for number, cost in enumerate(("x", True, [], {"usd": 1}, math.nan, math.inf, -1)):
        yield Row(
            f"cost-{number}",
            plan(last=result(cost=cost)),
            OK,
            check=lambda o: o.cost_usd is None or (math.isfinite(o.cost_usd) and o.cost_usd >= 0),
        )
    yield Row("cost", plan(last=result(cost=0.35)), OK, check=lambda o: o.cost_usd == 0.35)


def _waits() -> Iterator[Row]:
    """What is no verdict is polled on, and the success behind it is found."""
    for word in ("in_queue", "in_progress", "pending", "queued", "waiting", "starting"):
        yield Row(f"wait-{word}", plan(state(word), state(word)), OK)
    told: dict[str, Act] = {
        "processing": state("PROCESSING"),
        "400005": error(400, 400005),
        "200-400005": error(200, 400005),
        "unknown-state": state("melting"),
        "empty-state": state(""),
        "no-state": answer(200, {"output": None}),
        "empty-object": answer(200, {}),
        "integer-state": state(5),
        "null-state": state(None),
        "list-state": state(["completed"]),
        "echo-state": state(f"melting Bearer {CANARY}"),
        "echo-state-bare": state(CANARY),
        "html-200": html(200),
        "html-502": html(502),
        "html-504": html(504),
        "html-404": html(404),
        "html-401": html(401),
        "html-403": html(403),
        "json-404": answer(404, {"detail": "Not Found"}),
        "html-400": html(400),
        "418": answer(418),
        "409": answer(409, {}),
        "500": answer(500),
        "500001": error(500, 500001),
        "200-500001": error(200, 500001),
        "400-500001": error(400, 500001),
        "unknown-code": error(400, 999999),
        "text-code": error(200, "x"),
        "429": answer(429),
        "429-retry": answer(429, headers=[("Retry-After", "0")]),
        "429-odd": answer(429, headers=[("Retry-After", "nan")]),
        "429-code": error(400, 429),
        "204": answer(204, framing="none"),
        "empty": answer(200),
        "list": answer(200, []),
        "null": answer(200, None),
        "text": answer(200, "completed"),
        "nan": answer(200, b"NaN"),
        "deep": answer(200, b"[" * 100_000),
        "big-number": answer(200, b'{"status": ' + b"9" * 10_000 + b"}"),
        "latin-1": answer(200, '{"status": "completed", "é": 1}'.encode("latin-1")),
        "surrogate": answer(200, b'{"status": "\\ud800"}'),
        "oversized": acts.oversized(),
        "oversized-chunks": acts.oversized(framing="chunked"),
        "cut": cut(lambda c: {"request_id": c.request_id, "status": "failed"}),
        "cut-reset": cut({"status": "failed"}, reset=True),
        "half-json": answer(200, b'{"status": "comple'),
        "drop": drop(),
        "reset": drop(reset=True),
        "hang": hang(),
        "trickle": acts.trickle(),
        "garbage": acts.raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
        "bad-chunk": acts.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        "garbage-echo": acts.raw(f"HTTP/9.x {CANARY} {CANARY}\r\n\r\n".encode()),
        "header-echo": acts.raw(f"HTTP/1.1 200 OK\r\nBad Header {CANARY}\r\n\r\n".encode()),
        "header-bomb": answer(200, {}, headers=[("X-Bomb", "x" * 200_000)]),
        "gzip-garbage": answer(200, b"no gzip", headers=[("Content-Encoding", "gzip")]),
        "redirect-301": redirect(301),
        "redirect-302": redirect(302),
        "redirect-307": redirect(307),
        "redirect-home": redirect(302, lambda c: c.server.url + c.received.target),
        "echo-500": echo(500, 500001),
        "echo-429": echo(429, 429),
        "echo-html": answer(502, f"<html>Bearer {CANARY}</html>".encode()),
    }
    for word, act in told.items():
        yield Row(f"wait-{word}", plan(act), OK, check=_ends_with("out_%3D7.mp4"))
    yield Row("wait-404001", plan(error(404, 404001), error(404, 404001)), OK)
    yield Row("wait-200-404001", plan(error(200, 404001)), OK)
    chunked = answer(
        200,
        lambda c: {"status": "completed", "output": {"video": c.video_url()}},
        framing="chunked",
        segments=7,
    )
    yield Row("wait-chunked", plan(last=chunked), OK)
    yield Row("wait-continue", plan(last=interim(100, completion)), OK)
    yield Row("wait-many", plan(*[html(502), drop(reset=True), state("melting")] * 3), OK)
    # the account's balance is no verdict on a job that runs
    either = (Succeeded, InsufficientBalanceError)
    yield Row("wait-400002", plan(error(400, 400002)), either)
    yield Row("wait-402", plan(answer(402)), either)


def _failures() -> Iterator[Row]:
    """A verdict of the result, with the id."""

    def with_id(outcome: Any) -> bool:
        return bool(outcome.request_id.startswith("job-"))

    for word, value in {
        "text": "the prompt was refused",
        "object": {"code": "E1", "message": "refused"},
        "list": [1, "two", None],
        "null": None,
        "number": 5,
        "empty": "",
        "long": "x" * 100_000,
    }.items():
        yield Row(f"failed-{word}", plan(last=state("failed", error=value)), (Failed,))
    yield Row("failed-bare", plan(last=state("FAILED")), (Failed,), check=with_id)
    yield Row(
        "failed-says-why",
        plan(last=state("failed", error={"message": "nsfw words"})),
        (Failed,),
        check=lambda o: "nsfw words" in o.error.message + (o.error.detail or ""),
    )
    yield Row("failed-echo", plan(last=state("failed", error=f"Bearer {CANARY}")), (Failed,))
    empty: dict[str, object] = {"video": None, "videos": []}
    for number, output in enumerate(
        ([], {}, {"video": ""}, empty, {"videos": "x"}, {"video": 5}, "x", 5)
    ):
        act = result(output=output)
        yield Row(f"no-video-{number}", plan(last=act), (Failed,), check=with_id)
    # the video is paid for: if we cannot read where it is, a person must be able to
    url = "https://a.runcomfy.net/v.mp4"
    shapes = ({"video": {"url": url}}, {"videos": [{"url": url}]}, url, [url], {"video": [url]})
    for number, shape in enumerate(shapes):
        yield Row(
            f"odd-output-{number}",
            plan(last=result(output=shape)),
            (Failed, Succeeded),
            check=lambda outcome: url in repr(outcome),
        )
    yield Row("no-output", plan(last=state("completed")), (Failed,), check=with_id)
    yield Row("only-image", plan(last=result(output={"image": "https://a/x.png"})), (Failed,))
    for word in ("cancelled", "canceled", "CANCELED"):
        yield Row(f"over-{word}", plan(state("in_queue"), last=state(word)), (Cancelled,))


def _denied() -> Iterator[Row]:
    """The wait ends with the error, the job stays submitted."""
    told: dict[str, tuple[Act, type]] = {
        "401": (error(401, 401001), AuthenticationError),
        "401-as-400": (error(400, 401001), AuthenticationError),
        "400004": (error(400, 400004), AuthenticationError),
        "200-400004": (error(200, 400004), AuthenticationError),
        "403001": (error(403, 403001), PermissionDeniedError),
        "403003": (error(400, 403003), PermissionDeniedError),
        "echo": (echo(401, 401001), AuthenticationError),
    }
    for word, (act, kind) in told.items():
        yield Row(f"denied-{word}", plan(state("in_queue"), last=act), (kind,))


def _endless() -> Iterator[Row]:
    """What never ends is detached at its deadline, or lost after the grace; never `failed`."""
    for word, act in {
        "queue": state("in_queue"),
        "unknown": state("melting"),
        "502": html(502),
        "404-html": html(404),
        "404-no-code": answer(404, {"detail": "Not Found"}),
        "resets": drop(reset=True),
        "hangs": hang(),
        "429": answer(429, headers=[("Retry-After", "9" * 400)]),
        "429-inf": answer(429, headers=[("Retry-After", "inf")]),
        "oversized": acts.oversized(),
        "400005": error(400, 400005),
        "redirects": redirect(302),
    }.items():
        yield Row(f"endless-{word}", plan(last=act), (TimedOut,), job_timeout=0.15)
    yield Row("lost", plan(last=error(404, 404001)), (Lost,))
    yield Row("lost-200", plan(last=error(200, 404001)), (Lost,))
    yield Row("lost-as-400", plan(last=error(400, 404001)), (Lost,))
    yield Row("lost-later", plan(*[state("in_queue")] * 40, last=error(404, 404001)), (Lost,))
    yield Row("lost-echo", plan(last=echo(404, 404001)), (Lost,))


POLL_ROWS = [*_successes(), *_waits(), *_failures(), *_denied(), *_endless()]
