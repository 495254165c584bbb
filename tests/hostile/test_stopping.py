"""When the account or the odds are against it, submitting stops and what runs, runs on."""

from __future__ import annotations

import asyncio

import pytest

from seedance_async import (
    Event,
    GateChanged,
    InsufficientBalanceError,
    Session,
    SubmittingStoppedError,
    Succeeded,
)

from .acts import accept, answer, drop, error, polls, slow, state, submits
from .meeting import Stage, ask
from .server import Act

ACCOUNT: dict[str, Act] = {
    "400002": error(400, 400002),
    "200-400002": error(200, 400002),
    "400004": error(400, 400004),
    "401": answer(401),
    "401001": error(200, 401001),
    "402": answer(402),
}
ONE_JOB: dict[str, Act] = {
    "400001": error(400, 400001),
    "403001": error(403, 403001),
    "404001": error(404, 404001),
    "422001": error(422, 422001),
}
RUNS = {"runs": polls(*[state("in_progress")] * 5)}


@pytest.mark.parametrize("word", ACCOUNT)
def test_the_accounts_errors_stop_all_submitting(stage: Stage, word: str) -> None:
    """The next submission is not sent, the job that runs ends well, `reopen` lets pass again."""

    async def scene() -> None:
        async with stage.meet({word: submits(ACCOUNT[word]), **RUNS}) as meeting:
            running = await meeting.session.submit(ask("runs"))
            await meeting.end_of(ask(word))
            assert isinstance(await meeting.end_of(ask("next")), SubmittingStoppedError)
            assert isinstance(await meeting.end_of_job(running), Succeeded)
            assert meeting.server.posts["next 0"] == 0
            meeting.session.reopen()
            assert isinstance(await meeting.end_of(ask("next")), Succeeded)

    stage.run(scene)


@pytest.mark.parametrize("word", ONE_JOB)
def test_one_jobs_refusal_is_its_own(stage: Stage, word: str) -> None:
    """A request that is refused stops no other."""

    async def scene() -> None:
        async with stage.meet({word: submits(ONE_JOB[word])}) as meeting:
            await meeting.end_of(ask(word))
            assert isinstance(await meeting.end_of(ask("next")), Succeeded)

    stage.run(scene)


@pytest.mark.parametrize(
    ("act", "sent"),
    [(accept(drop()), 3), (answer(500), 3), (error(422, 422001), 10)],
    ids=["drops", "500", "422"],
)
def test_never_floods_a_server_that_takes_nothing(stage: Stage, act: Act, sent: int) -> None:
    """Three doubts or ten refusals of one kind in a row pull the brake."""

    async def scene() -> None:
        async with stage.meet({"bad": submits(act), **RUNS}) as meeting:
            running = await meeting.session.submit(ask("runs"))
            ends = [await meeting.end_of(ask("bad", number)) for number in range(sent + 2)]
            stopped = [isinstance(end, SubmittingStoppedError) for end in ends]
            assert stopped == [False] * sent + [True] * 2
            assert meeting.server.posts.total() == sent + 1
            assert isinstance(await meeting.end_of_job(running), Succeeded)

    stage.run(scene)


def test_never_floods_when_many_submit_at_once(stage: Stage) -> None:
    """Of forty drops by a pool of four, no more are sent than were under way at the third."""

    async def scene() -> None:
        async with stage.meet({"bad": submits(accept(drop()))}) as meeting:
            with pytest.raises(SubmittingStoppedError):
                async with meeting.session.map([ask("bad", n) for n in range(40)]) as results:
                    async for _ in results:
                        pass
            assert max(meeting.server.posts.values()) == 1
            assert meeting.server.posts.total() <= 3 + 4

    stage.run(scene)


def test_whoever_waits_for_a_slot_learns_the_real_cause(stage: Stage) -> None:
    """Reopened at the event that tells of the trouble, it passes, or is told of that trouble."""

    async def scene() -> None:
        plans = {"broke": submits(slow(0.05, error(400, 400002)))}
        async with stage.meet(plans, max_in_flight=1, on_event=_reopen) as meeting:
            first = asyncio.create_task(meeting.end_of(ask("broke")))
            await asyncio.sleep(0.02)
            end = await meeting.end_of(ask("waits"))
            if isinstance(end, SubmittingStoppedError):
                assert end.cause.code == 400002
            else:
                assert isinstance(end, Succeeded)
            assert isinstance(await first, InsufficientBalanceError)

    stage.run(scene)


def _reopen(event: Event, session: Session) -> None:
    if isinstance(event, GateChanged) and not event.open:
        session.reopen()
