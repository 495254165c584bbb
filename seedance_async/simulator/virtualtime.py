"""An event loop whose clock jumps: what sleeps for hours takes no time.

The clock stands still while anything is ready to run, and jumps to the next timer when nothing
is. It does not jump while work in threads is under way: otherwise a commit of a millisecond
would take hours of virtual time, and every timeout around it would strike. Known are

- `loop.run_in_executor`, and with it `asyncio.to_thread` and name resolution;
- anyio's worker threads (`anyio.to_thread.run_sync`), by looking at their queues;
- whatever says so itself, through `hold_time()` or `hold_while(...)`.

Sockets and pipes work, but the clock does not wait for them: what talks to real peers belongs
on a real loop.
"""

import asyncio
import contextlib
import selectors
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_GLANCE: Final = 0.001
"""Real seconds between two looks at threads; what they report wakes the loop at once."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time.

    Args:
        start: what `time()` begins with, in seconds.
        patience: real seconds without a timer, an event or a hold after which `run_forever`
            raises RuntimeError: such a loop would hang for ever.
    """

    def __init__(self, start: float = 0.0, *, patience: float = 60.0) -> None:
        self._virtual_now = start
        self._holds = 0
        self._conditions: list[Callable[[], bool]] = [self._anyio_works]
        super().__init__(_JumpingSelector(self, patience))

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._virtual_now

    @contextlib.contextmanager
    def hold_time(self) -> Iterator[None]:
        """Keep the clock from jumping inside the block; blocks may overlap."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1

    def hold_while(self, busy: Callable[[], bool]) -> None:
        """Keep the clock from jumping while a predicate is true: for a thread of one's own.

        The predicate is called often, in the loop's thread. It must become false only after
        the thread has reported through `call_soon_threadsafe`.
        """
        self._conditions.append(busy)

    @property
    def held(self) -> bool:
        """Whether something keeps the clock from jumping."""
        return self._holds > 0 or any(busy() for busy in self._conditions)

    def run_in_executor(
        self,
        executor: Executor | None,
        func: Callable[[Unpack[Ts]], T],
        *args: *Ts,
    ) -> asyncio.Future[T]:
        """Run in a thread, as the base class does, and hold time until the future is done."""
        future = super().run_in_executor(executor, func, *args)
        self._holds += 1
        future.add_done_callback(self._release)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Join the default executor's threads; its timeout must not strike while they end."""
        with self.hold_time():
            await super().shutdown_default_executor(*(() if timeout is None else (timeout,)))

    def _release(self, _future: asyncio.Future[Any]) -> None:
        self._holds -= 1

    def _jump(self, seconds: float) -> None:
        self._virtual_now += seconds

    def _anyio_works(self) -> bool:
        """Whether an anyio worker thread of this loop has something to do.

        anyio starts its own threads, each with the attributes `loop` and `queue`, and calls
        `queue.task_done()` after it has reported to the loop (anyio 4.6 to 4.16,
        `_backends/_asyncio.py`, class WorkerThread).
        """
        return any(
            getattr(thread, "loop", None) is self
            and getattr(getattr(thread, "queue", None), "unfinished_tasks", 0) > 0
            for thread in threading.enumerate()
        )


class _JumpingSelector(selectors.DefaultSelector):
    """Asks for events without waiting, and lets the clock jump where there are none."""

    def __init__(self, loop: VirtualTimeLoop, patience: float) -> None:
        super().__init__()
        self._loop = loop
        self._patience = patience

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; `timeout` (virtual seconds) says when the next timer is due.

        Raises:
            RuntimeError: no timer is set, nothing holds time, and nothing came for `patience`.
        """
        if timeout is not None and timeout <= 0:
            return super().select(0)
        # Asked before the events: a thread reports first and is idle then, so whoever is found
        # idle here has its report seen by the select below.
        held = self._loop.held
        events = super().select(_GLANCE if held else 0)
        if events or held:
            return events
        if timeout is None:
            return self._wait_for_the_world()
        self._loop._jump(timeout)  # noqa: SLF001 - the two are one thing
        return events

    def _wait_for_the_world(self) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait in real time for a socket, a signal or a thread that nobody told us of."""
        begin = time.monotonic()
        events = super().select(self._patience)
        if events or time.monotonic() - begin < self._patience:  # early: a signal came
            return events
        raise RuntimeError(
            f"virtual time stands still: no timer is set, and nothing happened for "
            f"{self._patience:g} real seconds; a task waits for something that never comes"
        )


def run(main: Callable[[], Coroutine[Any, Any, T]], *, start: float = 0.0) -> T:
    """Run a coroutine function to its end on a new loop with virtual time from `start`."""
    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(start)) as runner:
        return runner.run(main())
