"""Runs a command's coroutines in an event loop that every signal wakes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

__all__ = ["open_runner", "run_async"]

T = TypeVar("T")


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in a loop of its own, as `asyncio.run` does."""
    with open_runner() as one:
        return one.run(work)


@contextmanager
def open_runner(
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> Iterator[asyncio.Runner]:
    """Give an `asyncio.Runner` whose loop no signal leaves asleep.

    Python runs a signal's handler between two steps of the main thread. One that comes after the
    last step before a wait, where the thread may have to stand in line for the interpreter behind
    a busy one, is seen when that wait is over, which may be never. With a file descriptor to
    write to, the signal itself ends the wait. asyncio sets one up on Windows, and elsewhere only
    for `add_signal_handler`.

    Raises:
        RuntimeError: It is called from a running event loop, as in a notebook.
    """
    _refuse_a_running_loop()
    with asyncio.Runner(loop_factory=loop_factory) as one:
        if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
            yield one
        else:
            with _woken(one.get_loop()):
                yield one


def _refuse_a_running_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("a command cannot be called from a running event loop")


@contextmanager
def _woken(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    ears, mouth = socket.socketpair()
    with ears, mouth:
        ears.setblocking(False)
        mouth.setblocking(False)
        before = signal.set_wakeup_fd(-1)
        try:
            loop.add_reader(ears, _hear, ears, before)
            signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
            yield
        finally:
            loop.remove_reader(ears)
            signal.set_wakeup_fd(-1)
            _hear(ears, before)
            with suppress(ValueError, OSError):  # its owner closed it meanwhile
                signal.set_wakeup_fd(before, warn_on_full_buffer=False)


def _hear(ears: socket.socket, before: int) -> None:
    """Empty it, for being woken is all; whoever had a file descriptor before hears of it too."""
    with suppress(BlockingIOError):
        while numbers := ears.recv(1024):
            if before != -1:
                with suppress(OSError):
                    os.write(before, numbers)
