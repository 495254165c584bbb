"""The pool: how many submissions may be under way, and how many generations in flight."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from seedance_async.errors import SeedanceError
from seedance_async.pacing import AdaptiveLimit

__all__ = ["Pool", "Slot", "admissible"]


def admissible(
    *, waiting: int, submitting: int, tracked: int, limit: int, max_submitting: int
) -> int:
    """Decide how many of those who wait may pass now."""
    room = min(limit - submitting - tracked, max_submitting - submitting)
    return max(0, min(waiting, room))


class Slot:
    """Room for one generation: first for its POST, then for its tracking; given back once."""

    __slots__ = ("_open", "_pool", "_tracked")

    def __init__(self, pool: Pool, *, tracked: bool) -> None:
        self._pool = pool
        self._tracked = tracked
        self._open = True

    def track(self) -> None:
        """The submission was accepted: go on as a tracked job."""
        if self._open and not self._tracked:
            self._tracked = True
            self._pool.submitting -= 1
            self._pool.tracked += 1
            self._pool.wake()

    def release(self) -> None:
        """Give the room back."""
        if self._open:
            self._open = False
            if self._tracked:
                self._pool.tracked -= 1
            else:
                self._pool.submitting -= 1
            self._pool.wake()


class Pool:
    """Grants slots in the order in which they were asked for.

    Attributes:
        submitting: Slots held for a POST.
        tracked: Slots held by accepted or attached jobs.
    """

    def __init__(self, limit: AdaptiveLimit, max_submitting: int) -> None:
        self._limit = limit
        self._max_submitting = max_submitting
        self._waiters: deque[asyncio.Future[Slot]] = deque()
        self.submitting = 0
        self.tracked = 0

    def __repr__(self) -> str:
        return (
            f"<Pool {self.submitting} submitting, {self.tracked} tracked, {self.waiting} waiting, "
            f"limit {self._limit.limit} of {self._limit.ceiling}>"
        )

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return len(self._waiters)

    async def acquire(self) -> Slot:
        """Wait for a slot; a cancelled wait holds none.

        Raises:
            SeedanceError: What `refuse_waiting` was given.
        """
        if not self._waiters and self._room(1):
            return self._grant()
        waiter: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if not waiter.done() or waiter.cancelled():
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
            elif waiter.exception() is None:
                waiter.result().release()
            raise

    def attach(self) -> Slot:
        """Return a tracked slot without waiting, beyond the limit if need be."""
        self.tracked += 1
        return Slot(self, tracked=True)

    def wake(self) -> None:
        """Grant what can be granted now; a wait that was cancelled in this turn takes no room."""
        if not self._waiters:
            return
        room = self._room(len(self._waiters))
        while room and self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(self._grant())
                room -= 1

    def refuse_waiting(self, make_error: Callable[[], SeedanceError]) -> None:
        """Let all who wait fail: no slot would help them."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(make_error())

    def _room(self, waiting: int) -> int:
        return admissible(
            waiting=waiting,
            submitting=self.submitting,
            tracked=self.tracked,
            limit=self._limit.limit,
            max_submitting=self._max_submitting,
        )

    def _grant(self) -> Slot:
        self.submitting += 1
        return Slot(self, tracked=False)
