"""What is seen of a run that submits rows: its numbers, its money, and what is to be expected."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from seedance_async.batch.report import Glance, RowChange, UnderWay
from seedance_async.budget import Account
from seedance_async.cli.foresight import Foresight, Prospect
from seedance_async.cli.standing import Standing, standing_of
from seedance_async.models import Shape

__all__ = ["BatchView", "View"]

_FRESH: Final = 5.0
"""Seconds for which what is to be expected is not reckoned anew: it takes up to 30 ms."""


class View(Protocol):
    """What a display asks, a few times a second and from a thread of its own."""

    @property
    def limit(self) -> int | None:
        """The budget in micro-dollars; None: there is none."""
        ...

    def take(self, change: RowChange) -> None:
        """Learn from a step of a row; called in the loop."""
        ...

    def glance(self) -> Glance:
        """Return the numbers of this moment."""
        ...

    def note(self) -> Sequence[str]:
        """Return what is on, in parts; empty: nothing in particular."""
        ...

    def to_come(self) -> int | None:
        """Return the estimate of the rows that wait, in micro-dollars; None: no price is known."""
        ...

    def prospect(self) -> Prospect:
        """Return what is to be expected."""
        ...

    def standing(self) -> Standing:
        """Return how the run stands, for who interrupts it."""
        ...


class BatchView:
    """A batch as a display looks at it.

    Args:
        glance: The run's numbers.
        under_way: What it has begun.
        at_once: How many may be in flight.
        shapes: What it was to submit when it began.
        account: The prices.
        limit: The budget in micro-dollars; None: there is none.
        all_pass: Whether nothing but time keeps the rows from being submitted; if a bound does,
            nobody knows how long it takes.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        glance: Callable[[], Glance],
        under_way: Callable[[], UnderWay],
        at_once: Callable[[], int],
        *,
        shapes: Mapping[Shape, int],
        account: Account,
        limit: int | None = None,
        all_pass: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._glance = glance
        self.limit = limit
        self.foresight = Foresight()
        self._under_way = under_way
        self._at_once = at_once
        self._shapes = shapes
        self._account = account
        self._all_pass = all_pass
        self._clock = clock
        self._seen: tuple[float, Prospect] | None = None

    def take(self, change: RowChange) -> None:
        """Learn from a step of a row."""
        self.foresight.take(change)

    def glance(self) -> Glance:
        """Return the numbers of this moment."""
        return self._glance()

    def note(self) -> Sequence[str]:
        """Return nothing: a batch is one thing."""
        return ()

    def prospect(self) -> Prospect:
        """Return what is to be expected; what was reckoned lately is only counted down."""
        now = self._clock()
        if self._seen is None or now - self._seen[0] >= _FRESH:
            self._seen = now, self._look()
        began, prospect = self._seen
        glance = self.glance()
        if not glance.in_flight and (glance.stop is not None or not glance.left):
            return Prospect(prospect.usual)
        return prospect.after(now - began)

    def to_come(self) -> int | None:
        """Return the estimate of the rows that wait, in micro-dollars; None: no price is known."""
        prices = [
            (number, self._account.estimate(of_shape))
            for of_shape, number in self._waiting(self._under_way().begun).items()
        ]
        if any(price is None for _, price in prices):
            return None
        return sum(number * (price or 0) for number, price in prices)

    def standing(self) -> Standing:
        """Return how the run stands, for who interrupts it."""
        glance = self.glance()
        return standing_of(glance, waiting=glance.left, to_come=self.to_come(), budget=self.limit)

    def _look(self) -> Prospect:
        under_way = self._under_way()
        stopped = self.glance().stop is not None
        waiting = {} if stopped else self._waiting(under_way.begun)
        found = self.foresight.look(waiting, under_way.ages, self._at_once())
        return found if self._all_pass or stopped else Prospect(found.usual)

    def _waiting(self, begun: Mapping[Shape, int]) -> dict[Shape, int]:
        left = {s: n - begun.get(s, 0) for s, n in self._shapes.items()}
        return {of_shape: number for of_shape, number in left.items() if number > 0}
