"""Clocks that cannot be trusted: a wall clock that jumps, and a laptop that sleeps."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from random import Random
from typing import Final

import attrs

from seedance_async.simulator import Simulator

__all__ = ["HOUR", "JUMPS", "NEW_YEAR", "SleepySimulator", "WildClock"]

NEW_YEAR: Final = 1_767_225_600.0
HOUR: Final = 3600.0
_YEAR: Final = 365.25 * 24 * HOUR

JUMPS: Final[Mapping[str, float]] = {
    "not": 0.0,
    "by-seconds": 20.0,
    "by-hours": 12 * HOUR,
    "by-years": 20 * _YEAR,
}
"""How far a clock is off at most, in seconds, either way."""


@attrs.define
class WildClock:
    """A wall clock that is set anew, back or forth, at every fifth look; or that stands still.

    Attributes:
        random: Says when and where to.
        reach: How far it is off at most, either way.
        stands: Whether it shows one time for ever.
        told: What it showed, in order.
    """

    random: Random
    reach: float = 0.0
    stands: bool = False
    told: list[float] = attrs.field(factory=list)
    _off: float = 0.0

    def __call__(self) -> float:
        if self.random.random() < 0.2:
            self._off = self.random.uniform(-self.reach, self.reach)
        now = 0.0 if self.stands else asyncio.get_running_loop().time()
        self.told.append(NEW_YEAR + now + self._off)
        return self.told[-1]


@attrs.define(kw_only=True, eq=False)
class SleepySimulator(Simulator):
    """A service whose time goes on while ours stands still.

    Attributes:
        ahead: Seconds that our computer slept without its loop's clock knowing.
    """

    ahead: float = 0.0

    def advance(self, now: float) -> float:
        return super().advance(now + self.ahead)
