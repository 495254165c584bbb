"""The entrance to the connections: how many requests may be inside aiohttp at once."""

from __future__ import annotations

import asyncio
from math import ceil, inf

__all__ = ["Entrance", "needed"]

_FIRST = 100
_WINDOW = 1.0
_A_TURN = 16
"""How many may follow those that left, in a turn of the loop. Answers that come together would else
be followed by as many requests together, whose answers come together again."""


def needed(ended: int, seconds: float, fastest: float) -> int:
    """Return how many requests must be under way at once for twice the present rate.

    Args:
        ended: How many ended lately.
        seconds: In how long a time.
        fastest: What the fastest of them took, in seconds: what the network takes, without the
            time in which answers wait for a busy loop.
    """
    return ceil(2 * ended / seconds * fastest)


class Entrance:
    """Admits requests in their order, more of them the longer the way to the service.

    Thousands of polls that wait inside aiohttp would each be a connection, and all their answers
    could come in one turn of the loop; before the entrance they are a future each. Made inside a
    running event loop; it never shrinks.

    Args:
        most: How many it admits at most.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._loop = asyncio.get_running_loop()
        self.size = min(_FIRST, most)
        self._places = asyncio.Semaphore(self.size)
        self._since = self._loop.time()
        self._ended = 0
        self._freed = 0
        self._fastest = inf

    async def enter(self) -> float:
        """Wait for a place; returns the loop's time, for `leave`. Cancelled, it holds none."""
        await self._places.acquire()
        return self._loop.time()

    def leave(self, entered: float | None = None) -> None:
        """Give the place back.

        Args:
            entered: When a request began whose answer came all the way from the service; None for
                what says nothing of the way.
        """
        if entered is not None:
            now = self._loop.time()
            self._ended += 1
            self._fastest = min(self._fastest, now - entered)
            if now - self._since >= _WINDOW:
                self._grow(now)
        if not self._places.locked():  # nobody waits
            self._places.release()
            return
        self._freed += 1
        if self._freed == 1:
            self._loop.call_soon(self._let_in)

    def _let_in(self) -> None:
        for _ in range(min(self._freed, _A_TURN)):
            self._places.release()
            self._freed -= 1
        if self._freed:
            self._loop.call_soon(self._let_in)

    def _grow(self, now: float) -> None:
        size = min(self._most, needed(self._ended, now - self._since, self._fastest))
        for _ in range(size - self.size):
            self._places.release()
        self.size = max(self.size, size)
        self._since, self._ended, self._fastest = now, 0, inf
