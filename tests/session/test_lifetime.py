"""The life of a session: opened and closed anywhere, leaving nothing."""

from __future__ import annotations

import asyncio
import gc
import logging
import warnings

import pytest

from seedance_async import (
    JobTimeoutError,
    Session,
    SessionClosedError,
    Succeeded,
    TimedOut,
)

from .scene import Scene, fox, run


def test_open_and_aclose_from_different_tasks() -> None:
    """Notebook cells, bots and fixtures open in one task, use in another, close in a third."""
    scene = Scene()

    async def main() -> None:
        session = scene.session()
        await asyncio.ensure_future(session.open())
        video = await asyncio.ensure_future(session.generate(fox()))
        assert isinstance(video, Succeeded)
        await asyncio.ensure_future(session.aclose())
        await session.aclose()
        assert len(asyncio.all_tasks()) == 1

    run(main)
    scene.judge()


def test_what_the_body_raised_comes_out_as_it_was_raised() -> None:
    """No ExceptionGroup reaches the user, and the error is the very object."""
    scene = Scene(capacity=1)
    error = LookupError("mine")

    async def main() -> None:
        with pytest.raises(LookupError) as caught:
            async with scene.session() as session:
                await session.submit(fox(1))
                await session.submit(fox(2))
                raise error
        assert caught.value is error

    run(main)
    scene.judge()
    assert len(scene.simulator.books.cancelled) >= 1


def test_a_clean_exit_waits_for_every_job_and_logs_what_nobody_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A forgotten video is not lost: its URL is in the log."""
    scene = Scene()

    async def main() -> None:
        async with scene.session() as session:
            await session.submit(fox(1))
            await session.submit(fox(2))

    run(main)
    scene.judge()
    assert len(scene.journal.told("finished")) == 2
    assert sum("nobody read it: http" in record.getMessage() for record in caplog.records) == 2


def test_exit_timeout_detaches() -> None:
    """After `exit_timeout` the jobs run on, and those who wait are told so."""
    scene = Scene(faults=["stuck=1"])

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with scene.session(exit_timeout=5) as session:
            job = await session.submit(fox())
            waiter = asyncio.ensure_future(job.wait())
            began = loop.time()
        assert loop.time() - began == pytest.approx(5, abs=0.5)
        assert isinstance(await waiter, TimedOut)
        with pytest.raises(JobTimeoutError, match="exit_timeout"):
            await job

    run(main)
    scene.judge()
    assert scene.journal.told("accepted")
    assert [type(outcome) for outcome in scene.journal.told("finished")] == [TimedOut]


def test_attached_jobs_are_never_cancelled_by_an_abort() -> None:
    """Only what this session submitted is cancelled when it is left by an exception."""
    scene = Scene(capacity=1)

    async def main() -> None:
        async with scene.session() as owner:
            await owner.submit(fox(1))
            queued = await owner.submit(fox(2))
            with pytest.raises(LookupError):
                async with scene.session() as guest:
                    guest.attach(queued.request_id)
                    raise LookupError
            assert isinstance(await queued.wait(), Succeeded)

    run(main)
    assert scene.simulator.books.cancelled == ()


def test_an_abort_is_bounded_when_the_service_hangs() -> None:
    """All cancels together get 10 s."""
    scene = Scene(capacity=1)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(LookupError):
            async with scene.session(max_in_flight=9) as session:
                for number in range(9):
                    await session.submit(fox(number))
                scene.wire._latency = 10_000.0
                began = loop.time()
                raise LookupError
        assert loop.time() - began <= 16

    run(main)
    scene.judge()


def test_leaving_waits_for_posts_under_way() -> None:
    """A POST that outlives its caller is read to its end before the session closes."""
    scene = Scene(latency=40.0)

    async def main() -> None:
        with pytest.raises(LookupError):
            async with scene.session() as session:
                task = asyncio.ensure_future(session.submit(fox()))
                await asyncio.sleep(1)
                task.cancel()
                raise LookupError

    run(main)
    scene.judge()
    assert len(scene.journal.told("accepted")) == 1


def test_a_closed_session_says_so() -> None:
    """Every door tells how a session is used; those who wait for a slot are told too."""
    scene = Scene(capacity=1)

    async def main() -> None:
        session = scene.session(max_in_flight=1)
        with pytest.raises(SessionClosedError, match="async with"):
            await session.submit(fox())
        async with session:
            await session.submit(fox(1))
            waiting = asyncio.ensure_future(session.submit(fox(2)))
            await asyncio.sleep(1)
        with pytest.raises(SessionClosedError):
            await waiting
        with pytest.raises(SessionClosedError):
            session.attach("an-id")
        assert session.statistics().submitted == 1
        with pytest.raises(RuntimeError, match="opened once"):
            await session.open()

    run(main)


def test_an_unclosed_session_warns() -> None:
    """ResourceWarning, as files and sockets do."""
    scene = Scene()

    async def main() -> None:
        session = Session(transport=scene.wire)
        await session.open()
        state = session._lifetime.state
        assert state is not None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del session
            gc.collect()
        assert any(w.category is ResourceWarning and "unclosed" in str(w.message) for w in caught)
        await state.supervisor.aclose()

    run(main)


def test_settings_are_checked_at_once() -> None:
    """A wrong setting is an error before anything is opened, and names itself."""
    for name, value in [
        ("max_in_flight", 0),
        ("max_in_flight", True),
        ("max_submitting", 1.5),
        ("job_timeout", -1),
        ("requests_per_second", 0),
        ("on_abort", "explode"),
    ]:
        with pytest.raises(ValueError, match=name):
            Session("t", **{name: value})  # type: ignore[arg-type]


def test_without_a_journal_the_log_at_info_names_each_id(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Promise 2's last resort."""
    scene = Scene()

    async def main() -> None:
        async with Session(transport=scene.wire) as session:
            job = await session.submit(fox())
            assert any(job.request_id in record.getMessage() for record in caplog.records)
            await job

    with caplog.at_level(logging.INFO, "seedance_async"):
        run(main)
