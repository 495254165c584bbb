"""Promises 4 to 6: nothing hangs or floods, trouble stays where it is, the token stays home."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

from seedance_async import (
    AuthenticationError,
    FileJournal,
    FixedPolling,
    Lost,
    Outcome,
    RejectedError,
    Request,
    SeedanceError,
    Session,
    SubmissionInDoubtError,
    SubmittingStoppedError,
    Succeeded,
    TimedOut,
    TransportError,
)
from seedance_async.bodies import Answer
from seedance_async.simulator import Account, Simulator
from seedance_async.simulator.web import serve
from tests.session.scene import Scene, fox, run

SECRET = "s3cret-token-0123456789"


# --- 4. never hangs, never floods ----------------------------------------------------------


def test_never_hangs_on_a_service_that_never_answers() -> None:
    """A black hole: every call ends by itself, with its defaults, and so does the session."""
    scene = Scene()
    took: dict[str, float] = {}

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with scene.session() as session:
            job, other = await session.submit(fox(1)), await session.submit(fox(2))
            scene.wire._latency = 1e9

            async def timed(name: str, work: Callable[[], Awaitable[object]]) -> None:
                began = loop.time()
                with suppress(SeedanceError):
                    await work()
                took[name] = loop.time() - began

            async with asyncio.TaskGroup() as group:
                group.create_task(timed("submit", lambda: session.submit(fox(3))))
                group.create_task(timed("wait", job.wait))
                group.create_task(timed("cancel", other.cancel))
                group.create_task(timed("fetch", lambda: session.fetch("some-id")))
                group.create_task(timed("download", lambda: session.download("https://x.y", "f")))
            late = await asyncio.gather(session.submit(fox(4)), return_exceptions=True)
            assert isinstance(late[0], TransportError)
            session.attach("some-other-id")
            took["exit"] = loop.time()
        took["exit"] = loop.time() - took["exit"]

    run(main)
    limits = {"submit": 320, "wait": 1861, "cancel": 10, "fetch": 30, "download": 1, "exit": 1861}
    assert all(took[name] <= limit + 0.1 for name, limit in limits.items()), took


def test_never_floods_what_is_in_flight_or_under_way() -> None:
    """Slots are held until a job is over; POSTs and requests a second are bounded as told."""
    scene = Scene(capacity=100, latency=0.3)
    times: list[float] = []
    posting: list[int] = []
    in_flight: list[int] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        scene.wire.script = lambda _method, _path: times.append(loop.time())
        async with scene.session(
            max_in_flight=12, max_submitting=3, requests_per_second=10
        ) as session:
            async with session.map(fox(number) for number in range(60)) as results:
                async for _done in results:
                    numbers = session.statistics()
                    in_flight.append(numbers.in_flight)
                    posting.append(numbers.submitting)

    run(main)
    scene.judge()
    assert max(posting) <= 3
    assert 10 <= max(in_flight) <= 12, "the bound is kept, and used"
    assert all(later - earlier >= 0.0999 for earlier, later in pairwise(times))


@pytest.mark.parametrize(
    ("answer", "kind", "posts"),
    [
        (Answer(502, {}, b"<html>"), SubmissionInDoubtError, 3),
        (Answer(422, {}, b'{"error_code": 422001}'), RejectedError, 10),
        (Answer(401, {}, b"{}"), AuthenticationError, 1),
    ],
)
def test_never_floods_a_service_that_takes_nothing(
    answer: Answer, kind: type[SeedanceError], posts: int
) -> None:
    """Three doubts, ten refusals of a kind, one account error: then no POST leaves any more."""
    scene = Scene()
    scene.wire.script = lambda _method, path: answer if "/models/" in path else None

    async def main() -> None:
        async with scene.session(max_submitting=1) as session:
            tasks = [asyncio.ensure_future(session.submit(fox(number))) for number in range(50)]
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            assert Counter(type(end) for end in ends) == {
                kind: posts,
                SubmittingStoppedError: 50 - posts,
            }

    run(main)
    assert len(scene.wire.posts) == posts


# --- 5. one job's trouble is its own -------------------------------------------------------


def test_one_jobs_trouble_is_its_own_among_paid_siblings(caplog: pytest.LogCaptureFixture) -> None:
    """A refusal, a failure, a lost id, a bad callback, a cancelled waiter: the others succeed."""
    scene = Scene(capacity=20)

    def refuse_one(method: str, path: str) -> Answer | None:
        if method == "POST" and b"take 3" in scene.wire.posts[-1]:
            return Answer(422, {}, b'{"error_code": 422001}')
        return Answer(404, {}, b'{"error_code": 404001}') if gone and gone[0] in path else None

    gone: list[str] = []
    scene.wire.script = refuse_one

    def bad(_update: object) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        async with scene.session(max_in_flight=20) as session:
            waiters = [
                asyncio.ensure_future(session.generate(fox(number), on_update=bad))
                for number in range(8)
            ]
            lost = await session.submit(fox(100))
            gone.append(lost.request_id)
            cancelled = asyncio.ensure_future(lost.wait())
            await asyncio.sleep(1)
            cancelled.cancel()
            ends = await asyncio.gather(*waiters, return_exceptions=True)
            assert isinstance(await lost.wait(), Lost)
            assert isinstance(ends.pop(3), RejectedError)
            assert {type(end) for end in ends} == {Succeeded}

    run(main)
    scene.judge()
    assert not scene.simulator.books.cancelled


@pytest.mark.parametrize("trouble", [Account.EMPTY, Account.EXPIRED])
def test_one_jobs_trouble_is_its_own_but_the_accounts_stops_all_submitting(
    trouble: Account,
) -> None:
    """No balance or a bad token stops what would be submitted; what runs, runs on."""
    scene = Scene()

    async def main() -> None:
        async with scene.session() as session:
            running = await session.submit(fox(1))
            scene.simulator.account = trouble
            with pytest.raises(SeedanceError):
                await session.submit(fox(2))
            with pytest.raises(SubmittingStoppedError):
                await session.submit(fox(3))
            scene.simulator.account = Account.ACTIVE
            assert isinstance(await running.wait(), Succeeded)

    run(main)
    scene.judge()
    assert len(scene.wire.posts) == 2


class BrokenRequest:
    """A request class of somebody else's, with a bug."""

    model_id = fox().model_id

    def input(self) -> dict[str, object]:
        return {"text": object()}

    def advice(self) -> tuple[str, ...]:
        return ()


