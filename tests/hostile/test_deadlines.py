"""Waits of the session against a server that lets it wait."""

from __future__ import annotations

import asyncio
import datetime
import time
from email.utils import format_datetime

import pytest

from seedance_async import (
    AuthenticationError,
    Failed,
    FixedPolling,
    InProgress,
    InQueue,
    InvalidRequestError,
    JobFinished,
    Lost,
    RateLimited,
    Succeeded,
    TimedOut,
)

from .acts import answer, drop, echo, error, hang, html, polls, result, state, submits
from .meeting import Stage, ask
from .server import Act, Plan, acceptance, completion


def test_finds_the_video_at_the_deadline(stage: Stage) -> None:
    """One poll is always made at the deadline (a laptop that slept finds its videos)."""

    async def scene() -> None:
        async with stage.meet({}, polling=FixedPolling(60), job_timeout=0.2) as meeting:
            assert isinstance(await meeting.end_of(ask("sleeper")), Succeeded)

    stage.run(scene)


def test_is_lost_only_after_the_grace(stage: Stage) -> None:
    """404001 is polled on for the whole grace after acceptance, and no POST follows it."""

    async def scene() -> None:
        async with stage.meet({"lost": polls(last=error(404, 404001))}) as meeting:
            began = time.monotonic()
            end = await meeting.end_of(ask("lost"), tag="row")
            assert isinstance(end, Lost)
            assert end.error.code == 404001
            assert 0.2 <= time.monotonic() - began < 1
            assert meeting.server.posts.total() == 1
            meeting.assert_told("row", end, [end.request_id])

    stage.run(scene)


def test_waits_until_the_date_of_retry_after(stage: Stage) -> None:
    """Retry-After as an HTTP date is a floor; dates have whole seconds, hence the second here."""

    async def scene() -> None:
        due = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        due += datetime.timedelta(seconds=2)
        limited = answer(429, headers=[("Retry-After", format_datetime(due, usegmt=True))])
        async with stage.meet({"date": submits(limited, acceptance)}) as meeting:
            assert isinstance(await meeting.end_of(ask("date"), tag="row"), Succeeded)
            assert time.time() >= due.timestamp()
            assert meeting.server.posts.total() == 2
            states = [record["state"] for record in meeting.records("row")]
            assert states[:4] == ["submitting", "not_sent", "submitting", "accepted"]

    stage.run(scene)


def test_waits_the_seconds_of_retry_after(stage: Stage) -> None:
    """Retry-After in seconds holds up the whole session, not only the job that met it."""

    async def scene() -> None:
        limited = answer(429, headers=[("Retry-After", "1")])
        async with stage.meet({"limited": submits(limited, acceptance)}) as meeting:
            began = time.monotonic()
            first = asyncio.create_task(meeting.end_of(ask("limited")))
            await asyncio.sleep(0.1)
            assert isinstance(await meeting.end_of(ask("other")), Succeeded)
            assert time.monotonic() - began >= 1
            assert isinstance(await first, Succeeded)

    stage.run(scene)


@pytest.mark.parametrize("value", ["9" * 400, "1e999", "inf", "86400"])
def test_never_hangs_on_an_endless_retry_after(stage: Stage, value: str) -> None:
    """The pause is a quarter of an hour at most, and who waits for it can leave."""

    async def scene() -> None:
        limited = answer(429, headers=[("Retry-After", value)])
        async with stage.meet({"limited": submits(limited, acceptance)}) as meeting:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    for number in range(100):  # taken for nothing, it would not pause at all
                        await meeting.session.submit(ask("limited", number))
                        await asyncio.sleep(0.01)
            pauses = [event for event in meeting.events if isinstance(event, RateLimited)]
            assert pauses
            assert all(pause.delay <= 900 for pause in pauses)

    stage.run(scene)


def test_the_verdict_is_the_results_alone(stage: Stage) -> None:
    """A status that reads `completed` has finished, and may have failed (wire.md, section 2)."""

    async def scene() -> None:
        plan = Plan(
            polls=(state("in_queue"), state("in_progress"), state("failed")),
            status=(state("completed"),),
        )
        async with stage.meet({"verdict": plan}) as meeting:
            job = await meeting.session.submit(ask("verdict"))
            seen = [update async for update in job.updates(queue_position=True)]
            assert isinstance(seen[-1], Failed)
            assert all(isinstance(update, InQueue | InProgress) for update in seen[:-1])

    stage.run(scene)


