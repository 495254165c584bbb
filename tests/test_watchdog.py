"""Time limits with one timer: they strike as `asyncio.timeout` does, and cost less."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from seedance_async.simulator.virtualtime import run
from seedance_async.watchdog import Watchdog


def test_a_block_that_takes_too_long_ends_with_a_timeout_error() -> None:
    """At its very deadline, and without a trace of a cancellation in the task."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(TimeoutError):
            with Watchdog().limit(30):
                await asyncio.sleep(100)
        assert loop.time() == 30
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    run(main)


def test_a_block_in_time_is_left_alone_afterwards() -> None:
    """Neither the task nor a later block hears of a limit that was left."""

    async def main() -> None:
        watchdog = Watchdog()
        for _ in range(5):
            with watchdog.limit(10):
                await asyncio.sleep(8)
        await asyncio.sleep(100)

    run(main)


def test_each_of_many_blocks_ends_at_its_own_time() -> None:
    """However long they are, in whatever order they were begun and left."""

    async def wait(watchdog: Watchdog, begin: float, limit: float, ended: list[float]) -> None:
        await asyncio.sleep(begin)
        try:
            with watchdog.limit(limit):
                await asyncio.sleep(5)
        except TimeoutError:
            ended.append(asyncio.get_running_loop().time() - begin - limit)

    async def main() -> None:
        watchdog = Watchdog()
        ended: list[float] = []
        cases = [(begin / 10, limit) for begin in range(50) for limit in (1.0, 7.0, 3.0)]
        async with asyncio.TaskGroup() as group:
            for begin, limit in cases:
                group.create_task(wait(watchdog, begin, limit, ended))
        assert ended == pytest.approx([0.0] * 100)

    run(main)


def test_blocks_of_one_length_share_a_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand limits that are never reached ask the loop for one timer."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        timers: list[float] = []
        ask = loop.call_at

        def asked(when: float, act: Callable[[], object]) -> asyncio.TimerHandle:
            timers.append(when)
            return ask(when, act)

        monkeypatch.setattr(loop, "call_at", asked)
        watchdog = Watchdog()
        for _ in range(1000):
            with watchdog.limit(30):
                pass
        assert len(timers) == 1

    run(main)


@pytest.mark.parametrize("at", [5, 10], ids=["before the strike", "together with it"])
def test_a_cancellation_by_somebody_else_goes_through(at: int) -> None:
    """Even one that comes in the same turn as the strike: it must not pass for a timeout."""

    async def work(watchdog: Watchdog) -> None:
        with watchdog.limit(10):
            await asyncio.sleep(100)

    async def main() -> None:
        task = asyncio.create_task(work(Watchdog()))
        asyncio.get_running_loop().call_at(at, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    run(main)


def test_an_outer_limit_ends_the_inner_block() -> None:
    """The outer one's TimeoutError comes out of the outer block, not of the inner."""

    async def main() -> None:
        watchdog = Watchdog()
        inner = False
        with pytest.raises(TimeoutError):
            with watchdog.limit(5):
                try:
                    with watchdog.limit(50):
                        await asyncio.sleep(100)
                except TimeoutError:
                    inner = True
        assert not inner
        assert asyncio.get_running_loop().time() == 5

    run(main)


def test_with_two_strikes_a_clock_that_jumped_leaves_the_second_half() -> None:
    """A computer that slept wakes with the time over: the work still gets half of it."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(TimeoutError):
            with Watchdog().limit(30, strikes=2):
                await asyncio.sleep(1)
                loop._virtual_now += 1000  # type: ignore[attr-defined]
                await asyncio.sleep(25)
                await asyncio.sleep(25)
        assert loop.time() == pytest.approx(1031)

    run(main)


def test_closed_it_has_no_timer_left() -> None:
    """A loop that ends is not kept busy by limits that were left long ago."""

    async def main() -> None:
        watchdog = Watchdog()
        with watchdog.limit(1000):
            pass
        watchdog.close()
        loop = asyncio.get_running_loop()
        assert all(timer.cancelled() for timer in loop._scheduled)  # type: ignore[attr-defined]

    run(main)


def test_a_length_of_time_is_forgotten_once_nobody_waits_for_it() -> None:
    """A program that names another length for each wait does not grow; one that waits is kept."""

    async def main() -> None:
        watchdog = Watchdog()
        with watchdog.limit(1000):
            for number in range(100):
                with watchdog.limit(1 + number / 100):
                    await asyncio.sleep(0)
            await asyncio.sleep(3)
            assert list(watchdog._queues) == [1000]
        await asyncio.sleep(1000)
        assert not watchdog._queues

    run(main)


@pytest.mark.parametrize("closed", [False, True], ids=["forgotten", "closed"])
def test_a_limit_strikes_though_its_length_went_before_its_block_began(closed: bool) -> None:
    """Between `limit` and `with` the last other block may be left, or the watchdog be closed."""

    async def main() -> None:
        watchdog = Watchdog()
        limit = watchdog.limit(10)
        with watchdog.limit(10):
            pass
        if closed:
            watchdog.close()
        await asyncio.sleep(20)
        with pytest.raises(TimeoutError):
            with limit:
                await asyncio.sleep(100)
        assert asyncio.get_running_loop().time() == 30
        assert not watchdog._queues

    run(main)
