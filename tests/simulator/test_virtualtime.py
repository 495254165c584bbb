"""The loop whose clock jumps, and when it must not."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine

import anyio
import anyio.to_thread
import pytest

from seedance_async.simulator import InProcess, Simulator, VirtualTimeLoop, run

from .asking import FAST, HEADERS, read

WORK = 0.03
"""Real seconds that threads work in these tests: virtual time must stand still meanwhile."""


def current_loop() -> VirtualTimeLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    return loop


def test_a_day_passes_at_once() -> None:
    """Sleeping costs no real time, and the clock is exact."""

    async def main() -> float:
        await asyncio.sleep(86_400)
        return current_loop().time()

    begin = time.monotonic()
    assert run(main, start=100.0) == 86_500
    assert time.monotonic() - begin < 60


def test_timers_fire_in_order_and_timeouts_strike_in_virtual_time() -> None:
    """asyncio.timeout and anyio's deadlines follow the loop's clock."""
    seen: list[tuple[str, float]] = []

    async def wait(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append((name, current_loop().time()))

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for name, seconds in (("c", 30.5), ("a", 0.001), ("b", 7.0)):
                group.create_task(wait(name, seconds))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1800):
                await asyncio.Event().wait()
        with anyio.move_on_after(200) as scope:
            await anyio.sleep_forever()
        assert scope.cancelled_caught
        assert current_loop().time() == pytest.approx(30.5 + 1800 + 200)

    run(main)
    assert seen == [("a", 0.001), ("b", 7.0), ("c", 30.5)]


async def by_executor(work: Callable[[], None]) -> None:
    await asyncio.get_running_loop().run_in_executor(None, work)


async def by_hold(work: Callable[[], None]) -> None:
    done = asyncio.Event()
    loop = current_loop()

    def target() -> None:
        work()
        loop.call_soon_threadsafe(done.set)

    with loop.hold_time():
        threading.Thread(target=target).start()
        await done.wait()


async def by_condition(work: Callable[[], None]) -> None:
    done, loop = asyncio.Event(), current_loop()

    def target() -> None:
        work()
        loop.call_soon_threadsafe(done.set)

    thread = threading.Thread(target=target)
    thread.start()
    loop.hold_while(thread.is_alive)
    await done.wait()


WAYS = [asyncio.to_thread, anyio.to_thread.run_sync, by_executor, by_hold, by_condition]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.__module__}.{way.__name__}")
def test_work_in_threads_holds_time(
    way: Callable[[Callable[[], None]], Coroutine[object, object, None]],
) -> None:
    """A commit takes no virtual time, so no timeout around it strikes. (Sleeps for real: the
    thread's work is what is tested.)"""

    async def main() -> None:
        loop = current_loop()
        for number in range(5):
            async with asyncio.timeout(0.001):
                await way(lambda: time.sleep(WORK))
            assert loop.time() == number * 10
            await asyncio.sleep(10)

    run(main)


def test_many_threads_and_timers_at_once() -> None:
    """Tasks that mix sleeping and thread work end at the times that sleeping alone would give.
    (The threads sleep for real, a millisecond each.)"""

    async def one(number: int) -> float:
        for _ in range(5):
            await asyncio.sleep(number)
            await anyio.to_thread.run_sync(time.sleep, 0.001)
            await asyncio.to_thread(time.sleep, 0.001)
        return current_loop().time()

    async def main() -> list[float]:
        return await asyncio.gather(*(one(number) for number in range(1, 21)))

    ends = run(main)
    # While any thread works time stands still for all, so nobody is late.
    assert ends == [pytest.approx(5 * number) for number in range(1, 21)]


def test_a_cancelled_wait_for_a_thread_lets_time_go_on() -> None:
    """Whoever no longer waits for a thread holds no time. (Sleeps for real in the thread.)"""

    async def main() -> None:
        task = asyncio.create_task(asyncio.to_thread(time.sleep, WORK))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(3600)
        assert not current_loop().held

    run(main)


def test_closing_waits_for_threads_in_real_time() -> None:
    """The five minutes that asyncio gives its threads at the end (from Python 3.12 on) do not
    pass at once: that would warn, and warnings are errors here. (Sleeps for real.)"""

    async def main() -> None:
        task = asyncio.create_task(asyncio.to_thread(time.sleep, WORK))
        await asyncio.sleep(0)
        task.cancel()

    run(main)


def test_a_wait_for_nothing_is_an_error_not_a_hang() -> None:
    """No timer, no thread, no event: the loop gives up after its patience, in real time."""
    loop = VirtualTimeLoop(patience=0.01)
    with (
        pytest.raises(RuntimeError, match="virtual time stands still"),
        asyncio.Runner(loop_factory=lambda: loop) as runner,
    ):
        runner.run(asyncio.Event().wait())


def test_a_thread_that_nobody_told_of_still_wakes_the_loop() -> None:
    """Without timers the loop waits in real time. (The thread sleeps for real.)"""

    async def main() -> None:
        done, loop = asyncio.Event(), current_loop()
        timer = threading.Timer(WORK, lambda: loop.call_soon_threadsafe(done.set))
        timer.start()
        await done.wait()
        assert loop.time() == 0

    run(main)


def test_a_night_of_a_thousand_jobs_passes_in_about_a_second() -> None:
    """Twelve hours of queueing with 50 in flight: real seconds, virtual hours. (Measures real
    time; the bound is ten times what a slow machine needs.)"""
    simulator = Simulator(capacity=1)
    wire = InProcess(simulator)

    async def one(number: int, slots: asyncio.Semaphore) -> str:
        async with slots:
            body = f'{{"text": "fox {number}", "resolution": "1080p"}}'.encode()
            reply = await wire.exchange("POST", f"/v1/models/{FAST}", HEADERS, body)
            target = f"/v1/requests/{read(reply)['request_id']}/result"
            while True:
                document = read(await wire.exchange("GET", target, HEADERS))
                if document["status"] == "completed":
                    return str(document["finished_at"])
                await asyncio.sleep(60)

    async def main() -> None:
        slots = asyncio.Semaphore(50)
        ends = await asyncio.gather(*(one(number, slots) for number in range(1000)))
        assert len(set(ends)) == 1000

    begin = time.monotonic()

    async def timed() -> float:
        await main()
        return asyncio.get_running_loop().time()

    assert run(timed) > 12 * 3600
    assert time.monotonic() - begin < 120  # real: a night of 1,000 jobs would take hours
    assert len(simulator.books.accepted) == 1000
    assert not simulator.books.paid_twice()
