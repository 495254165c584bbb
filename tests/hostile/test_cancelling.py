"""Every answer to a cancel (wire.md, section 4): after it, the truth is what the result says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import attrs
import pytest

from seedance_async import Cancelled, CancelResult, Outcome, Succeeded

from . import acts
from .acts import answer, cut, drop, echo, error, hang, html, redirect, state
from .meeting import Stage, ask
from .server import Act, Call, Plan, Received, completion

CANCELLED, NOT_CANCELLABLE, UNKNOWN = CancelResult
OVER = (NOT_CANCELLABLE, UNKNOWN)


@attrs.frozen
class Row:
    """A server's answer to a cancel, what its result says then, and what we may say of it."""

    word: str
    cancel: Act
    then: tuple[Act, ...]
    says: tuple[CancelResult, ...]
    ends: type[Outcome]


def _until_cancelled(then: tuple[Act, ...]) -> Act:
    """Be queued until a cancel comes, then meet the polls with `then`, the last for ever."""
    left = list(then)

    async def act(call: Call) -> None:
        assert call.ticket is not None
        if call.ticket.cancels == 0:
            await state("in_queue")(call)
        else:
            await (left.pop(0) if len(left) > 1 else left[0])(call)

    return act


def _says(outcome: object, status: object = "completed", http: int = 202) -> Act:
    return state(status, http, outcome=outcome)


def _rows() -> Iterator[Row]:
    gone, runs = state("cancelled"), state("in_progress")
    waits = state("in_queue")
    yield Row("documented", _says("cancelled"), (gone,), (CANCELLED,), Cancelled)
    yield Row("upper-case", _says("CANCELLED"), (gone,), (CANCELLED,), Cancelled)
    yield Row("as-200", _says("cancelled", http=200), (gone,), (CANCELLED,), Cancelled)
    yield Row("later", _says("cancelled"), (waits, waits, gone), (CANCELLED,), Cancelled)
    runs_on = (runs, runs, completion)
    declined = (NOT_CANCELLABLE,)
    yield Row("declined", _says("not_cancellable"), runs_on, declined, Succeeded)
    yield Row("declined-over", _says("not_cancellable"), (completion,), declined, Succeeded)
    requested = _says("cancellation_requested", "cancelled")
    yield Row("requested", requested, (gone,), (CANCELLED,), Cancelled)
    yield Row("requested-in-vain", requested, runs_on, (UNKNOWN,), Succeeded)
    # the result outranks the answer: the job is over, whatever the cancel said
    yield Row("lied", _says("cancelled"), (completion,), tuple(CancelResult), Succeeded)
    yield Row("declined-lied", _says("not_cancellable"), (gone,), tuple(CancelResult), Cancelled)
    for word, act in {
        "404": error(404, 404001),
        "404-html": html(404),
        "500": error(500, 500001),
        "502": html(502),
        "200-error": error(200, 500001),
        "401": error(401, 401001),
        "403": error(403, 403001),
        "429": answer(429, headers=[("Retry-After", "60")]),
        "hang": hang(),
        "trickle": acts.trickle(),
        "drop": drop(),
        "reset": drop(reset=True),
        "cut": cut({"outcome": "cancelled"}),
        "garbage": acts.raw(b"SSH-2.0\r\n\r\n"),
        "list": answer(202, []),
        "empty": answer(202),
        "integer": _says(5),
        "unknown-word": _says("perhaps"),
        "oversized": acts.oversized(),
        "redirect": redirect(307),
        "echo": echo(500, 500001),
    }.items():
        long = (*[runs] * 60, completion)  # longer than the cancel itself may take
        yield Row(
            f"{word}-runs",
            act,
            long if word in ("hang", "trickle", "oversized") else runs_on,
            (UNKNOWN,),
            Succeeded,
        )
        yield Row(f"{word}-gone", act, (gone,), (CANCELLED,), Cancelled)


@pytest.mark.parametrize("row", list(_rows()), ids=lambda row: row.word)
def test_cancelled_means_that_the_server_said_so(stage: Stage, row: Row) -> None:
    """One cancel is sent, its result is never a guess, and the job ends as its result says."""

    async def scene() -> None:
        plan = Plan(polls=(_until_cancelled(row.then),), cancel=(row.cancel,))
        async with stage.meet({row.word: plan}) as meeting:
            job = await meeting.session.submit(ask(row.word), tag="row")
            began = time.monotonic()
            said = await job.cancel()
            assert time.monotonic() - began < 1.5
            assert said in row.says
            end = await meeting.end_of_job(job)
            assert type(end) is row.ends
            (ticket,) = meeting.server.tickets.values()
            assert ticket.cancels == 1
            meeting.assert_told("row", end, [ticket.request_id])
            _assert_bodiless(meeting.server.received)

    stage.run(scene)


def _assert_bodiless(received: list[Received]) -> None:
    for request in received:
        if request.path.endswith("/cancel"):
            assert request.body == b""
            assert request.header("content-length") in (None, "0")


def test_never_hangs_on_cancels_when_it_is_left_by_an_error(stage: Stage) -> None:
    """Each queued job of ours gets one cancel, attached ones none, and hanging cancels end."""

    async def scene() -> None:
        waits = {
            "hangs": Plan(polls=(state("in_queue"),), cancel=(hang(),)),
            "gone": Plan(
                polls=(_until_cancelled((state("cancelled"),)),), cancel=(_says("cancelled"),)
            ),
        }
        began = time.monotonic()
        with pytest.raises(ZeroDivisionError):
            async with stage.meet(waits) as meeting:
                foreign = meeting.server.take("hangs", "attached")
                meeting.session.attach(foreign.request_id)
                for word in waits:
                    await meeting.session.submit(ask(word), tag=word)
                await asyncio.sleep(0.03)
                raise ZeroDivisionError
        assert time.monotonic() - began < 3
        tickets = meeting.server.tickets.values()
        assert sorted((t.name, t.cancels) for t in tickets) == [
            ("attached", 0),
            ("gone 0", 1),
            ("hangs 0", 1),
        ]
        kept = {r["tag"]: r["request_id"] for r in meeting.records() if r["state"] == "accepted"}
        assert sorted(kept) == ["gone", "hangs"]

    stage.run(scene)
