"""Submitting: one POST each, and the truth about what came of it."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import anyio
import pytest

from seedance_async import (
    AuthenticationError,
    Budget,
    BudgetExceededError,
    InDoubt,
    InQueue,
    InsufficientBalanceError,
    Job,
    LedgerError,
    RateLimited,
    RateLimitedError,
    RejectedError,
    RetryPolicy,
    SubmissionInDoubtError,
    SubmittingStoppedError,
    Succeeded,
    TransportError,
)
from seedance_async.bodies import Answer
from seedance_async.events import GateChanged

from .scene import RecordingJournal, Scene, fox, run


def answer(status: int, document: object, **headers: str) -> Answer:
    return Answer(status, headers, json.dumps(document).encode())


def refuse_posts(given: Answer | Exception) -> Any:
    """Return a script that answers every submission with `given` and lets GETs pass."""
    return lambda method, path: given if method == "POST" and "/models/" in path else None


def test_a_video_in_five_lines() -> None:
    """The whole path: submit, updates on change only, the video, its cost, its times."""
    scene = Scene()

    async def main() -> None:
        async with scene.session() as session:
            job = await session.submit(fox())
            updates = [update async for update in job.updates()]
            video = await job
            assert [type(update).__name__ for update in updates] == [
                "InQueue",
                "InProgress",
                "Succeeded",
            ]
            assert video is updates[-1]
            assert video.cost_usd == pytest.approx(0.25)
            assert video.timings.lateness is not None
            assert 0 <= video.timings.lateness < 6
            assert session.statistics().in_flight == 0

    run(main)
    scene.judge()
    assert [word for word, _tag, _value in scene.journal.words] == [
        "submitting",
        "accepted",
        "finished",
    ]


def test_never_pays_twice_by_one_post_for_each_request() -> None:
    """Whatever the service does after a POST, its body goes out once unless surely not accepted."""
    scene = Scene(faults=["drop-after-accept=0.3", "5xx-after-accept=0.2", "truncated-json=0.2"])

    async def main() -> None:
        async with scene.session() as session:
            for number in range(40):
                try:
                    await session.submit(fox(number))
                except SubmissionInDoubtError:
                    session.reopen()

    run(main)
    scene.judge()
    assert len(scene.wire.posts) == len(set(scene.wire.posts)) == 40
    assert scene.journal.told("in_doubt")


def test_a_429_is_waited_out_and_pauses_the_whole_session() -> None:
    """Retry-After is the floor: nothing is submitted before it, the journal hears `not_sent`."""
    scene = Scene()
    refusals = [answer(429, {"error_code": 429}, **{"retry-after": "30"})]
    scene.wire.script = lambda method, _path: (
        refusals.pop() if method == "POST" and refusals else None
    )

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with scene.session() as session:
            began = loop.time()
            first = asyncio.ensure_future(session.submit(fox(1), tag="first"))
            await asyncio.sleep(1)
            second = await session.submit(fox(2))
            assert loop.time() - began >= 30
            await (await first)
            await second

    run(main)
    scene.judge()
    assert scene.journal.of("first") == [
        "submitting",
        "not_sent",
        "submitting",
        "accepted",
        "finished",
    ]
    assert [event.retry_after for event in scene.told(RateLimited)] == [30.0]


def test_429s_end_after_fifteen_minutes() -> None:
    """A storm of 429s becomes RateLimitedError: nothing hangs for ever (promise 4)."""
    scene = Scene()
    scene.wire.script = refuse_posts(answer(429, {}, **{"retry-after": "100000"}))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with scene.session() as session:
            with pytest.raises(RateLimitedError):
                await session.submit(fox())
            assert 900 <= loop.time() <= 2000

    run(main)


def test_a_connection_never_made_is_tried_again_then_reported() -> None:
    """Nothing was sent, so sending again is safe; after `connect_patience` the caller is told."""
    scene = Scene()
    scene.wire.script = refuse_posts(TransportError("refused", sent=False))

    async def main() -> None:
        async with scene.session(retry=RetryPolicy(connect_patience=20)) as session:
            with pytest.raises(TransportError, match="refused"):
                await session.submit(fox(), tag="t")
            assert session.statistics().in_flight == 0

    run(main)
    words = scene.journal.of("t")
    assert len(words) > 4
    assert words == ["submitting", "not_sent"] * (len(words) // 2)


def test_an_id_beside_an_error_is_decided_by_one_free_get() -> None:
    """A 500 that names a job which the result knows is an acceptance; otherwise a doubt."""
    scene = Scene()

    def accept_but_say_500(_method: str, path: str, given: Answer) -> Answer:
        return Answer(500, {}, given.body) if "/models/" in path else given

    scene.wire.after = accept_but_say_500

    async def main() -> None:
        async with scene.session() as session:
            job = await session.submit(fox())
            assert isinstance(await job, Succeeded)
            scene.wire.after = lambda _m, _p, given: given
            scene.wire.script = refuse_posts(answer(500, {"request_id": "nowhere-known"}))
            with pytest.raises(SubmissionInDoubtError) as caught:
                await session.submit(fox(2))
            assert caught.value.candidate_id == "nowhere-known"

    run(main)
    assert len(scene.wire.posts) == 2


@pytest.mark.parametrize(
    ("status", "document", "kind"),
    [
        (400, {"error_code": 400002, "error_message": "no balance"}, InsufficientBalanceError),
        (200, {"error_code": 400004, "error_message": "inactive"}, AuthenticationError),
        (401, {}, AuthenticationError),
        (402, {}, InsufficientBalanceError),
    ],
)
def test_the_account_shuts_the_gate_and_a_probe_opens_it(
    status: int, document: object, kind: type[Exception]
) -> None:
    """No balance or a bad token stops submitting; each 30 s one probe; what runs, runs on."""
    scene = Scene()

    async def main() -> None:
        async with scene.session() as session:
            running = await session.submit(fox(1))
            scene.wire.script = refuse_posts(answer(status, document))
            with pytest.raises(kind):
                await session.submit(fox(2))
            for _ in range(5):
                with pytest.raises(SubmittingStoppedError, match="runs on"):
                    await session.submit(fox(3))
            assert len(scene.wire.posts) == 2
            await asyncio.sleep(31)
            with pytest.raises(kind):
                await session.submit(fox(4))
            with pytest.raises(SubmittingStoppedError):
                await session.submit(fox(5))
            scene.wire.script = lambda _m, _p: None
            await asyncio.sleep(31)
            await session.submit(fox(6))
            await session.submit(fox(7))
            assert isinstance(await running.wait(), Succeeded)

    run(main)
    scene.judge()


def test_reopen_lets_submissions_pass_at_once() -> None:
    """`session.reopen()` forgets the account's trouble."""
    scene = Scene()
    scene.wire.script = refuse_posts(answer(402, {}))

    async def main() -> None:
        async with scene.session() as session:
            with pytest.raises(InsufficientBalanceError):
                await session.submit(fox(1))
            scene.wire.script = lambda _m, _p: None
            session.reopen()
            await session.submit(fox(2))

    run(main)


