"""Tracking: polls never kill a job, and no verdict is made up."""

from __future__ import annotations

import asyncio
import json
import logging
from itertools import pairwise
from typing import Any

import anyio
import pytest

from seedance_async import (
    Cancelled,
    CancelResult,
    Failed,
    FixedPolling,
    InProgress,
    InQueue,
    InvalidRequestError,
    JobCancelledError,
    JobFailedError,
    JobLostError,
    JobTimeoutError,
    Lost,
    PermissionDeniedError,
    StatusChanged,
    Succeeded,
    TimedOut,
    TransportError,
)
from seedance_async.bodies import Answer

from .scene import Scene, fox, run


def answer(status: int, document: object) -> Answer:
    return Answer(status, {}, json.dumps(document).encode())


def on_result(given: Answer | Exception) -> Any:
    """Return a script that answers every GET of a result with `given`."""
    return lambda _method, path: given if "/result" in path else None


@pytest.mark.parametrize(
    "trouble",
    [
        TransportError("reset", sent=True),
        Answer(504, {}, b"<html>Gateway Time-out</html>"),
        Answer(404, {}, b"<html>nginx</html>"),
        Answer(200, {}, b'{"status": "compl', complete=False),
        answer(500, {"error_code": 500001}),
        answer(200, {"error_code": 500001, "error_message": "internal"}),
        answer(429, {"error_code": 429}),
        answer(418, {"error_code": 777777}),
        answer(200, {"nothing": "known"}),
        answer(400, {"error_code": 400005}),
    ],
    ids=str,
)
def test_polls_never_kill_a_job(trouble: Answer | Exception) -> None:
    """Trouble on a poll for ten minutes is backed off from; then the video is found."""
    scene = Scene()
    scene.wire.script = on_result(trouble)

    async def main() -> None:
        async with scene.session() as session:
            job = await session.submit(fox())
            await asyncio.sleep(600)
            assert not job.done()
            scene.wire.script = lambda _m, _p: None
            assert isinstance(await job.wait(), Succeeded)
            assert session.statistics().polls < 600

    run(main)
    scene.judge()


def test_an_unknown_state_is_neither_success_nor_failure(caplog: pytest.LogCaptureFixture) -> None:
    """It is polled on to the deadline, with one warning, and its word is kept."""
    scene = Scene()
    scene.wire.script = on_result(answer(200, {"status": "Rendering"}))

    async def main() -> None:
        async with scene.session(job_timeout=60) as session:
            outcome = await (await session.submit(fox())).wait()
            assert isinstance(outcome, TimedOut)
            assert outcome.last_seen == InProgress(reported="Rendering")

    run(main)
    assert sum("unknown state" in record.getMessage() for record in caplog.records) == 1


def test_never_lies_a_timeout_detaches_and_says_how_to_come_back() -> None:
    """The deadline frees the slot, cancels nothing, sends nothing again; attach finds the video."""
    scene = Scene(faults=["stuck=1"])

    async def main() -> None:
        async with scene.session(job_timeout=100, max_in_flight=1) as session:
            job = await session.submit(fox())
            with pytest.raises(JobTimeoutError, match=rf"attach\('{job.request_id}'\)"):
                await job
            assert session.statistics().untracked == 1
            assert session.statistics().in_flight == 0
            again = session.attach(job.request_id)
            assert again is not job
            assert again.status is None, "nothing is known of it before a poll"
            assert session.attach(job.request_id) is again
            finished = answer(200, {"status": "completed", "output": {"video": "https://x.y/v"}})
            scene.wire.script = on_result(finished)
            assert (await again).video_url == "https://x.y/v"
            assert session.attach(job.request_id) is again

    run(main)
    assert len(scene.wire.posts) == 1
    assert not any(path.endswith("/cancel") for _method, path in scene.wire.sent)


def test_one_poll_is_made_at_the_deadline() -> None:
    """A laptop that slept through the deadline finds its video instead of a timeout."""
    scene = Scene()

    async def main() -> None:
        async with scene.session(job_timeout=100, polling=FixedPolling(10_000)) as session:
            assert isinstance(await (await session.submit(fox())).wait(), Succeeded)

    run(main)


def test_404_is_polled_on_for_a_minute_then_the_job_is_lost() -> None:
    """404001 soon after acceptance is replication lag; later the service has forgotten the job."""
    scene = Scene()
    gone = answer(404, {"error_code": 404001, "error_message": "no such request"})
    scene.wire.script = on_result(gone)

    async def main() -> None:
        async with scene.session() as session:
            early = await session.submit(fox(1))
            await asyncio.sleep(50)
            assert not early.done()
            scene.wire.script = lambda _m, _p: None
            assert isinstance(await early.wait(), Succeeded)
            scene.wire.script = on_result(gone)
            late = await session.submit(fox(2))
            began = asyncio.get_running_loop().time()
            with pytest.raises(JobLostError, match="no longer knows"):
                await late
            assert asyncio.get_running_loop().time() - began >= 59
            old = session.attach("an-old-id", accepted_at=0.0)
            assert isinstance(await old.wait(), Lost)
            assert asyncio.get_running_loop().time() - began < 90

    run(main)
    assert len(scene.wire.posts) == 2


