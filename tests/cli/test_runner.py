"""A command's loop hears of every signal, also of one that comes at the worst moment."""

from __future__ import annotations

import asyncio
import signal
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