def test_three_doubts_in_a_row_stop_submitting_until_a_person_reopens() -> None:
    """The brake: a gateway that answers 502 to each POST cannot put more than three in doubt."""
    scene = Scene()
    scene.wire.script = refuse_posts(Answer(502, {}, b"<html>Bad Gateway</html>"))

    async def main() -> None:
        async with scene.session() as session:
            for number in range(3):
                with pytest.raises(SubmissionInDoubtError):
                    await session.submit(fox(number))
            for number in range(3, 6):
                with pytest.raises(SubmittingStoppedError):
                    await session.submit(fox(number))
            await asyncio.sleep(3600)
            with pytest.raises(SubmittingStoppedError):
                await session.submit(fox(9))
            assert len(scene.wire.posts) == 3
            assert session.statistics().untracked == 3

    run(main)


@pytest.mark.parametrize(
    ("most", "why"), [(1, "1 submission in doubt"), (2, "2 submissions in doubt in a row")]
)
def test_a_brake_of_another_number_of_doubts_says_which(most: int, why: str) -> None:
    scene = Scene()
    scene.wire.script = refuse_posts(Answer(502, {}, b"<html>Bad Gateway</html>"))

    async def main() -> None:
        async with scene.session(max_in_doubt=most) as session:
            for number in range(most):
                with pytest.raises(SubmissionInDoubtError):
                    await session.submit(fox(number))
        assert [event.reason for event in scene.told(GateChanged)] == [why]

    run(main)


def test_ten_refusals_of_a_kind_stop_submitting_and_an_acceptance_counts_anew() -> None:
    """A broken manifest cannot flood the service; mixed luck is no reason to stop."""
    scene = Scene()
    refusal = refuse_posts(answer(422, {"error_code": 422001, "detail": ["text: too long"]}))

    async def main() -> None:
        async with scene.session(max_in_flight=20) as session:
            for round_ in range(2):
                scene.wire.script = refusal
                for number in range(9):
                    with pytest.raises(RejectedError, match="too long"):
                        await session.submit(fox(100 * round_ + number))
                scene.wire.script = lambda _m, _p: None
                await session.submit(fox(1000 + round_))
            scene.wire.script = refusal
            for number in range(10):
                with pytest.raises(RejectedError):
                    await session.submit(fox(2000 + number))
            with pytest.raises(SubmittingStoppedError, match="too long"):
                await session.submit(fox(3000))

    run(main)