@pytest.mark.parametrize(
    "denied",
    [
        answer(401, {"error_code": 401001, "error_message": "bad token"}),
        answer(403, {"error_code": 403001, "error_message": "not yours"}),
        answer(400, {"error_code": 400004, "error_message": "inactive"}),
    ],
)
def test_a_refused_token_ends_the_wait_but_not_the_job(denied: Answer) -> None:
    """The typed error comes out, the journal still holds the job as accepted, the slot is free."""
    scene = Scene()

    async def main() -> None:
        async with scene.session() as session:
            job = await session.submit(fox(), tag="t")
            scene.wire.script = on_result(denied)
            with pytest.raises(Exception, match=r"bad token|not yours|inactive") as caught:
                await job.wait()
            assert getattr(caught.value, "request_id", None) == job.request_id
            assert session.statistics().in_flight == 0
            with pytest.raises(type(caught.value)):
                async for _update in job.updates():
                    pass
            with pytest.raises(type(caught.value)):
                await session.fetch(job.request_id)
            assert scene.journal.of("t") == ["submitting", "accepted"]
            scene.wire.script = lambda _m, _p: None
            assert isinstance(await session.attach(job.request_id).wait(), Succeeded)

    run(main)
    assert PermissionDeniedError.__mro__[1].__name__ == "ApiError"


def test_how_jobs_end_raised_and_as_values() -> None:
    """`await job` raises the typed error, `job.wait()` gives the same end as a value."""
    scene = Scene(faults=["failed=1"], capacity=1)

    async def main() -> None:
        async with scene.session() as session:
            job = await session.submit(fox(1))
            queued = await session.submit(fox(2))
            assert await queued.cancel() is CancelResult.CANCELLED
            with pytest.raises(JobCancelledError):
                await queued
            assert isinstance(queued.outcome, Cancelled)
            with pytest.raises(JobFailedError) as caught:
                await job
            assert caught.value.request_id == job.request_id
            assert caught.value.model_id == fox().model_id
            assert isinstance(job.outcome, Failed)
            assert await job.cancel() is CancelResult.NOT_CANCELLABLE

    run(main)
    scene.judge()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (answer(202, {"status": "completed", "outcome": "not_cancellable"}), "NOT_CANCELLABLE"),
        (answer(202, {"status": "cancelled", "outcome": "cancellation_requested"}), "UNKNOWN"),
        (answer(202, {"status": "completed", "outcome": "cancelled"}), "CANCELLED"),
        (answer(500, {}), "UNKNOWN"),
        (TransportError("gone", sent=True), "UNKNOWN"),
    ],
    ids=str,
)
def test_cancel_says_what_the_server_said(said: Answer | Exception, expected: str) -> None:
    """One attempt, one confirming poll; without a verdict the answer's word counts."""
    scene = Scene()
    scene.wire.script = lambda method, path: said if path.endswith("/cancel") else None

    async def main() -> None:
        async with scene.session() as session:
            job = await session.submit(fox())
            before = len(scene.wire.sent)
            assert await job.cancel() is CancelResult[expected]
            kinds = [
                path.rpartition("/")[2].partition("?")[0] for _m, path in scene.wire.sent[before:]
            ]
            assert kinds == ["cancel", "result"]
            assert not job.done()

    run(main)


def test_cancel_of_a_hanging_service_is_bounded() -> None:
    """5 s for the cancel and 5 s for the confirming poll, then the answer is UNKNOWN."""
    scene = Scene(latency=0.05)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with scene.session() as session:
            job = await session.submit(fox())
            scene.wire._latency = 1000.0
            began = loop.time()
            assert await job.cancel() is CancelResult.UNKNOWN
            assert loop.time() - began <= 10.1
            scene.wire._latency = 0.05

    run(main)


def test_many_wait_and_a_cancelled_waiter_cancels_only_itself() -> None:
    """Ten tasks await one job in every way; five are cancelled; the rest get the video."""
    scene = Scene()

    async def main() -> None:
        async with scene.session() as session:
            job = await session.submit(fox())

            async def await_it() -> Succeeded:
                return await job

            waiters = [asyncio.ensure_future(await_it()) for _ in range(10)]
            await asyncio.sleep(1)
            for waiter in waiters[::2]:
                waiter.cancel()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(job.wait(), 1)
            with anyio.move_on_after(1):
                await job.wait()
            assert all(
                isinstance(video, Succeeded) for video in await asyncio.gather(*waiters[1::2])
            )

    run(main)
    scene.judge()


def test_queue_positions_cost_a_request_only_where_asked_for() -> None:
    """`updates(queue_position=True)` counts down; without it no status is asked."""
    scene = Scene(capacity=1)

    async def main() -> None:
        async with scene.session(max_in_flight=10) as session:
            for number in range(4):
                await session.submit(fox(number))
            assert not any("/status" in path for _method, path in scene.wire.sent)
            job = await session.submit(fox(9))
            seen: list[Any] = []
            async for update in job.updates(queue_position=True):
                seen.append(update)
            positions = [
                u.position for u in seen if isinstance(u, InQueue) and u.position is not None
            ]
            assert len(positions) >= 3
            assert positions == sorted(positions, reverse=True)
            assert isinstance(seen[-1], Succeeded)

    run(main)


