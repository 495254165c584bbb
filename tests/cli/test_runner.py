"""A command's loop hears of every signal, also of one that comes at the worst moment."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import threading
import time

import pytest

from seedance_async.cli.runner import open_runner, run_async
from seedance_async.simulator import VirtualTimeLoop


@pytest.mark.skipif(sys.platform == "win32", reason="its loop is woken by asyncio itself")
def test_a_signal_that_does_not_end_the_wait_by_itself_wakes_the_loop() -> None:
    """As one does that comes just before the wait: here another thread receives it.

    The thread sleeps for real, until the loop waits; were it early, the test would pass for
    nothing, never fail.
    """
    late: list[str] = []

    def interrupt() -> None:
        time.sleep(0.3)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    async def main() -> None:
        asyncio.get_running_loop().call_later(20, late.append, "the loop woke by its timer")
        threading.Thread(target=interrupt).start()
        await asyncio.sleep(40)

    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_async(main())
    finally:
        signal.signal(signal.SIGINT, before)
    assert not late


def test_what_it_sets_up_ends_with_it() -> None:
    with open_runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(asyncio.sleep(3600))
    assert signal.set_wakeup_fd(-1) == -1


def test_it_runs_in_other_threads_too() -> None:
    """No signal comes there."""
    told: list[int] = []

    async def main() -> int:
        return 7

    thread = threading.Thread(target=lambda: told.append(run_async(main())))
    thread.start()
    thread.join()
    assert told == [7]


@pytest.mark.skipif(sys.platform == "win32", reason="its loop is woken by asyncio itself")
def test_a_callers_own_wakeup_hears_what_came_meanwhile() -> None:
    """Its loop, asleep between two runs, counts on the bytes: they are how it knows the number."""
    ears, mouth = socket.socketpair()

    async def main() -> None:
        signal.raise_signal(signal.SIGUSR1)
        await asyncio.sleep(0.01)  # the loop reads its sockets in between

    with ears, mouth:
        mouth.setblocking(False)
        before = signal.signal(signal.SIGUSR1, lambda *_: None)
        signal.set_wakeup_fd(mouth.fileno())
        try:
            run_async(main())
            assert signal.set_wakeup_fd(-1) == mouth.fileno()
        finally:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGUSR1, before)
        assert ears.recv(10) == bytes([signal.SIGUSR1])


def test_within_a_running_loop_it_refuses_and_changes_nothing() -> None:
    """As `asyncio.run` does; a notebook has such a loop."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        work = asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="cannot be called from a running event loop"):
            run_async(work)
        work.close()
        assert asyncio.get_event_loop() is loop

    asyncio.run(main())