def test_one_jobs_trouble_is_its_own_where_the_input_has_a_bug() -> None:
    """What is paid is yielded first; then the bug comes out, instead of a result too few."""
    scene = Scene()
    requests: list[Request] = [fox(1), fox(2), BrokenRequest(), fox(3)]
    done: list[Outcome] = []

    async def main() -> None:
        async with scene.session() as session:
            with pytest.raises(TypeError, match="not JSON serializable"):
                async with session.map(requests) as results:
                    async for result in results:
                        done.append(result.outcome)

    run(main)
    scene.judge()
    assert {type(outcome) for outcome in done} == {Succeeded}
    assert len(done) == len(scene.wire.posts) >= 2


def test_one_jobs_trouble_is_its_own_where_tracking_has_a_bug() -> None:
    """A slip of ours ends the tracking of that job: it runs on, and the others are untouched."""
    scene = Scene(capacity=20)

    def break_one(_method: str, path: str) -> Exception | None:
        first = scene.simulator.books.accepted[:1]
        hit = first and "/result" in path and first[0].request_id in path
        return ZeroDivisionError("a slip") if hit else None

    scene.wire.script = break_one
    done: list[Outcome] = []

    async def main() -> None:
        async with scene.session() as session:
            async with session.map(fox(number) for number in range(4)) as results:
                async for result in results:
                    done.append(result.outcome)

    run(main)
    scene.judge()
    slipped = [outcome for outcome in done if not isinstance(outcome, Succeeded)]
    assert len(done) == 4
    assert [type(outcome) for outcome in slipped] == [TimedOut]
    assert slipped[0].request_id == scene.simulator.books.accepted[0].request_id


# --- 6. the token goes nowhere else --------------------------------------------------------


def test_the_token_goes_nowhere_else_than_to_the_base_url(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Over real sockets, hence on the real clock: in no log, repr, error, event or file."""
    said: list[object] = []
    simulator = Simulator(speed=10_000, token=SECRET)
    journal = FileJournal(tmp_path / "journal.jsonl")

    async def main() -> None:
        async with serve(simulator) as server:
            session = Session(
                SECRET,
                base_url=server.base_url,
                journal=journal,
                on_event=said.append,
                polling=FixedPolling(0.01),
            )
            said.append(session)
            async with session:
                job = await session.submit(fox(1))
                video = await job
                said.extend([session, job, video, session.statistics(), vars(session)])
                said.append(await session.download(video, tmp_path / "fox.mp4"))
                simulator.token = "another"
                for work in (session.submit(fox(2)), session.fetch(job.request_id)):
                    with pytest.raises(AuthenticationError) as caught:
                        await work
                    said.extend([caught.value, caught.value.info(), vars(caught.value)])

    with caplog.at_level(logging.DEBUG):
        asyncio.run(main())
    assert simulator.books.requests("submit") == 2
    assert not simulator.books.token_leaks
    texts = [*map(repr, said), *map(str, said), caplog.text]
    texts += [path.read_bytes().decode("latin-1") for path in tmp_path.iterdir()]
    assert len(list(tmp_path.iterdir())) == 2
    assert not [text for text in texts if SECRET in text]