def test_events_tell_each_change_once() -> None:
    """A job that is polled ten times in one state changes once."""
    scene = Scene()

    async def main() -> None:
        async with scene.session(polling=FixedPolling(0.5)) as session:
            await session.generate(fox())

    run(main)
    assert [event.status for event in scene.told(StatusChanged)] == [InProgress()]


def test_fetch_is_one_get_without_tracking() -> None:
    """A status handler in an app: the state now, and nothing left behind."""
    scene = Scene()

    async def main() -> None:
        async with scene.session() as session:
            job = await session.submit(fox())
            before = len(scene.wire.sent)
            assert isinstance(await session.fetch(job.request_id), InQueue | InProgress)
            assert len(scene.wire.sent) == before + 1
            await job
            assert isinstance(await session.fetch(job.request_id), Succeeded)
            assert isinstance(await session.fetch("unknown-id"), Lost)
            with pytest.raises(InvalidRequestError):
                await session.fetch("../../etc")

    run(main)


def test_attached_jobs_pass_the_limit_and_hold_back_submissions() -> None:
    """`attach` never waits; no submission passes until the pool is below its limit again."""
    scene = Scene(capacity=100)

    async def main() -> None:
        async with scene.session(max_in_flight=8) as session:
            ids = [(await session.submit(fox(number))).request_id for number in range(8)]
            async with scene.session(max_in_flight=2) as other:
                jobs = [other.attach(request_id) for request_id in ids]
                assert other.statistics().in_flight == 8
                late = asyncio.ensure_future(other.submit(fox(100)))
                await asyncio.sleep(1)
                assert not late.done()
                assert other.statistics().waiting == 1
                for job in jobs:
                    await job.wait()
                await late

    run(main)
    scene.judge()


def test_requests_per_second_bound_all_requests() -> None:
    """Submissions and polls together stay within the rate; submissions go first."""
    scene = Scene(capacity=100, latency=0.0)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        times: list[float] = []
        send = scene.wire.send

        async def timed(*args: Any, **kwargs: Any) -> Answer:
            times.append(loop.time())
            return await send(*args, **kwargs)

        scene.wire.send = timed  # type: ignore[method-assign]
        async with scene.session(
            requests_per_second=5, max_in_flight=50, max_submitting=50
        ) as session:
            async with session.map(fox(number) for number in range(50)) as results:
                count = sum([1 async for _done in results])
        assert count == 50
        assert all(later - earlier >= 0.199 for earlier, later in pairwise(times))

    run(main)
    scene.judge()


def test_a_429_cuts_the_working_limit_and_clean_completions_grow_it_back() -> None:
    """AIMD below the ceiling; `set_max_in_flight` moves the ceiling."""
    scene = Scene(capacity=100)
    refusals = [Answer(429, {"retry-after": "1"}, b"{}")] * 3

    async def main() -> None:
        async with scene.session(max_in_flight=10) as session:
            async with session.map(fox(number) for number in range(9)) as results:
                async for _done in results:
                    pass
            scene.wire.script = lambda method, path: (
                refusals.pop() if "/models/" in path and refusals else None
            )
            await session.generate(fox(100))
            assert session.statistics().limit < 10
            async with session.map(fox(number) for number in range(200, 300)) as results:
                async for _done in results:
                    pass
            assert session.statistics().limit == 10
            session.set_max_in_flight(3)
            assert session.statistics().limit == 3

    run(main)
    scene.judge()


def test_a_poll_that_breaks_in_an_unforeseen_way_is_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever a poll raises says nothing about the job: it is logged as our bug, and polled on."""
    scene = Scene()
    scene.wire.script = on_result(ZeroDivisionError("a bug"))

    async def main() -> None:
        async with scene.session() as session:
            job = await session.submit(fox())
            await asyncio.sleep(60)
            scene.wire.script = on_result(asyncio.CancelledError())  # type: ignore[arg-type]
            await asyncio.sleep(60)
            assert not job.done()
            scene.wire.script = lambda _m, _p: None
            assert isinstance(await job.wait(), Succeeded)

    with caplog.at_level(logging.ERROR, "seedance_async"):
        run(main)
    assert sum("please report it" in record.getMessage() for record in caplog.records) == 1


def test_a_job_that_is_given_up_twice_gets_one_cancel() -> None:
    """Its caller left, and then the session was aborted: both look after it."""
    scene = Scene(capacity=1)

    async def main() -> None:
        async with scene.session() as session:
            running = await session.submit(fox())
            queued = await session.submit(fox(1))
            session._lifetime.submitter.cancel_in_session(queued)
            session._lifetime.submitter.cancel_in_session(queued)
            assert isinstance(await queued.wait(), Cancelled)
            await running.wait()
        assert sum(path.endswith("/cancel") for _method, path in scene.wire.sent) == 1

    run(main)
