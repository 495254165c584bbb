"""The progress of a job, between the task that polls it and those who hold its handle."""

from __future__ import annotations

import asyncio

from seedance_async.errors import SeedanceError
from seedance_async.jobs import Outcome, State, Status

__all__ = ["Progress"]


class Progress:
    """What is known of a job while it is tracked; its tracker writes, its handle reads.

    Attributes:
        state: The last known state, or the outcome.
        error: What ended the tracking without an outcome.
        over: Whether tracking is over, by an outcome or by an error.
        position_watchers: How many ask for queue positions.
        polls: How many polls were begun.
    """

    __slots__ = (
        "_poll_asked",
        "_poll_soon",
        "_polls_answered",
        "_watchers",
        "error",
        "over",
        "polls",
        "position_watchers",
        "state",
    )

    def __init__(self) -> None:
        self.state: State | None = None
        self.error: SeedanceError | None = None
        self.over = False
        self.position_watchers = 0
        self.polls = 0
        self._polls_answered = 0
        self._poll_asked = 0
        self._watchers: list[asyncio.Future[None]] = []  # one, nearly always
        self._poll_soon: asyncio.Future[None] | None = None

    @property
    def outcome(self) -> Outcome | None:
        """How the job ended; None while it is tracked."""
        state = self.state
        return state if isinstance(state, Outcome) else None

    def observe(self, status: Status) -> bool:
        """Take a state that a poll saw; True if it is another than before."""
        if self.over or status == self.state:
            return False
        self.state = status
        self._wake_watchers()
        return True

    def end(self, outcome: Outcome) -> None:
        """Take the outcome; the first one counts."""
        if not self.over:
            self.state = outcome
            self.over = True
            self._wake_watchers()

    def fail(self, error: SeedanceError) -> None:
        """Stop being tracked without an outcome: the job itself runs on."""
        if not self.over:
            self.error = error
            self.over = True
            self._wake_watchers()

    async def pause(self, delay: float) -> None:
        """Sleep `delay` seconds on the loop's clock, less if a poll is asked for meanwhile."""
        if delay <= 0 or self._poll_asked > self.polls:
            await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        wake: asyncio.Future[None] = loop.create_future()
        self._poll_soon = wake
        timer = loop.call_later(delay, _wake, wake)
        try:
            await wake
        finally:
            timer.cancel()
            self._poll_soon = None

    def ask_for_poll(self) -> int:
        """Ask for a poll at once; returns its number for `polled`."""
        self._poll_asked = self.polls + 1
        if self._poll_soon is not None:
            _wake(self._poll_soon)
        return self._poll_asked

    async def polled(self, number: int) -> None:
        """Wait until poll `number` is answered, or tracking is over."""
        while self._polls_answered < number and not self.over:
            await self.next_change()

    def poll_started(self) -> None:
        """Count a poll that begins."""
        self.polls += 1

    def poll_answered(self) -> None:
        """Count a poll whose answer has been taken in."""
        self._polls_answered = self.polls
        if self._poll_asked == self._polls_answered:
            self._wake_watchers()

    async def next_change(self) -> None:
        """Wait until anything above changes."""
        watcher: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watchers.append(watcher)
        try:
            await watcher
        finally:
            self._watchers.remove(watcher)

    def _wake_watchers(self) -> None:
        for watcher in self._watchers:
            _wake(watcher)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
