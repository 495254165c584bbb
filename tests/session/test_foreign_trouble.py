"""Trouble that others bring in: CancelledErrors nobody asked for, journals that hang, wrong loops.

A CancelledError that comes out of something awaited is an error; only a task that was itself
cancelled is cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from seedance_async import (
    Budget,
    FixedPolling,
    InsufficientBalanceError,
    JobSubmitted,
    LedgerError,
    LimitChanged,
    SessionClosedError,
    StatusChanged,
    SubmissionInDoubtError,
    SubmittingStoppedError,
    Succeeded,
)
from seedance_async.bodies import Answer

from .scene import RecordingJournal, Scene, fox, run


@attrs.define
class ForeignJournal(RecordingJournal):
    """Raises a CancelledError of its own, or hangs, at one word."""

    cancelled_at: str | None = None
    hangs_at: str | None = None

    async def _write(self, word: str, tag: str, value: object) -> None:
        if word == self.cancelled_at:
            self.cancelled_at = None
            raise asyncio.CancelledError
        if word == self.hangs_at:
            await asyncio.Event().wait()
        await RecordingJournal._write(self, word, tag, value)


def posts(status: int, body: bytes = b"{}") -> Any:
    """Return a script that answers every submission so."""
    return lambda _method, path: Answer(status, {}, body) if "/models/" in path else None


@pytest.mark.parametrize("word", ["submitting", "accepted", "not_sent", "in_doubt", "finished"])
def test_never_loses_what_was_paid_to_a_journal_that_was_cancelled(word: str) -> None:
    """The caller gets a job or a typed error, never a cancellation; slots and money add up."""
    journal = ForeignJournal(cancelled_at=word)
    scene = Scene(journal=journal)
    if word == "not_sent":
        scene.wire.script = posts(429)
    if word == "in_doubt":
        scene.wire.script = posts(502)

    async def main() -> None:
        budget = Budget(usd=10, price_per_second=0.05)
        async with scene.session(budget=budget) as session:
            if word in ("submitting", "not_sent"):
                with pytest.raises(LedgerError):
                    await session.submit(fox())
                assert session.statistics().reserved == 0
            elif word == "in_doubt":
                with pytest.raises(SubmissionInDoubtError):
                    await session.submit(fox())
                assert session.statistics().untracked == 1
            else:
                job = await session.submit(fox())
                assert isinstance(await job.wait(), Succeeded)
                await asyncio.sleep(60)
                assert journal.told("accepted") == [job.request_id]
            assert session.statistics().in_flight == 0

    run(main)
    scene.judge()


@pytest.mark.parametrize("kind", [JobSubmitted, StatusChanged, LimitChanged])
def test_one_jobs_trouble_is_its_own_when_a_callback_raises_a_cancellation(kind: type) -> None:
    """A synchronous callback cannot deliver our cancellation: it is logged like any error."""
    scene = Scene()

    def callback(event: object) -> None:
        if isinstance(event, kind):
            raise asyncio.CancelledError

    async def main() -> None:
        session = scene.session(max_in_flight=2)
        session._settings = attrs.evolve(session._settings, on_event=callback)
        async with session:
            session.set_max_in_flight(3)
            video = await session.generate(fox(), on_update=callback)
            assert isinstance(video, Succeeded)
            assert session.statistics().in_flight == 0

    run(main)
    scene.judge()
    assert not any(path.endswith("/cancel") for _method, path in scene.wire.sent)


def test_a_slip_after_the_post_is_a_doubt_and_no_row_vanishes() -> None:
    """A transport that breaks in an unforeseen way while the id is looked up: in doubt, told."""
    scene = Scene()

    def script(_method: str, path: str) -> Any:
        if "/models/" in path:
            return Answer(500, {}, b'{"request_id": "maybe"}')
        return RuntimeError("Session is closed") if "/maybe/" in path else None

    scene.wire.script = script

    async def main() -> None:
        async with scene.session() as session:
            with pytest.raises(SubmissionInDoubtError):
                await session.submit(fox(1))
            scene.wire.script = lambda _m, path: ZeroDivisionError() if "/models/" in path else None
            async with session.map([fox(2)]) as results:
                kinds = [type(done.outcome).__name__ async for done in results]
            assert kinds == ["InDoubt"]

    run(main)
    scene.judge()
    assert len(scene.journal.told("in_doubt")) == 2


def test_a_map_never_ends_silently() -> None:
    """An input that is cancelled, or a session that closes, ends the iteration with an error."""
    scene = Scene()

    async def cancelled_input() -> AsyncIterator[Any]:
        yield fox(1)
        raise asyncio.CancelledError

    async def endless_input() -> AsyncIterator[Any]:
        yield fox(2)
        await asyncio.Event().wait()

    async def consume(results: Any, seen: list[int]) -> None:
        async with results:
            async for done in results:
                seen.append(done.index)

    async def main() -> None:
        seen: list[int] = []
        async with scene.session() as session:
            with pytest.raises(RuntimeError, match="input of the map was cancelled"):
                await consume(session.map(cancelled_input()), seen)
            consumer = asyncio.ensure_future(consume(session.map(endless_input()), seen))
            await asyncio.sleep(1)
        assert asyncio.get_running_loop().time() < 300, "a clean exit waits for jobs, not inputs"
        with pytest.raises(SessionClosedError):
            await consumer
        assert seen == [0, 0]

    run(main)
    scene.judge()


@pytest.mark.parametrize("word", ["submitting", "accepted", "finished"])
def test_never_hangs_on_a_journal_that_does(word: str) -> None:
    """A word to the journal takes a minute at most; leaving stays possible."""
    scene = Scene(journal=ForeignJournal(hangs_at=word))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(LookupError):
            async with scene.session() as session:
                task = asyncio.ensure_future(session.submit(fox()))
                await asyncio.sleep(5)
                raise LookupError
        assert loop.time() < 400
        await asyncio.gather(task, return_exceptions=True)

    run(main)


def test_downloads_go_on_during_a_clean_exit(tmp_path: Path) -> None:
    """Tasks that generate and download finish both although the body has left."""
    scene = Scene()

    async def main() -> None:
        async with scene.session() as session:

            async def one(number: int) -> None:
                video = await session.generate(fox(number))
                await session.download(video, tmp_path / f"{number}.mp4")

            tasks = [asyncio.ensure_future(one(number)) for number in range(3)]
            await asyncio.sleep(1)
        await asyncio.gather(*tasks)

    run(main)
    scene.judge()
    assert len(list(tmp_path.glob("*.mp4"))) == 3


def test_a_session_belongs_to_its_loop() -> None:
    """Closed in another loop it says so at once, instead of hanging."""
    scene = Scene()
    session = scene.session()

    async def open_and_submit() -> None:
        await session.open()
        await session.submit(fox())

    async def close() -> None:
        with pytest.raises(RuntimeError, match="event loop that opened it"):
            await session.aclose()
        await session.aclose()

    run(open_and_submit)
    run(close)


def test_one_id_is_one_job_though_it_comes_twice() -> None:
    """Attached while its acceptance is written down: one handle, one slot, one poller, one end."""
    scene = Scene(journal=RecordingJournal(delay=2.0))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with scene.session(polling=FixedPolling(5)) as session:
            task = asyncio.ensure_future(session.submit(fox(), tag="t"))
            await asyncio.sleep(3)
            (entry,) = scene.simulator.books.accepted
            attached = session.attach(entry.request_id)
            since = loop.time()
            job = await task
            assert job is attached
            assert job.model_id == fox().model_id
            assert session.statistics().in_flight == 1
            await job
            assert session.statistics().polls <= (loop.time() - since) / 5 + 1

    run(main)
    scene.judge()
    assert len(scene.journal.told("finished")) == 1


def test_cancels_keep_to_the_rate_and_a_detached_job_is_not_polled() -> None:
    """`requests_per_second` bounds cancels too; a slow journal at the exit makes no poll storm."""
    scene = Scene(capacity=1, journal=RecordingJournal(delay=20.0), faults=["stuck=1"])

    async def main() -> None:
        async with scene.session(max_in_flight=30, job_timeout=60, exit_timeout=50) as session:
            await session.submit(fox(0))
        assert sum("/result" in path for _method, path in scene.wire.sent) < 60
        before = len(scene.wire.sent)
        loop = asyncio.get_running_loop()
        async with scene.session(requests_per_second=1, exit_timeout=0.0) as session:
            began = loop.time()
            jobs = [session.attach(f"id-{number}") for number in range(20)]
            await asyncio.gather(*(job.cancel() for job in jobs))
            assert len(scene.wire.sent) - before <= loop.time() - began + 1

    run(main)


def test_who_waits_out_a_pause_hears_of_the_end() -> None:
    """A submission that naps through a long 429 is told at once that the session closes."""
    scene = Scene()
    limited = Answer(429, {"retry-after": "800"}, b"{}")
    scene.wire.script = lambda _m, path: limited if "/models/" in path else None

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with scene.session() as session:
            task = asyncio.ensure_future(session.submit(fox()))
            await asyncio.sleep(5)
        with pytest.raises(SessionClosedError):
            await task
        assert loop.time() < 10

    run(main)
    scene.judge()


def test_only_what_was_sent_after_the_gate_shut_opens_it() -> None:
    """An acceptance of a POST that left before says nothing about the account now."""
    scene = Scene(latency=0.05)

    async def main() -> None:
        async with scene.session() as session:
            scene.wire._latency = 5.0
            slow = asyncio.ensure_future(session.submit(fox(1)))
            await asyncio.sleep(1)
            scene.wire._latency = 0.05
            scene.wire.script = posts(402)
            with pytest.raises(InsufficientBalanceError):
                await session.submit(fox(2))
            await slow
            with pytest.raises(SubmittingStoppedError):
                await session.submit(fox(3))

    run(main)
    scene.judge()