def test_never_loses_what_was_paid_when_the_caller_is_cancelled() -> None:
    """The caller leaves at once; the session reads the id, writes it down, and tries one cancel."""
    scene = Scene(capacity=1, latency=2.0)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with scene.session() as session:
            await session.submit(fox(1))
            began = loop.time()
            with anyio.move_on_after(1.0):
                await session.submit(fox(2), tag="orphan")
            assert loop.time() - began == pytest.approx(1.0)
            await asyncio.sleep(10)
            assert scene.journal.of("orphan")[:2] == ["submitting", "accepted"]

    run(main)
    scene.judge()
    assert len(scene.simulator.books.cancelled) == 1


def test_a_caller_cancelled_while_waiting_for_a_slot_spends_nothing() -> None:
    """Before the POST a cancellation is free: no journal entry, no request, no slot."""
    scene = Scene(capacity=1)

    async def main() -> None:
        async with scene.session(max_in_flight=1) as session:
            await session.submit(fox(1))
            with anyio.move_on_after(1.0):
                await session.submit(fox(2), tag="never")
            assert session.statistics().waiting == 0

    run(main)
    assert scene.journal.of("never") == []
    assert len(scene.wire.posts) == 1


def test_slots_bound_what_is_in_flight_and_posts_under_way() -> None:
    """`max_in_flight` counts tracked jobs; `max_submitting` bounds the POSTs among them."""
    scene = Scene(capacity=100, latency=1.0)
    seen: list[tuple[int, int]] = []

    async def main() -> None:
        async with scene.session(max_in_flight=6, max_submitting=2) as session:

            async def one(number: int) -> None:
                job = await session.submit(fox(number))
                numbers = session.statistics()
                seen.append((numbers.in_flight, numbers.submitting))
                await job

            async with asyncio.TaskGroup() as group:
                for number in range(30):
                    group.create_task(one(number))

    run(main)
    scene.judge()
    assert max(flight for flight, _submitting in seen) == 6
    assert max(submitting for _flight, submitting in seen) <= 2


def test_an_unwritable_journal_before_the_post_means_nothing_was_sent() -> None:
    """`submitting` comes before the first byte: if it fails, there is no POST."""
    scene = Scene(journal=RecordingJournal(broken="submitting"))

    async def main() -> None:
        async with scene.session() as session:
            with pytest.raises(LedgerError, match="nothing was sent"):
                await session.submit(fox())
            assert session.statistics().in_flight == 0

    run(main)
    assert scene.wire.posts == []


def test_an_id_that_cannot_be_written_is_shouted_and_tried_until_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """CRITICAL with the id, no further submission, the job is tracked, the id is written late."""
    scene = Scene(journal=RecordingJournal(broken="accepted", failures=4))

    async def main() -> None:
        async with scene.session() as session:
            job = await session.submit(fox(1), tag="t")
            assert any(
                record.levelno == logging.CRITICAL and job.request_id in record.getMessage()
                for record in caplog.records
            )
            with pytest.raises(SubmittingStoppedError, match=job.request_id):
                await session.submit(fox(2))
            await job

    run(main)
    scene.judge()
    assert "accepted" in scene.journal.of("t")
    assert len(scene.wire.posts) == 1


def test_budget_reserves_settles_and_keeps_what_may_be_billed() -> None:
    """Settled plus reserved plus the estimate never passes the budget; a doubt keeps its money."""
    scene = Scene(price_per_second=0.05)

    async def main() -> None:
        budget = Budget(usd=1.0, price_per_second=0.06)
        async with scene.session(budget=budget, max_in_flight=10) as session:
            first = await session.submit(fox(1))
            assert session.statistics().reserved == pytest.approx(0.30)
            await first
            assert session.statistics().spent == pytest.approx(0.25)
            assert session.statistics().reserved == 0
            scene.wire.script = refuse_posts(Answer(502, {}, b""))
            with pytest.raises(SubmissionInDoubtError):
                await session.submit(fox(2))
            scene.wire.script = refuse_posts(answer(422, {"error_code": 422001}))
            with pytest.raises(RejectedError):
                await session.submit(fox(3))
            assert session.statistics().reserved == pytest.approx(0.30)
            scene.wire.script = lambda _m, _p: None
            await session.submit(fox(4))
            with pytest.raises(BudgetExceededError, match="raise the budget"):
                await session.submit(fox(5))

    run(main)


