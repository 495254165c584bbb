"""Each answer to a row's submission, and where it must leave the row (wire.md, 1 and 5)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

from seedance_async.batch import RowState, StopReason

from .acts import accept, answer, cut, drop, echo, error, hang, html, redirect, state
from .batch_rows import BatchRow
from .server import Act, Call, Plan, acceptance, completion
from .video_rows import serve

__all__ = ["ACCOUNT_ROWS", "POSTED_ROWS"]

_S = RowState


def _posted(word: str, *acts: Act, polls: tuple[Act, ...] = (), **more: Any) -> BatchRow:
    return BatchRow(word=word, plan=Plan(post=acts, polls=polls, video=(serve(),)), **more)


def _id(call: Call) -> dict[str, object]:
    return {"request_id": call.request_id}


def _doubts() -> Iterator[BatchRow]:
    """It may have been accepted: a person decides, and it is never sent again."""
    after: dict[str, Act] = {
        "drop": drop(),
        "reset": drop(reset=True),
        "hang": hang(),
        "html-502": html(502),
        "html-504": html(504),
        "json-500": error(500, 500001),
        "503-later": html(503, headers=[("Retry-After", "0")]),
        "cut-json": cut(_id),
        "half-json": answer(200, b'{"request_id": "job-'),
        "no-id": answer(200, {"status": "in_queue"}),
        "unusable-id": answer(200, {"request_id": "../../x"}),
        "200-500001": error(200, 500001),
        "200-unknown-code": error(200, 999999),
        "408": answer(408, {}),
        "409": answer(409, {}),
        "425": answer(425, {}),
        "302": redirect(302),
        "307": redirect(307),
        "echo": echo(500, 500001),
    }
    for word, act in after.items():
        yield _posted(f"doubt-{word}", accept(act), state=_S.IN_DOUBT)
    yield _posted("doubt-nothing-there", drop(), state=_S.IN_DOUBT, accepted=0)


def _candidates() -> Iterator[BatchRow]:
    """An id beside an error is a candidate: one free GET of the result decides."""

    def beside(status: int, code: int, request_id: str | None = None) -> Act:
        return accept(
            answer(status, lambda c: _id(c) | {"error_code": code, "error_message": "oops"}),
            request_id=request_id,
        )

    yield _posted("candidate-200", beside(200, 500001))
    yield _posted("candidate-500", beside(500, 500001), polls=(state("in_queue"), completion))
    yield _posted("candidate-409", beside(409, 999))
    yield _posted(
        "candidate-failed",
        beside(500, 500001),
        polls=(state("failed", error="nsfw"),),
        state=_S.FAILED,
        says="nsfw",
    )
    # the GET decides nothing: the id may be that of a paid job, so a person must find it
    for word, act in {"unclear": html(502), "denied": error(403, 403001)}.items():
        post = beside(500, 500001, f"candidate-{word}")
        told: dict[str, Any] = {"state": _S.IN_DOUBT, "says": f"candidate-{word}"}
        yield _posted(f"candidate-{word}", post, polls=(act, completion), **told)
    for status in (200, 500):
        trace = f"trace-{status}"
        act = error(status, 500001, request_id=trace)
        yield _posted(f"candidate-{trace}", act, state=_S.IN_DOUBT, accepted=0, asked_once=trace)


def _refusals() -> Iterator[BatchRow]:
    told: dict[str, tuple[Act, int | None]] = {
        "422001": (error(422, 422001, detail=[{"loc": ["text"], "msg": "no good"}]), 422001),
        "422": (answer(422, {"detail": "no good"}), None),
        "400001": (error(400, 400001), 400001),
        "404001": (error(404, 404001), 404001),
        "403001": (error(403, 403001), 403001),
        "200-422001": (error(200, 422001), 422001),
        "200-400001": (error(200, 400001), 400001),
        "and-id": (error(422, 422001, request_id="trace-422"), 422001),
        "html-413": (html(413), None),
        "echo": (echo(400, 400001), 400001),
    }
    for word, (act, code) in told.items():
        yield _posted(f"refused-{word}", act, state=_S.FAILED, accepted=0, code=code)


async def _soon(call: Call) -> None:
    date = formatdate(time.time() + 1, usegmt=True)
    await call.answer(429, {}, headers=[("Retry-After", date)])


def _limited() -> Iterator[BatchRow]:
    """Refused for now: sent again later, accepted once."""
    second = answer(429, headers=[("Retry-After", "1")])
    yield _posted("limited-seconds", second, acceptance, posts=2, pause=1.0)
    yield _posted("limited-date", _soon, acceptance, posts=2)
    yield _posted("limited-bare", answer(429), acceptance, posts=2)
    yield _posted("limited-html", html(429), acceptance, posts=2)
    yield _posted("limited-code", error(400, 429), acceptance, posts=2)
    yield _posted("limited-200-code", error(200, 429), acceptance, posts=2)
    doubt = (answer(429), accept(drop()), acceptance)
    yield _posted("limited-then-doubt", *doubt, posts=2, state=_S.IN_DOUBT)
    yield _posted(
        "limited-then-refused",
        answer(429),
        error(422, 422001),
        posts=2,
        state=_S.FAILED,
        accepted=0,
        code=422001,
    )


def _account() -> Iterator[BatchRow]:
    """The account's trouble stops the batch; the row is planned again and goes on later."""
    for word, act in {
        "400002": error(400, 400002),
        "200-400002": error(200, 400002),
        "400004": error(400, 400004),
        "402": answer(402, {"message": "pay"}),
        "401": answer(401),
        "401001": error(400, 401001),
        "echo": echo(401, 401001),
    }.items():
        yield _posted(
            f"account-{word}",
            act,
            acceptance,
            state=_S.PLANNED,
            again=_S.DOWNLOADED,
            posts_again=2,
            stop=StopReason.ACCOUNT,
        )


POSTED_ROWS = [*_doubts(), *_candidates(), *_refusals(), *_limited()]
ACCOUNT_ROWS = list(_account())