BAD_STATUS: dict[str, Act] = {
    **{f"position-{n}": state("in_queue", queue_position=p) for n, p in enumerate(["3", -1, 2.5])},
    "position-true": state("in_queue", queue_position=True),
    "position-huge": state("in_queue", queue_position=10**30),
    "404": error(404, 404001),
    "401": error(401, 401001),
    "502": html(502),
    "hang": hang(),
    "reset": drop(reset=True),
    "list": answer(200, []),
    "echo": echo(500, 500001),
}


@pytest.mark.parametrize("word", BAD_STATUS)
def test_a_bad_status_kills_no_job(stage: Stage, word: str) -> None:
    """The status serves the position only: whatever it answers, the result decides."""

    async def scene() -> None:
        plan = Plan(polls=(*[state("in_queue")] * 2, completion), status=(BAD_STATUS[word],))
        async with stage.meet({word: plan}) as meeting:
            job = await meeting.session.submit(ask(word))
            seen = [update async for update in job.updates(queue_position=True)]
            assert isinstance(seen[-1], Succeeded)
            for update in seen[:-1]:
                position = update.position if isinstance(update, InQueue) else None
                assert position is None or (type(position) is int and position >= 0)

    stage.run(scene)


def test_tells_the_position_in_the_queue(stage: Stage) -> None:
    """Positions come from the status, only where somebody asks for them."""

    async def scene() -> None:
        plan = Plan(
            polls=(*[state("in_queue")] * 4, completion),
            status=(state("in_queue", queue_position=2), state("in_queue", queue_position=1)),
        )
        async with stage.meet({"queue": plan}) as meeting:
            job = await meeting.session.submit(ask("queue"))
            seen = [update async for update in job.updates(queue_position=True)]
            assert InQueue(position=1) in seen
            assert isinstance(await meeting.end_of(ask("queue", 1)), Succeeded)
            asked = [t.statuses > 0 for t in meeting.server.tickets.values()]
            assert asked == [True, False]

    stage.run(scene)


def test_an_attached_job_is_found_by_its_id_alone(stage: Stage) -> None:
    """No POST; an unknown id is lost after the grace; an id that is none reaches no server."""

    async def scene() -> None:
        denied = polls(error(401, 401001), last=completion)
        async with stage.meet({"denied": denied}) as meeting:
            session = meeting.session
            known = meeting.server.take("known", "known")
            assert isinstance(await meeting.end_of_job(session.attach(known.request_id)), Succeeded)
            assert isinstance(await meeting.end_of_job(session.attach("nobodys")), Lost)
            theirs = meeting.server.take("denied", "denied").request_id
            refused = await meeting.end_of_job(session.attach(theirs))
            assert isinstance(refused, AuthenticationError)
            assert isinstance(await meeting.end_of_job(session.attach(theirs)), Succeeded)
            for bad in ("../x", "a/b", "", "x" * 129, "a\n", "a?b", f"{known.request_id}/.."):
                with pytest.raises(InvalidRequestError):
                    session.attach(bad)
                with pytest.raises(InvalidRequestError):
                    await session.fetch(bad)
            assert meeting.server.posts.total() == 0

    stage.run(scene)


def test_one_warning_for_states_that_nobody_knows(stage: Stage) -> None:
    """An unknown state is polled on; it is warned of once, with the id."""

    async def scene() -> None:
        plan = polls(*[state("melting")] * 6, last=result())
        async with stage.meet({"melting": plan}) as meeting:
            end = await meeting.end_of(ask("melting"))
            assert isinstance(end, Succeeded)
            told = [r.getMessage() for r in stage.log.records if r.levelname == "WARNING"]
            assert len(told) == 1
            assert end.request_id in told[0]
            assert "melting" in told[0]

    stage.run(scene)


def test_a_job_that_is_detached_at_the_end_is_told_of(stage: Stage) -> None:
    """After `accepted` the journal is told one `finished`, and events one `JobFinished`."""

    async def scene() -> None:
        waits = {"waits": polls(last=state("in_queue"))}
        async with stage.meet(waits, exit_timeout=0.1) as meeting:
            job = await meeting.session.submit(ask("waits"), tag="row")
        assert isinstance(job.outcome, TimedOut)
        finished = [event for event in meeting.events if isinstance(event, JobFinished)]
        assert [event.outcome for event in finished] == [job.outcome]
        meeting.assert_told("row", job.outcome, [job.request_id])

    stage.run(scene)
