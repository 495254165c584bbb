"""The supervisor and its two edges: no task is left alone, no work is left half-done."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import Callable
from contextvars import ContextVar

import anyio
import anyio.lowlevel
import pytest

from seedance_async.simulator.virtualtime import run
from seedance_async.supervisor import Supervisor, in_thread, see_through


def later(seconds: float, act: Callable[[asyncio.Future[str]], object]) -> asyncio.Future[str]:
    """Return a future upon which `act` is called after so many seconds."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[str] = loop.create_future()
    loop.call_later(seconds, act, future)
    return future


def answer(future: asyncio.Future[str]) -> None:
    future.set_result("done")


def fail(future: asyncio.Future[str]) -> None:
    future.set_exception(LookupError("broken"))


# --- see_through ---------------------------------------------------------------------------


def test_see_through_gives_what_the_future_gives() -> None:
    """A result, an exception, a cancellation of the future itself; at once if it is over."""

    async def main() -> None:
        assert await see_through(later(1, answer)) == "done"
        with pytest.raises(LookupError, match="broken"):
            await see_through(later(1, fail))
        with pytest.raises(asyncio.CancelledError):
            await see_through(later(1, lambda future: future.cancel()))
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0, "it was the future that was cancelled, not its waiter"
        over = later(0, answer)
        await over
        with pytest.raises(StopIteration, match="done"):
            see_through(over).__await__().__next__()

    run(main)


@pytest.mark.parametrize("times", [1, 2, 10])
@pytest.mark.parametrize("act", [answer, fail])
def test_a_caller_cancelled_again_and_again_stays_to_the_end(
    times: int, act: Callable[[asyncio.Future[str]], object]
) -> None:
    """Native cancellations are counted out one by one, told each time, and passed on afterwards."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        told: list[float] = []
        future = later(100, act)
        task = asyncio.ensure_future(see_through(future, lambda: told.append(loop.time())))
        for second in range(1, times + 1):
            loop.call_later(second, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert future.done()
        assert loop.time() == 100
        assert told == list(range(1, times + 1))

    run(main)


def test_on_cancel_can_make_the_end_come_sooner() -> None:
    """An exit is told to hurry, and is still awaited."""

    async def main() -> None:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        task = asyncio.ensure_future(see_through(future, lambda: answer(future)))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.get_running_loop().time() == 1

    run(main)


def test_an_anyio_scope_is_obeyed_at_the_first_step_after_the_end() -> None:
    """A shield holds anyio back meanwhile: neither a busy loop nor a lost result."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        told: list[str] = []
        with anyio.move_on_after(1) as scope:
            told.append(await see_through(later(5, answer), lambda: told.append("cancelled")))
            await anyio.lowlevel.checkpoint()
            told.append("too far")
        assert scope.cancelled_caught
        assert told == ["done"]
        assert loop.time() == 5

    run(main)


def test_an_asyncio_timeout_strikes_after_the_end() -> None:
    """`asyncio.timeout` cancels natively: the work ends first, then TimeoutError comes out."""

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await see_through(later(5, answer))
        assert asyncio.get_running_loop().time() == 5

    run(main)


def test_an_error_that_a_cancelled_caller_never_sees_is_not_reported_as_forgotten(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """asyncio logs exceptions that nobody retrieved; this one was taken note of."""

    async def main() -> None:
        task = asyncio.ensure_future(see_through(later(5, fail)))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait({task})
        del task
        gc.collect()

    run(main)
    assert not caplog.records


# --- in_thread -----------------------------------------------------------------------------


def test_in_thread_gives_results_and_errors_from_another_thread() -> None:
    """Blocking work does not run in the loop's thread."""

    async def main() -> None:
        assert await in_thread(threading.get_ident) != threading.get_ident()
        assert await in_thread(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await in_thread(divmod, 7, 0)

    run(main)


def test_work_in_a_thread_is_over_when_its_cancelled_caller_goes_on() -> None:
    """A commit under way is awaited: whoever was cancelled does not race with it."""
    begun, go_on = threading.Event(), threading.Event()
    written: list[str] = []

    def write() -> None:
        begun.set()
        assert go_on.wait(10)
        written.append("line")

    async def main() -> None:
        task = asyncio.ensure_future(in_thread(write))
        while not begun.is_set():
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert written == ["line"]

    run(main)


# --- Supervisor ----------------------------------------------------------------------------


def test_tasks_are_owned_until_they_end() -> None:
    """It counts them, names them, and `idle` waits for the last."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        supervisor = Supervisor()
        await supervisor.idle()
        tasks = [
            supervisor.start(asyncio.sleep(number), name=f"job {number}") for number in range(1, 4)
        ]
        assert [task.get_name() for task in tasks] == ["job 1", "job 2", "job 3"]
        assert supervisor.tasks == 3
        await supervisor.idle()
        assert loop.time() == 3
        assert supervisor.tasks == 0
        await supervisor.aclose()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main)


def test_an_error_in_a_task_is_logged_and_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """No ExceptionGroup and no cancelled sibling: a slip is our bug, with its traceback."""

    async def slip() -> None:
        raise ZeroDivisionError("a slip")

    async def main() -> None:
        supervisor = Supervisor()
        sibling = supervisor.start(asyncio.sleep(5), name="sibling")
        supervisor.start(slip(), name="broken job")
        await supervisor.idle()
        assert sibling.done()
        assert not sibling.cancelled()
        await supervisor.aclose()

    run(main)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "broken job" in record.getMessage()
    assert "report" in record.getMessage()
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ZeroDivisionError)


def test_aclose_cancels_what_is_left_and_waits_for_its_last_step() -> None:
    """Also for a task that needs several turns to end, and for one that it starts meanwhile."""
    steps: list[str] = []

    async def main() -> None:
        supervisor = Supervisor()

        async def last_words() -> None:
            try:
                await asyncio.sleep(1000)
            finally:
                await asyncio.sleep(1)
                steps.append("last words")

        async def slow_to_end() -> None:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                for turn in range(3):
                    await asyncio.sleep(1)
                    steps.append(f"turn {turn}")
                supervisor.start(last_words(), name="late")
                await asyncio.sleep(1)
                steps.append("ended")

        supervisor.start(slow_to_end(), name="slow")
        await asyncio.sleep(1)
        await supervisor.aclose()
        assert supervisor.tasks == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await supervisor.aclose()

    run(main)
    assert steps == ["turn 0", "turn 1", "turn 2", "ended", "last words"]


def test_a_cancelled_aclose_leaves_the_rest_to_the_supervisor() -> None:
    """Whoever closes may go; what was cancelled is still awaited."""
    ended: list[str] = []

    async def stubborn() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(5)
            ended.append("stubborn")

    async def main() -> None:
        supervisor = Supervisor()
        supervisor.start(stubborn(), name="stubborn")
        await asyncio.sleep(1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(supervisor.aclose(), 1)
        assert not ended
        await supervisor.aclose()
        assert ended

    run(main)


def test_tasks_live_in_the_context_of_the_opener() -> None:
    """What a caller of `submit` has set, such as a request's logger, is not kept by the job."""
    word: ContextVar[str] = ContextVar("word", default="none")
    seen: list[str] = []

    async def look() -> None:
        seen.append(word.get())

    async def main() -> None:
        word.set("the opener's")
        supervisor = Supervisor()
        word.set("a caller's")
        supervisor.start(look(), name="look")
        await supervisor.idle()
        await supervisor.aclose()

    run(main)
    assert seen == ["the opener's"]