def test_a_budget_without_a_price_refuses() -> None:
    """What cannot be estimated cannot be held within a budget."""
    scene = Scene()

    async def main() -> None:
        async with scene.session(budget=Budget(usd=1.0)) as session:
            with pytest.raises(BudgetExceededError, match="no price is known"):
                await session.submit(fox(1))

    run(main)
    assert scene.wire.posts == []


def test_generate_cancelled_tries_one_cancel() -> None:
    """`generate` owns its job: cancelled while it is queued, the server is asked once."""
    scene = Scene(capacity=1)

    async def main() -> None:
        async with scene.session() as session:
            first = await session.submit(fox(1))
            with anyio.move_on_after(3):
                await session.generate(fox(2))
            await first
            await asyncio.sleep(20)

    run(main)
    scene.judge()
    assert len(scene.simulator.books.cancelled) == 1
    assert sum(path.endswith("/cancel") for _m, path in scene.wire.sent) == 1


def test_bad_callbacks_harm_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """Errors of `on_event` and `on_update` are logged once; the video comes (promise 5)."""
    scene = Scene()

    def bad(_value: object) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        session = scene.session()
        object.__setattr__(session._settings, "on_event", bad)
        async with session:
            await session.generate(fox(1), on_update=bad)

    run(main)
    scene.judge()
    texts = [record.getMessage() for record in caplog.records]
    assert sum("on_event failed" in text for text in texts) == 1
    assert sum("on_update failed" in text for text in texts) == 1


def test_map_turns_every_end_into_a_value_and_raises_when_submitting_stops() -> None:
    """Failures and doubts are outcomes; after the brake what runs is yielded, then it raises."""
    scene = Scene(faults=["failed=0.3"])
    outcomes: list[object] = []

    async def main() -> None:
        async with scene.session() as session:
            async with session.map(fox(n) for n in range(10)) as results:
                async for done in results:
                    assert done.key == done.index
                    outcomes.append(done.outcome)
            assert len(outcomes) == 10
            scene.wire.script = refuse_posts(Answer(502, {}, b""))
            stopped: list[object] = []
            with pytest.raises(SubmittingStoppedError):
                async with session.map((fox(n) for n in range(50, 90)), key=repr) as rest:
                    async for ended in rest:
                        stopped.append(ended.outcome)
            assert 3 <= len(stopped) <= 3 + 8
            assert all(isinstance(outcome, InDoubt) for outcome in stopped)

    run(main)
    scene.judge()
    assert {type(outcome).__name__ for outcome in outcomes} == {"Succeeded", "Failed"}


def test_map_is_lazy_and_ordered_on_request() -> None:
    """The input is read one ahead of the pool; `ordered` yields in the input's order."""
    scene = Scene(capacity=3)
    pulled: list[int] = []

    def requests() -> Any:
        for number in range(20):
            pulled.append(number)
            yield fox(number, duration=2 + number % 11)

    async def main() -> None:
        async with scene.session(max_in_flight=3) as session:
            async with session.map(requests(), ordered=True) as results:
                first = await anext(results)
                assert first.index == 0
                assert len(pulled) <= 3 + 1 + 3
                assert [done.index async for done in results] == list(range(1, 20))

    run(main)
    scene.judge()


def test_map_takes_an_async_input_and_passes_its_error_on() -> None:
    """What the input raises comes out after all that ran; nothing paid is swallowed."""
    scene = Scene()
    seen: list[int] = []

    async def requests() -> Any:
        for number in range(5):
            await asyncio.sleep(1)
            yield fox(number)
        raise LookupError("row 6 is bad")

    async def main() -> None:
        async with scene.session() as session:
            with pytest.raises(LookupError, match="row 6"):
                async with session.map(requests()) as results:
                    async for done in results:
                        seen.append(done.index)

    run(main)
    scene.judge()
    assert sorted(seen) == list(range(5))


def test_submit_answers_in_the_order_of_the_queue() -> None:
    """Slots are granted in the order in which they were asked for."""
    scene = Scene(capacity=1)
    order: list[int] = []

    async def main() -> None:
        async with scene.session(max_in_flight=1) as session:

            async def one(number: int) -> None:
                job: Job = await session.submit(fox(number))
                order.append(number)
                assert isinstance(job.status, InQueue)
                await job

            async with asyncio.TaskGroup() as group:
                for number in range(6):
                    group.create_task(one(number))

    run(main)
    assert order == list(range(6))
