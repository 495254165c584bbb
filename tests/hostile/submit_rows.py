"""Each answer to a submission, and how the job must end (wire.md, sections 1 and 5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from seedance_async import (
    ApiError,
    AuthenticationError,
    Failed,
    InsufficientBalanceError,
    NotFoundError,
    PermissionDeniedError,
    RejectedError,
    SubmissionInDoubtError,
    Succeeded,
)

from . import acts
from .acts import accept, answer, cut, drop, echo, error, hang, html, interim, redirect, slow
from .acts import submits as plan
from .meeting import Row
from .server import Act, Plan, acceptance, completion

__all__ = ["SUBMIT_ROWS"]

OK = (Succeeded,)
DOUBT = (SubmissionInDoubtError,)
FOREIGN_URLS = ("status_url", "result_url", "cancel_url", "video")


def _id(call: Any) -> dict[str, object]:
    return {"request_id": call.request_id}


def _foreign_urls(call: Any) -> dict[str, object]:
    return _id(call) | dict.fromkeys(FOREIGN_URLS, f"{call.server.foreign}/steal")


def _accepted() -> Iterator[Row]:
    """A 2xx with a usable id and no error_code: accepted."""
    told: dict[str, Act] = {
        "200": acceptance,
        "201": accept(answer(201, _id)),
        "202": accept(answer(202, _id)),
        "foreign-urls": accept(answer(200, _foreign_urls)),
        "unknown-fields": accept(answer(200, lambda c: _id(c) | {"x": [1], "status": 5})),
        "null-code": accept(answer(200, lambda c: _id(c) | {"error_code": None})),
        "long-id": accept(request_id="i" * 128),
        "short-id": accept(request_id="7"),
        "odd-id": accept(request_id="-_-aZ09"),
        "as-html": accept(answer(200, _id, headers=[("Content-Type", "text/html")])),
        "chunked": accept(answer(200, _id, framing="chunked")),
        "segments": accept(answer(200, _id, segments=9)),
        "chunked-segments": accept(answer(200, _id, framing="chunked", segments=9)),
        "close": accept(answer(200, _id, headers=[("Connection", "close")])),
        "until-eof": accept(answer(200, _id, framing="eof")),
        "cookie": accept(answer(200, _id, headers=[("Set-Cookie", "a=b; Path=/")])),
        "continue": interim(100, acceptance),
        "early-hints": interim(103, acceptance),
        "slow": accept(slow(0.2, answer(200, _id))),
    }
    for word, act in told.items():
        yield Row(f"accepted-{word}", plan(act), OK)


def _doubts() -> Iterator[Row]:
    """Whatever else a server says or does after it may have accepted: in doubt, never again."""
    after: dict[str, Act] = {
        "drop": drop(),
        "reset": drop(reset=True),
        "hang": hang(),
        "trickle": acts.trickle(),
        "cut": cut(_id),
        "cut-reset": cut(_id, reset=True),
        "cut-chunks": acts.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"),
        "half-json": answer(200, b'{"request_id": "job-'),
        "no-id": answer(200, {"status": "in_queue"}),
        "no-body": answer(200),
        "204": answer(204, framing="none"),
        "null": answer(200, None),
        "list": answer(200, ["job-0"]),
        "text": answer(200, "job-0"),
        "latin-1": answer(200, '{"request_id": "é"}'.encode("latin-1")),
        "oversized": acts.oversized(),
        "oversized-chunks": acts.oversized(framing="chunked"),
        "deep": answer(200, b"[" * 100_000),
        "garbage": acts.raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
        "bad-length": acts.raw(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}"),
        "header-bomb": answer(200, {}, headers=[("X-Bomb", "x" * 200_000)]),
        "gzip-garbage": answer(200, b"no gzip", headers=[("Content-Encoding", "gzip")]),
        "500": error(500, 500001),
        "html-500": html(500),
        "html-502": html(502),
        "html-503": html(503, headers=[("Retry-After", "0")]),
        "html-504": html(504),
        "520": html(520),
        "200-500001": error(200, 500001),
        "200-400005": error(200, 400005),
        "200-unknown-code": error(200, 999999),
        "200-no-balance-in-words": answer(200, {"error": "no balance"}),
        "echo": echo(500, 500001),
    }
    for word, act in after.items():
        yield Row(f"doubt-{word}", plan(accept(act)), DOUBT)
    digits = "\N{FULLWIDTH DIGIT ONE}2"
    unusable = ["../x", "x" * 200, 5, "", "a/b", "a b", None, ["job"], "a?b", "é", "job-1\n", True]
    for number, value in enumerate([*unusable, digits]):
        act = accept(answer(200, {"request_id": value}))
        yield Row(f"doubt-unusable-id-{number}", plan(act), DOUBT)
    for status in (300, 301, 302, 303, 307, 308):
        yield Row(f"doubt-redirect-{status}", plan(accept(redirect(status))), DOUBT)
    for status in (304, 408, 409, 425, 452, 460, 499):
        framing = "none" if status == 304 else "length"
        act = accept(answer(status, b"" if status == 304 else {}, framing=framing))
        yield Row(f"doubt-{status}", plan(act), DOUBT)
    for code in (400002, 401001, 422001):
        yield Row(f"doubt-500-{code}", plan(accept(error(500, code))), DOUBT)
    yield Row("doubt-408-html", plan(html(408)), DOUBT, accepted=0)
    yield Row("doubt-not-accepted", plan(drop()), DOUBT, accepted=0)
    yield Row("doubt-not-accepted-reset", plan(drop(reset=True)), DOUBT, accepted=0)


def _refusals() -> Iterator[Row]:
    """A definite refusal has the class of the table in section 5, and no second POST."""
    told: dict[str, tuple[Act, type]] = {
        "400001": (error(400, 400001), NotFoundError),
        "400002": (error(400, 400002), InsufficientBalanceError),
        "400004": (error(400, 400004), AuthenticationError),
        "400005": (error(400, 400005), RejectedError),
        "401": (error(401, 401001), AuthenticationError),
        "401-bare": (answer(401), AuthenticationError),
        "401-html": (html(401), AuthenticationError),
        "402": (answer(402, {"message": "pay"}), InsufficientBalanceError),
        "402001": (error(400, 402001), InsufficientBalanceError),
        "403001": (error(403, 403001), PermissionDeniedError),
        "403003": (error(400, 403003), PermissionDeniedError),
        "403-html": (html(403), PermissionDeniedError),
        "404001": (error(404, 404001), NotFoundError),
        "404-html": (html(404), ApiError),
        "400-html": (html(400), RejectedError),
        "405": (answer(405), RejectedError),
        "410": (answer(410), ApiError),
        "413": (html(413), RejectedError),
        "418": (answer(418), RejectedError),
        "422": (answer(422, {"detail": "no"}), RejectedError),
        "422001": (error(422, 422001), RejectedError),
        "426": (answer(426), RejectedError),
        "451": (answer(451), RejectedError),
        "200-400001": (error(200, 400001), NotFoundError),
        "200-400002": (error(200, 400002), InsufficientBalanceError),
        "200-400004": (error(200, 400004), AuthenticationError),
        "200-401001": (error(200, 401001), AuthenticationError),
        "200-422001": (error(200, 422001), RejectedError),
        "200-400002-and-id": (error(200, 400002, request_id="t-1"), InsufficientBalanceError),
        "422-and-id": (error(422, 422001, request_id="t-1"), RejectedError),
        "409-400001": (error(409, 400001), NotFoundError),
        "302-404001": (error(302, 404001), NotFoundError),
        "code-over-status": (error(403, 400002), InsufficientBalanceError),
        "odd-message": (error(400, 400001, message=["x", {"y": None}]), NotFoundError),
        "cut": (cut({"error_code": 422001}, status=422), ApiError),
        "echo": (echo(400, 400001), NotFoundError),
        "echo-401": (echo(401, 401001), AuthenticationError),
        "echo-422": (echo(422, 422001), RejectedError),
    }
    for word, (act, kind) in told.items():
        yield Row(f"refused-{word}", plan(act), (kind,), accepted=0)
    detail = [{"loc": ["body", "text"], "msg": "too long"}]
    yield Row(
        "refused-detail",
        plan(answer(422, {"detail": detail})),
        (RejectedError,),
        accepted=0,
        check=lambda e: "too long" in str(e) and "too long" in e.detail and e.status == 422,
    )
    yield Row(
        "refused-long-detail",
        plan(answer(422, {"detail": "x" * 100_000})),
        (RejectedError,),
        accepted=0,
        check=lambda e: len(str(e)) < 2000,
    )
    # 500001 with HTTP 400: section 1 says refused, section 5 says unknown; never a second POST
    either = (ApiError, SubmissionInDoubtError)
    yield Row("refused-400-500001", plan(error(400, 500001)), either, accepted=0)


def _candidates() -> Iterator[Row]:
    """An id beside an error is a candidate, and one free GET of the result decides."""

    def beside(status: int, code: int) -> Act:
        return accept(
            answer(status, lambda c: _id(c) | {"error_code": code, "error_message": "oops"})
        )

    def named(candidate: str | None) -> Any:
        return lambda e: e.candidate_id == candidate

    for status, code in ((500, 500001), (503, 999), (200, 500001), (409, 999), (500, 400002)):
        yield Row(f"candidate-known-{status}-{code}", plan(beside(status, code)), OK)
    yield Row("candidate-0", plan(beside(200, 0)), OK)
    yield Row(
        "candidate-queued",
        plan(beside(500, 500001), polls=(acts.state("in_queue"), completion)),
        OK,
    )
    yield Row(
        "candidate-failed", plan(beside(500, 500001), polls=(acts.state("failed"),)), (Failed,)
    )
    for word, act in {
        "trouble": html(502),
        "hang": hang(),
        "reset": drop(reset=True),
        "foreign": error(403, 403001),
        "unauthorized": error(401, 401001),
        "lost": error(404, 404001),
    }.items():
        yield Row(f"candidate-{word}", plan(beside(500, 500001), polls=(act,)), DOUBT)
    yield Row(
        "candidate-unknown",
        plan(error(500, 500001, request_id="trace-1")),
        DOUBT,
        accepted=0,
        check=named("trace-1"),
    )
    yield Row(
        "candidate-unusable",
        plan(error(500, 500001, request_id="../../x")),
        DOUBT,
        accepted=0,
        check=named(None),
    )


def _limited() -> Iterator[Row]:
    """A 429, by status or code, is no acceptance: sent again later, accepted once."""
    for word, act in {
        "bare": answer(429),
        "0": answer(429, {}, headers=[("Retry-After", "0")]),
        "html": html(429),
        "by-code": error(400, 429),
        "200-by-code": error(200, 429),
        "past-date": answer(429, headers=[("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT")]),
        "echo": echo(429, 429),
    }.items():
        yield Row(f"limited-{word}", plan(act, acceptance), OK, posts=2)
    for value in ("soon", "-5", "nan", "", "1;q=2", "Wed, 99 Foo 2015"):
        act = answer(429, headers=[("Retry-After", value)])
        word = value.partition(" ")[0] or "empty"
        yield Row(f"limited-odd-{word}", plan(act, acceptance), OK, posts=2)
    yield Row("limited-thrice", plan(*[answer(429)] * 3, acceptance), OK, posts=4)
    yield Row("limited-then-doubt", plan(answer(429), accept(drop()), acceptance), DOUBT, posts=2)
    yield Row(
        "limited-then-refused", plan(answer(429), error(422, 422001)), (ApiError,), 2, accepted=0
    )


def _early() -> Iterator[Row]:
    """Acts before the whole body is read."""
    for word, act, ends in (
        ("drop-before-body", drop(), DOUBT),
        ("reset-before-body", drop(reset=True), DOUBT),
        ("drop-mid-body", drop(after=100_000), DOUBT),
        ("reset-mid-body", drop(reset=True, after=100_000), DOUBT),
        ("never-read", hang(0.7), DOUBT),
        ("refused-before-body", error(422, 422001), (RejectedError, SubmissionInDoubtError)),
    ):
        yield Row(word, Plan(post=(act, acceptance), early=True), ends, accepted=0)


SUBMIT_ROWS = [*_accepted(), *_doubts(), *_refusals(), *_candidates(), *_limited(), *_early()]
