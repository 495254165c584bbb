"""Lets requests through at the session's rate: submissions first, then polls by due time."""

from __future__ import annotations

import asyncio
import heapq
from enum import IntEnum
from itertools import count

from seedance_async.pacing import Rate

__all__ = ["Turn", "Turnstile"]


class Turn(IntEnum):
    """Who goes first."""

    SUBMIT = 0
    POLL = 1


class Turnstile:
    """A queue in front of `Rate`; without a rate it costs nothing."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._queue: list[tuple[int, float, int, asyncio.Future[None]]] = []
        self._numbers = count()
        self._timer: asyncio.TimerHandle | None = None

    async def wait(self, turn: Turn, due: float = 0.0) -> None:
        """Wait for a turn; a cancelled wait takes none, or one that nobody uses.

        Args:
            turn: A submission or a poll.
            due: When a poll was due, in loop time: the earlier goes first.
        """
        if self._rate.per_second is None:
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        if not self._queue and self._rate.delay(now) <= 0:
            self._rate.take(now)
            return
        waiter: asyncio.Future[None] = loop.create_future()
        heapq.heappush(self._queue, (turn, due, next(self._numbers), waiter))
        self._arm(loop)
        await waiter

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is None and self._queue:
            self._timer = loop.call_later(self._rate.delay(loop.time()), self._open, loop)

    def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        while self._queue:
            waiter = self._queue[0][3]
            if not waiter.done():
                if self._rate.delay(loop.time()) > 1e-9:
                    break
                self._rate.take(loop.time())
                waiter.set_result(None)
            heapq.heappop(self._queue)
        self._arm(loop)
