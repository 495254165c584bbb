"""Time limits for many waits at once, with one timer of the loop for each length of time.

`asyncio.timeout` asks the loop for a timer that is nearly always cancelled again; here a wait that
ends in time costs two changes of a dictionary.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

__all__ = ["Limit", "Watchdog"]


class Watchdog:
    """Ends what takes too long; made inside a running event loop."""

    def __init__(self) -> None:
        self._queues: dict[float, _Queue] = {}

    def limit(self, seconds: float, *, strikes: int = 1) -> Limit:
        """Return a limit for one `with` block.

        Args:
            seconds: How long the block may take, above zero.
            strikes: After how many times `seconds` it ends. A computer that slept through the
                first has the others when it wakes.
        """
        return Limit(self._queues, seconds, strikes)

    def close(self) -> None:
        """Stop the timers that nobody needs; limits that are still held strike all the same."""
        for queue in tuple(self._queues.values()):
            queue.stop_if_empty()


class Limit:
    """Cancels the task inside its `with` block when the time is over; that is a TimeoutError.

    As with `asyncio.timeout`, a cancellation by anybody else goes through.
    """

    __slots__ = ("_cancelling", "_queue", "_queues", "_seconds", "_strikes", "_struck", "_task")

    def __init__(self, queues: dict[float, _Queue], seconds: float, strikes: int) -> None:
        self._queues = queues
        self._seconds = seconds
        self._strikes = strikes
        self._struck = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a limit is for the code of a task")
        self._task = task
        self._cancelling = task.cancelling()
        # Not before: a queue in which nobody waits may be gone by now.
        queue = self._queues.get(self._seconds)
        if queue is None:
            queue = self._queues[self._seconds] = _Queue(self._queues, self._seconds)
        self._queue = queue
        queue.add(self, self._strikes)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._struck:
            self._queue.discard(self)
        elif self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def strike(self) -> None:
        """End the block."""
        self._struck = True
        self._task.cancel()


class _Queue:
    """The limits of one length, which therefore end in the order in which they began.

    Once its timer finds it empty it is forgotten, so that lengths may be as many as they like.
    """

    def __init__(self, queues: dict[float, _Queue], seconds: float) -> None:
        self._queues = queues
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._limits: dict[Limit, tuple[float, int]] = {}
        """When each is over, in loop time, and how many strikes it has left then."""
        self._timer: asyncio.TimerHandle | None = None

    def add(self, limit: Limit, strikes: int) -> None:
        due = self._loop.time() + self._seconds
        self._limits[limit] = due, strikes
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._look)

    def discard(self, limit: Limit) -> None:
        # The timer stays: when it comes, it is set anew for whoever is first then.
        del self._limits[limit]

    def stop_if_empty(self) -> None:
        if self._timer is not None and not self._limits:
            self._timer.cancel()
            del self._queues[self._seconds]

    def _look(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._limits:
            first, (due, strikes) = next(iter(self._limits.items()))
            if due > now:
                self._timer = self._loop.call_at(due, self._look)
                return
            del self._limits[first]
            if strikes > 1:
                self._limits[first] = now + self._seconds, strikes - 1
            else:
                first.strike()
        del self._queues[self._seconds]
